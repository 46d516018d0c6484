//! Small words that say who does what to whom, how often, and when: each must stand in both texts, in its place among the things that
//! they mention.

/// Class of `my`, which goes without saying where somebody asks how to do something.
pub(super) const MY: &str = "my";

/// Class of `of`, which a compound says without it: `symptoms of flu`, `flu symptoms`.
pub(super) const OF: &str = "of";

/// `before`: the word before it. What stands for a word and those that say the same; none of a word that goes without saying.
pub(super) fn class(word: &str, before: &str) -> Option<&'static str> {
    Some(match word {
        "i" | "we" | "im" | "ive" | "id" | "me" | "us" | "mine" | "ours" | "myself"
        | "ourselves" => "i",
        "my" | "our" => MY,
        "you" | "your" | "yours" | "yourself" => "you",
        "they" | "them" | "their" | "theirs" | "themselves" => "they",
        "from" => "from",
        "of" => OF,
        "to" | "into" | "onto" | "toward" | "towards" => "to",
        "by" | "via" => "by",
        "in" | "at" | "on" => "in",
        "within" => "within",
        "somebody" | "someone" | "anybody" | "anyone" => "someone",
        "something" | "anything" => "something",
        "maybe" | "perhaps" | "possibly" => "maybe",
        "some"
            if matches!(
                before,
                "is" | "are" | "was" | "were" | "do" | "does" | "did" | "can"
            ) =>
        {
            "some"
        }
        "for" => "for",
        "with" | "using" | "using_a" => "with",
        "without" => "without",
        "hardly" | "barely" | "scarcely" => "hardly",
        "seldom" | "rarely" => "rarely",
        "never" => "never",
        "no_longer" => "no longer",
        "nobody" | "no_one" => "nobody",
        "nothing" => "nothing",
        "than" => "than",
        "versus" | "vs" => "versus",
        "up" => "up",
        "down" => "down",
        "out" => "out",
        "outside" => "outside",
        "off" => "off",
        "over" | "above" => "over",
        "under" | "below" => "under",
        "inside" | "inside_of" => "inside",
        "about" | "regarding" | "concerning" => "about",
        "between" => "between",
        "against" => "against",
        "through" => "through",
        "across" => "across",
        "along" => "along",
        "among" => "among",
        "per" => "per",
        "near" => "near",
        "behind" => "behind",
        "beside" => "beside",
        "as" => "as",
        "and" => "and",
        "or" => "or",
        "but" => "but",
        "if" | "whether" => "if",
        "because" => "because",
        "while" => "while",
        "when" => "when",
        "either" => "either",
        "all" => "all",
        "each" | "every" => "every",
        "also" => "also",
        "too" => "too",
        "any"
            if matches!(
                before,
                "is" | "are" | "was" | "were" | "do" | "does" | "did" | "can" | "has" | "have"
            ) =>
        {
            "any"
        }
        "again" => "again",
        "still" => "still",
        "yet" => "yet",
        "just" => "just",
        "currently" | "now" => "now",
        "then" => "then",
        "ever" => "ever",
        "like" if !matches!(before, "would" | "d" | "id") => "like",
        "like_a" => "like",
        "being" => "being",
        "well" if !before.is_empty() => "well",
        _ => return None,
    })
}

/// What a word says of what may, must, should or will be.
pub(super) fn modal(word: &str, before: &str) -> Option<&'static str> {
    Some(match word {
        "can" | "could" | "may" | "able" | "possible" | "allowed" | "permitted" | "cannot"
        | "ca" | "cant" | "couldnt" => "may",
        "might" => "might",
        "must" | "need" | "needs" | "needed" | "require" | "requires" | "required" | "obliged"
        | "mandatory" | "necessary" => "must",
        "to" if matches!(before, "have" | "has" | "had") => "must",
        "mustnt" => "must",
        "should" | "ought" | "shouldnt" => "should",
        "would" => "would",
        "will" | "shall" | "wo" | "wont" => "will",
        // `Has it been paid` is not `is it paid`.
        "been" => "perfect",
        "going" if matches!(before, "is" | "are" | "am") => "will",
        "did" | "was" | "were" | "had" | "didnt" | "wasnt" | "werent" | "hadnt" => "past",
        _ => return None,
    })
}
