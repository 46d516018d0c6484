//! Checks of the `*_rules` that conditions read.

use std::collections::BTreeSet;

use super::Config;
use super::validate::Checker;
use super::validate_rules::Names;
use crate::decision::{KeywordMethod, SignalKind};
use crate::guard::pii_kind_problem;
use crate::signal::{
    ConversationSourceKind, CountKind, Predicate, StructureFeatureConfig, StructureKind,
    StructureSourceKind, ValuePredicate,
};

/// Languages that are told apart, by ISO 639-1.
pub const LANGUAGES: [&str; 69] = [
    "af", "am", "ar", "az", "be", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es",
    "et", "fa", "fi", "fr", "gu", "he", "hi", "hr", "hu", "hy", "id", "it", "ja", "jv", "ka", "km",
    "kn", "ko", "la", "lt", "lv", "mk", "ml", "mr", "my", "nb", "ne", "nl", "or", "pa", "pl", "pt",
    "ro", "ru", "si", "sk", "sl", "sn", "sr", "sv", "ta", "te", "th", "tk", "tl", "tr", "uk", "ur",
    "uz", "vi", "yi", "zh", "zu",
];

impl Config {
    /// Checks the rules; gives the names that conditions may use.
    pub(super) fn check_signals<'c>(&'c self, c: &mut Checker, names: &mut Names<'c>) {
        macro_rules! unique {
            ($list:ident) => {
                c.unique(
                    stringify!($list),
                    self.$list.iter().map(|r| r.name.as_str()),
                )
            };
        }
        names.embeddings = unique!(embedding_rules);
        names.languages = unique!(language_rules);
        names.contexts = unique!(context_rules);
        names.structures = unique!(structure_rules);
        names.conversations = unique!(conversation_rules);
        names.jailbreaks = unique!(jailbreak_rules);
        names.pii = unique!(pii_rules);
        names.metadata = unique!(metadata_rules);
        names.headers = unique!(header_rules);
        names.roles = unique!(role_bindings);
        names.complexities = unique!(complexity_rules)
            .into_iter()
            .flat_map(|rule| ["hard", "medium", "easy"].map(|level| format!("{rule}:{level}")))
            .collect();
        self.check_samples(c);
        self.check_forms(c);
        self.check_callers(c, names);
        self.check_projections(c, names);
    }

    /// Rules that the sidecar's encoder tells.
    fn check_samples(&self, c: &mut Checker) {
        let mut samples = Vec::new();
        for (i, rule) in self.embedding_rules.iter().enumerate() {
            let at = format!("embedding_rules[{i}]");
            c.unit_interval(&format!("{at}.threshold"), rule.threshold);
            samples.push((format!("{at}.candidates"), &rule.candidates));
        }
        for (i, rule) in self.complexity_rules.iter().enumerate() {
            let at = format!("complexity_rules[{i}]");
            c.unit_interval(&format!("{at}.threshold"), rule.threshold);
            samples.push((format!("{at}.hard.candidates"), &rule.hard.candidates));
            samples.push((format!("{at}.easy.candidates"), &rule.easy.candidates));
        }
        if let Some((path, _)) = samples.first().filter(|_| !self.sidecar.enabled) {
            c.error(
                path.as_str(),
                "needs the sidecar, whose encoder compares the texts; set `sidecar.enabled: true`",
            );
        }
        for (path, candidates) in samples {
            if candidates.is_empty() {
                c.error(path.clone(), "must hold at least one text");
            }
            for (i, text) in candidates.iter().enumerate() {
                c.not_empty(format!("{path}[{i}]"), text.trim());
            }
        }
    }

    /// Rules about the text and the conversation.
    fn check_forms(&self, c: &mut Checker) {
        for (i, rule) in self.keyword_rules.iter().enumerate() {
            let at = format!("keyword_rules[{i}]");
            let is_fuzzy = rule.most_edits().is_some();
            match rule.fuzzy_threshold {
                Some(_) if !is_fuzzy => {
                    c.error(format!("{at}.fuzzy_threshold"), "needs `method: fuzzy`")
                }
                Some(edits) if !(1..=3).contains(&edits) => c.error(
                    format!("{at}.fuzzy_threshold"),
                    format!("must be between 1 and 3, got {edits}"),
                ),
                _ => {}
            }
            if rule.method == KeywordMethod::Fuzzy && rule.keywords.is_empty() {
                c.error(format!("{at}.keywords"), "must name at least one keyword");
            }
        }
        for (i, rule) in self.language_rules.iter().enumerate() {
            let at = format!("language_rules[{i}]");
            c.unit_interval(&format!("{at}.threshold"), rule.threshold);
            if !LANGUAGES.contains(&rule.name.as_str()) {
                c.error(
                    format!("{at}.name"),
                    format!(
                        "unknown language `{}`; known: {}",
                        rule.name,
                        LANGUAGES.join(", ")
                    ),
                );
            }
        }
        for (i, rule) in self.context_rules.iter().enumerate() {
            if let Some(most) = rule.max_tokens.filter(|most| *most < rule.min_tokens) {
                c.error(
                    format!("context_rules[{i}].max_tokens"),
                    format!(
                        "must be at least `min_tokens` {}, got {}",
                        rule.min_tokens.0, most.0
                    ),
                );
            }
        }
        for (i, rule) in self.structure_rules.iter().enumerate() {
            let at = format!("structure_rules[{i}]");
            check_structure(c, &format!("{at}.feature"), &rule.feature);
            let needs = matches!(
                rule.feature.kind,
                StructureKind::Count | StructureKind::Density
            );
            check_predicate(c, &format!("{at}.predicate"), &rule.predicate, needs);
        }
        for (i, rule) in self.conversation_rules.iter().enumerate() {
            let at = format!("conversation_rules[{i}]");
            let needs = rule.feature.kind == CountKind::Count;
            check_predicate(c, &format!("{at}.predicate"), &rule.predicate, needs);
            let source = &rule.feature.source;
            if source.role.is_some() && source.kind != ConversationSourceKind::Message {
                c.error(
                    format!("{at}.feature.source.role"),
                    "belongs to `type: message`",
                );
            }
        }
        for (i, rule) in self.jailbreak_rules.iter().enumerate() {
            if let Some(threshold) = rule.threshold {
                c.unit_interval(&format!("jailbreak_rules[{i}].threshold"), threshold);
            }
        }
        for (i, rule) in self.pii_rules.iter().enumerate() {
            if let Some(threshold) = rule.threshold {
                c.unit_interval(&format!("pii_rules[{i}].threshold"), threshold);
            }
            for (k, kind) in rule.pii_types_allowed.iter().enumerate() {
                if let Some(problem) = pii_kind_problem(kind) {
                    c.error(format!("pii_rules[{i}].pii_types_allowed[{k}]"), problem);
                }
            }
        }
    }

    /// Rules about who calls, and with what.
    fn check_callers<'c>(&'c self, c: &mut Checker, names: &mut Names<'c>) {
        for (i, binding) in self.role_bindings.iter().enumerate() {
            let at = format!("role_bindings[{i}]");
            c.not_empty(format!("{at}.role"), &binding.role);
            names.roles.insert(&binding.role);
            if binding.subjects.is_empty() {
                c.error(format!("{at}.subjects"), "must name at least one subject");
            }
            for (k, subject) in binding.subjects.iter().enumerate() {
                c.not_empty(format!("{at}.subjects[{k}].name"), &subject.name);
            }
        }
        let identifies = self.maas_integration.as_ref().is_some_and(|m| m.enabled);
        for (i, subject) in self.explain.trusted.iter().enumerate() {
            c.not_empty(format!("explain.trusted[{i}].name"), &subject.name);
        }
        if !self.explain.is_empty() && !identifies {
            c.error(
                "explain.trusted",
                "nobody is identified without `maas_integration`, so nobody would be trusted",
            );
        }
        if !self.role_bindings.is_empty() && !identifies {
            c.error(
                "role_bindings",
                "nobody is identified without `maas_integration`, so no role would ever hold",
            );
        }
        for (i, rule) in self.metadata_rules.iter().enumerate() {
            let at = format!("metadata_rules[{i}]");
            c.not_empty(format!("{at}.key"), &rule.key);
            check_value(c, &at, &rule.predicate);
        }
        for (i, rule) in self.header_rules.iter().enumerate() {
            let at = format!("header_rules[{i}]");
            c.not_empty(format!("{at}.header"), &rule.header);
            if !is_header_name(&rule.header) || rule.header.chars().any(|b| b.is_ascii_uppercase())
            {
                c.error(
                    format!("{at}.header"),
                    format!("must be a header name in lower case, got `{}`", rule.header),
                );
            }
            if rule.header.starts_with("x-vsr-") || rule.header == "x-selected-model" {
                c.error(
                    format!("{at}.header"),
                    format!(
                        "`{}` is taken out of requests: clients may not set it",
                        rule.header
                    ),
                );
            }
            check_value(c, &at, &rule.predicate);
        }
    }

    /// Scores and their bands.
    fn check_projections<'c>(&'c self, c: &mut Checker, names: &mut Names<'c>) {
        let scores = c.unique(
            "projections.scores",
            self.projections.scores.iter().map(|s| s.name.as_str()),
        );
        c.unique(
            "projections.mappings",
            self.projections.mappings.iter().map(|m| m.name.as_str()),
        );
        for (i, score) in self.projections.scores.iter().enumerate() {
            let at = format!("projections.scores[{i}].inputs");
            if score.inputs.is_empty() {
                c.error(at.clone(), "must hold at least one input");
            }
            for (k, input) in score.inputs.iter().enumerate() {
                let at = format!("{at}[{k}]");
                if !input.weight.is_finite() {
                    c.error(format!("{at}.weight"), "must be a number");
                }
                if input.signal == SignalKind::Projection {
                    c.error(
                        format!("{at}.type"),
                        "a score is made of signals, not of other projections",
                    );
                    continue;
                }
                names.check(c, &format!("{at}.name"), input.signal, &input.name);
            }
        }
        for (i, mapping) in self.projections.mappings.iter().enumerate() {
            let at = format!("projections.mappings[{i}]");
            c.known(format!("{at}.source"), "score", &mapping.source, &scores);
            if mapping.outputs.is_empty() {
                c.error(format!("{at}.outputs"), "must hold at least one band");
            }
            for (k, band) in mapping.outputs.iter().enumerate() {
                let at = format!("{at}.outputs[{k}]");
                c.not_empty(format!("{at}.name"), &band.name);
                if !names.bands.insert(&band.name) {
                    c.error(
                        format!("{at}.name"),
                        format!("`{}` is defined twice", band.name),
                    );
                }
                check_predicate(c, &at, &band.bounds(), false);
            }
        }
    }
}

fn check_structure(c: &mut Checker, at: &str, feature: &StructureFeatureConfig) {
    let source = &feature.source;
    let at_source = format!("{at}.source");
    let is_sequence = source.kind == StructureSourceKind::Sequence;
    if (feature.kind == StructureKind::Sequence) != is_sequence {
        c.error(
            format!("{at_source}.type"),
            "`sequence` belongs to `feature.type: sequence`, and that to it",
        );
    }
    if source.kind == StructureSourceKind::TextBytes && feature.kind != StructureKind::Count {
        c.error(
            format!("{at_source}.type"),
            "`text_bytes` belongs to `feature.type: count`",
        );
    }
    for (key, kind, is_empty) in [
        (
            "pattern",
            StructureSourceKind::Regex,
            source.pattern.as_ref().is_none_or(String::is_empty),
        ),
        (
            "keywords",
            StructureSourceKind::KeywordSet,
            source.keywords.is_empty(),
        ),
        (
            "sequences",
            StructureSourceKind::Sequence,
            source.sequences.is_empty(),
        ),
    ] {
        match (source.kind == kind, is_empty) {
            (true, true) => c.error(format!("{at_source}.{key}"), "must not be empty"),
            (false, false) => c.error(
                format!("{at_source}.{key}"),
                "belongs to another `type` of source",
            ),
            _ => {}
        }
    }
    let words = source
        .keywords
        .iter()
        .chain(source.sequences.iter().flatten());
    if words.map(|word| word.trim()).any(str::is_empty)
        || source.sequences.iter().any(Vec::is_empty)
    {
        c.error(at_source, "words must not be empty");
    }
}

fn check_predicate(c: &mut Checker, at: &str, predicate: &Predicate, needed: bool) {
    if needed && predicate.is_empty() {
        c.error(at, "needs `gt`, `gte`, `lt` or `lte`");
    }
    let bounds = [predicate.gt, predicate.gte, predicate.lt, predicate.lte];
    if bounds.into_iter().flatten().any(|bound| !bound.is_finite()) {
        c.error(at, "bounds must be numbers");
    }
    let least = [predicate.gt, predicate.gte].into_iter().flatten();
    let most = [predicate.lt, predicate.lte].into_iter().flatten();
    let (least, most) = (least.reduce(f64::max), most.reduce(f64::min));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        c.error(at, format!("no number is above {least} and below {most}"));
    }
}

fn check_value(c: &mut Checker, at: &str, predicate: &ValuePredicate) {
    let set = [
        predicate.equals.is_some(),
        !predicate.one_of.is_empty(),
        predicate.prefix.is_some(),
    ];
    if set.into_iter().filter(|set| *set).count() > 1 {
        c.error(
            format!("{at}.predicate"),
            "takes one of `equals`, `in` and `prefix`",
        );
    }
}

/// A token of RFC 9110.
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

impl Names<'_> {
    /// Checks that a signal exists.
    pub(super) fn check(&self, c: &mut Checker, path: &str, signal: SignalKind, name: &str) {
        let path = path.to_owned();
        let (what, known): (&str, &BTreeSet<&str>) = match signal {
            SignalKind::Keyword => ("keyword rule", &self.keywords),
            SignalKind::Domain => ("category", &self.categories),
            SignalKind::Llm => ("label of `sidecar.llm_classifier`", &self.llm_labels),
            SignalKind::Embedding => ("embedding rule", &self.embeddings),
            SignalKind::Jailbreak => ("jailbreak rule", &self.jailbreaks),
            SignalKind::Pii => ("pii rule", &self.pii),
            SignalKind::Language => ("language rule", &self.languages),
            SignalKind::Context => ("context rule", &self.contexts),
            SignalKind::Structure => ("structure rule", &self.structures),
            SignalKind::Conversation => ("conversation rule", &self.conversations),
            SignalKind::Metadata => ("metadata rule", &self.metadata),
            SignalKind::Header => ("header rule", &self.headers),
            SignalKind::Authz => ("role binding or role", &self.roles),
            SignalKind::Projection => ("band of `projections.mappings`", &self.bands),
            SignalKind::Complexity => {
                let known = self.complexities.iter().map(String::as_str).collect();
                c.known(path, "complexity rule and level", name, &known);
                return;
            }
            SignalKind::Head => {
                let head = name.split_once(':').map(|(head, _)| head);
                let elsewhere = head.is_some_and(|head| self.sidecar_heads.contains(head));
                if let Some(labels) = self.labels.as_ref().filter(|_| !elsewhere) {
                    let labels = labels.iter().map(String::as_str).collect();
                    c.known(path, "head and label", name, &labels);
                }
                return;
            }
        };
        c.known(path, what, name, known);
    }
}
