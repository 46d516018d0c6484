//! The chat template of a model: what stands around the user's text.
//!
//! Templates are Jinja, rendered as transformers' `apply_chat_template` does: blocks trimmed, Python's methods on strings,
//! `raise_exception`, `strftime_now` (UTC, of the time of loading), `break` and `continue`. The text's place is found by a
//! marker, so whatever a template does before and behind it is kept.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde_json::Value as Json;

use crate::onnx::ModelFiles;

/// Stands for the user's text, and for an answer.
const MARKER: &str = "@@turnpike@@";

/// What a template renders around the user's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Before it, system message included.
    pub prefix: String,
    /// Behind it, up to where the model answers; thinking is switched off where the template knows how.
    pub tail: String,
    /// Behind an answer; `None` when the template renders none.
    pub answer_end: Option<String>,
    /// `eos_token` of `tokenizer_config.json`.
    pub eos_token: Option<String>,
}

impl Turn {
    /// Renders the template of `files` with this system message.
    ///
    /// # Errors
    /// What is missing, or what the template says.
    pub fn of(files: &ModelFiles, system: &str) -> Result<Self, String> {
        let config = match &files.tokenizer_config {
            Some(path) => serde_json::from_str(&read(path)?)
                .map_err(|e| format!("{}: {e}", path.display()))?,
            None => Json::Null,
        };
        let template = match &files.chat_template {
            Some(path) => read(path)?,
            None => template_of(&config)
                .ok_or("the model has no chat template: neither `chat_template.jinja` nor `chat_template` in tokenizer_config.json")?
                .to_owned(),
        };
        Self::render(&template, &config, system)
    }

    fn render(template: &str, config: &Json, system: &str) -> Result<Self, String> {
        let token = |name: &str| text_of_token(config.get(name)?);
        let wrong = |e: Error| format!("chat template: {e}");
        let environment = environment().map_err(wrong)?;
        let source = without_generation_tags(template);
        let template = environment.template_from_str(&source).map_err(wrong)?;
        let rendered = |messages: Vec<Value>, prompt: bool| {
            let context = context! {
                messages,
                add_generation_prompt => prompt,
                enable_thinking => false,
                bos_token => token("bos_token"),
                eos_token => token("eos_token"),
                pad_token => token("pad_token"),
                unk_token => token("unk_token"),
            };
            template.render(context)
        };
        // A template that refuses a system message (Gemma's) gets it at the head of the user's.
        let split = vec![message("system", system), message("user", MARKER)];
        let joined = vec![message("user", &format!("{system}\n\n{MARKER}"))];
        let (messages, text) = match rendered(split.clone(), true) {
            Ok(text) => (split, text),
            Err(why) => {
                let text = rendered(joined.clone(), true).map_err(|_| wrong(why))?;
                (joined, text)
            }
        };
        let (prefix, tail) = text
            .split_once(MARKER)
            .filter(|(_, tail)| !tail.contains(MARKER))
            .ok_or("the chat template does not render the user's text once")?;
        if tail.is_empty() {
            return Err("the chat template renders nothing behind the user's text".into());
        }
        let answered = [messages, vec![message("assistant", MARKER)]].concat();
        let answered = rendered(answered, false).ok();
        let answer_end = answered.and_then(|text| Some(text.rsplit_once(MARKER)?.1.to_owned()));
        Ok(Self {
            prefix: prefix.to_owned(),
            tail: tail.to_owned(),
            answer_end: answer_end.filter(|end| !end.is_empty()),
            eos_token: token("eos_token"),
        })
    }
}

fn message(role: &str, content: &str) -> Value {
    context! { role, content }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// `chat_template` is a text, or a list of named ones.
fn template_of(config: &Json) -> Option<&str> {
    match config.get("chat_template")? {
        Json::String(template) => Some(template),
        Json::Array(named) => named
            .iter()
            .find(|entry| entry.get("name").and_then(Json::as_str) == Some("default"))?
            .get("template")?
            .as_str(),
        _ => None,
    }
}

/// A token is a text, or an object that holds it.
fn text_of_token(token: &Json) -> Option<String> {
    let text = token.get("content").unwrap_or(token);
    text.as_str().map(str::to_owned)
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_function("strftime_now", |format: String| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        strftime(&format, now.map_or(0, |now| now.as_secs()))
    });
    Ok(environment)
}

/// transformers marks with `{% generation %}` what a model is trained on; here it means nothing.
fn without_generation_tags(template: &str) -> String {
    let mut template = template.to_owned();
    for (tag, instead) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            let (from, to) = (
                format!("{open} {tag} {close}"),
                format!("{open} {instead} {close}"),
            );
            template = template.replace(&from, &to);
        }
    }
    template
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The fields of `strftime` that chat templates use; others are left as they are. `seconds`: since 1970, UTC.
fn strftime(format: &str, seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], at: u64| {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at % names.len()).copied().unwrap_or_default()
    };
    let short = |name: &'static str| name.get(..3).unwrap_or(name).to_owned();
    let (month_name, day_name) = (name(&MONTHS, month - 1), name(&DAYS, days % 7));
    let fields = [
        ("%Y", year.to_string()),
        ("%m", format!("{month:02}")),
        ("%d", format!("{day:02}")),
        ("%B", month_name.to_owned()),
        ("%b", short(month_name)),
        ("%A", day_name.to_owned()),
        ("%a", short(day_name)),
        ("%H", format!("{:02}", second / 3600)),
        ("%M", format!("{:02}", second / 60 % 60)),
        ("%S", format!("{:02}", second % 60)),
    ];
    let mut text = format.to_owned();
    for (field, value) in fields {
        text = text.replace(field, &value);
    }
    text
}

/// Year, month (1 to 12) and day of the month, `days` after 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHATML: &str = "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}";

    fn render(template: &str, config: &Json) -> Result<Turn, String> {
        Turn::render(template, config, "Be brief.")
    }

    #[test]
    fn a_template_is_cut_at_the_users_text_and_thinking_is_off() {
        let turn = render(CHATML, &json!({"eos_token": {"content": "<|im_end|>"}})).unwrap();
        assert_eq!(
            turn.prefix,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
        );
        assert_eq!(
            turn.tail,
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
        );
        assert_eq!(turn.answer_end.as_deref(), Some("<|im_end|>\n"));
        assert_eq!(turn.eos_token.as_deref(), Some("<|im_end|>"));
    }

    #[test]
    fn a_template_without_system_messages_gets_one_in_the_users() {
        let gemma = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}";
        let turn = render(gemma, &json!({"bos_token": "<bos>"})).unwrap();
        assert_eq!(turn.prefix, "<bos><start_of_turn>user\nBe brief.\n\n");
        assert_eq!(turn.tail, "<end_of_turn>\n<start_of_turn>model\n");
    }

    #[test]
    fn python_methods_dates_and_training_marks_are_understood() {
        let template = "{% set year = strftime_now('%Y') %}{{ year|length }}{% for m in messages %}{% if m.role.startswith('sys') %}{{ m.content.strip().upper() }}|{% continue %}{% endif %}{%- generation -%}{{ m.content }}{%- endgeneration -%}{% endfor %}|end";
        let turn = render(template, &Json::Null).unwrap();
        assert_eq!(
            (turn.prefix.as_str(), turn.tail.as_str()),
            ("4BE BRIEF.|", "|end")
        );
    }

    #[test]
    fn lists_slices_and_missing_keys_are_those_of_jinja() {
        let template = "{{ bos_token }}{% if not tools is defined %}{% set tools = none %}{% endif %}{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{% set all = [messages[0]] + users %}{% for m in all %}{% if m['role'] not in ['tool'] and not m.get('tool_calls') and (m['role'] == 'user') != (loop.index0 % 2 == 0) %}[{{ m.role[:3] }}]{{ m['content'] }}{% endif %}{% for call in m.tool_calls %}{{ call | tojson }}{% endfor %}{% if tools is not none and m == users[-1] %}{{ tools | length }}{% endif %}{% endfor %}[/INST]";
        let turn = render(template, &json!({"bos_token": "<s>"})).unwrap();
        assert_eq!(
            (turn.prefix.as_str(), turn.tail.as_str()),
            ("<s>[sys]Be brief.[use]", "[/INST]")
        );
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        let refused = render("{{ raise_exception('no') }}", &Json::Null).unwrap_err();
        assert!(refused.contains("no"), "{refused}");
        let lost = render("{{ messages[0].content }}", &Json::Null).unwrap_err();
        assert!(lost.contains("does not render"), "{lost}");
        assert!(render("{% if %}", &Json::Null).is_err());
    }

    #[test]
    fn the_template_called_default_is_taken_of_several() {
        let named = json!({"chat_template": [
            {"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"},
        ]});
        assert_eq!(template_of(&named), Some("b"));
        assert_eq!(template_of(&json!({"chat_template": "c"})), Some("c"));
        assert_eq!(template_of(&json!({})), None);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |seconds| strftime("%A %a %d %b %B %Y %H:%M:%S %m", seconds);
        assert_eq!(of(0), "Thursday Thu 01 Jan January 1970 00:00:00 01");
        // 2024-02-29 was a Thursday.
        assert_eq!(
            of(1_709_251_199),
            "Thursday Thu 29 Feb February 2024 23:59:59 02"
        );
        assert_eq!(
            of(1_735_689_600),
            "Wednesday Wed 01 Jan January 2025 00:00:00 01"
        );
    }
}
