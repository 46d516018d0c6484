//! The language of a text, by its letters and trigrams (crate `whatlang`).

use whatlang::Lang;

/// Bytes that are looked at: more change nothing.
const MAX_BYTES: usize = 2048;

/// The language of a text by ISO 639-1, and how sure that is, 0 to 1; `None` for a text without letters.
#[must_use]
pub fn language(text: &str) -> Option<(&'static str, f32)> {
    let end = (0..=MAX_BYTES.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))?;
    let info = whatlang::detect(text.get(..end)?)?;
    #[expect(clippy::cast_possible_truncation, reason = "a probability")]
    let confidence = info.confidence() as f32;
    Some((code(info.lang())?, confidence))
}

/// ISO 639-1 of a language; `None` for those that have no such code.
fn code(lang: Lang) -> Option<&'static str> {
    Some(match lang {
        Lang::Afr => "af",
        Lang::Amh => "am",
        Lang::Ara => "ar",
        Lang::Aze => "az",
        Lang::Bel => "be",
        Lang::Ben => "bn",
        Lang::Bul => "bg",
        Lang::Cat => "ca",
        Lang::Ces => "cs",
        Lang::Cmn => "zh",
        Lang::Cym => "cy",
        Lang::Dan => "da",
        Lang::Deu => "de",
        Lang::Ell => "el",
        Lang::Eng => "en",
        Lang::Epo => "eo",
        Lang::Est => "et",
        Lang::Fin => "fi",
        Lang::Fra => "fr",
        Lang::Guj => "gu",
        Lang::Heb => "he",
        Lang::Hin => "hi",
        Lang::Hrv => "hr",
        Lang::Hun => "hu",
        Lang::Hye => "hy",
        Lang::Ind => "id",
        Lang::Ita => "it",
        Lang::Jav => "jv",
        Lang::Jpn => "ja",
        Lang::Kan => "kn",
        Lang::Kat => "ka",
        Lang::Khm => "km",
        Lang::Kor => "ko",
        Lang::Lat => "la",
        Lang::Lav => "lv",
        Lang::Lit => "lt",
        Lang::Mal => "ml",
        Lang::Mar => "mr",
        Lang::Mkd => "mk",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Nld => "nl",
        Lang::Nob => "nb",
        Lang::Ori => "or",
        Lang::Pan => "pa",
        Lang::Pes => "fa",
        Lang::Pol => "pl",
        Lang::Por => "pt",
        Lang::Ron => "ro",
        Lang::Rus => "ru",
        Lang::Sin => "si",
        Lang::Slk => "sk",
        Lang::Slv => "sl",
        Lang::Sna => "sn",
        Lang::Spa => "es",
        Lang::Srp => "sr",
        Lang::Swe => "sv",
        Lang::Tam => "ta",
        Lang::Tel => "te",
        Lang::Tgl => "tl",
        Lang::Tha => "th",
        Lang::Tuk => "tk",
        Lang::Tur => "tr",
        Lang::Ukr => "uk",
        Lang::Urd => "ur",
        Lang::Uzb => "uz",
        Lang::Vie => "vi",
        Lang::Yid => "yi",
        Lang::Zul => "zu",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use turnpike_core::config::LANGUAGES;

    #[test]
    fn languages_are_told_apart() {
        for (text, expected) in [
            ("How do I reset the password of my account, please?", "en"),
            ("Wie setze ich das Passwort meines Kontos zurück?", "de"),
            ("¿Cómo puedo restablecer la contraseña de mi cuenta?", "es"),
            (
                "Comment réinitialiser le mot de passe de mon compte ?",
                "fr",
            ),
            ("我怎样才能重置账户的密码？", "zh"),
            ("アカウントのパスワードをリセットするには？", "ja"),
            ("Как сбросить пароль от моей учётной записи?", "ru"),
            ("كيف يمكنني إعادة تعيين كلمة المرور؟", "ar"),
        ] {
            let (found, confidence) = language(text).unwrap();
            assert_eq!(found, expected, "{text}");
            assert!(
                confidence > 0.1 && confidence <= 1.0,
                "{text}: {confidence}"
            );
        }
    }

    #[test]
    fn a_text_without_letters_has_none() {
        assert_eq!(language(""), None);
        assert_eq!(language("12 + 30 = ?"), None);
    }

    #[test]
    fn a_character_at_the_end_of_what_is_looked_at_is_not_cut() {
        for before in MAX_BYTES - 4..MAX_BYTES + 4 {
            let words = "Wie wird das Wetter in den Bergen? ".repeat(before / 35 + 1);
            let text = format!("{}éééé", &words[..before]);
            assert_eq!(language(&text).map(|(code, _)| code), Some("de"));
        }
    }

    #[test]
    fn every_language_that_a_rule_may_name_can_be_found() {
        let known: std::collections::BTreeSet<_> =
            Lang::all().iter().filter_map(|l| code(*l)).collect();
        let named: std::collections::BTreeSet<_> = LANGUAGES.into_iter().collect();
        assert_eq!(named, known);
    }
}
