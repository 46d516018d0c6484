//! What `sidecar` may hold.

use super::validate::Checker;
use super::{Config, LlmClassifierConfig, LlmEngine, SidecarConfig};
use crate::cache::SecondOpinionConfig;
use crate::decision::{HEADS, Plugin, SemanticCachePluginConfig};
use crate::sidecar::{CATEGORY_HEAD, COMPLEXITY_HEAD, EMBEDDING_HEAD, LLM_HEAD, SECOND_OPINION};

impl Config {
    pub(super) fn check_sidecar(&self, c: &mut Checker) {
        let sidecar = &self.sidecar;
        if sidecar.timeout_ms == 0 {
            c.error("sidecar.timeout_ms", "must be at least 1, got 0");
        }
        if sidecar.max_concurrent_requests == 0 {
            c.error(
                "sidecar.max_concurrent_requests",
                "must be at least 1, got 0",
            );
        }
        if !(8..=8192).contains(&sidecar.encoder.max_tokens) {
            c.error(
                "sidecar.encoder.max_tokens",
                format!(
                    "must be between 8 and 8192, got {}",
                    sidecar.encoder.max_tokens
                ),
            );
        }
        // `sun_path` of Linux holds 108 bytes with the closing zero.
        if sidecar.unix_socket.len() > 107 {
            c.error(
                "sidecar.unix_socket",
                format!(
                    "must have at most 107 bytes, got {}",
                    sidecar.unix_socket.len()
                ),
            );
        }
        check_device(c, &sidecar.device);
        check_access(c, sidecar);
        check_batching(c, sidecar);
        let names = sidecar.heads.iter().map(|head| head.name.as_str());
        c.unique("sidecar.heads", names);
        for (i, head) in sidecar.heads.iter().enumerate() {
            let at = format!("sidecar.heads[{i}]");
            c.not_empty(format!("{at}.path"), &head.path);
            c.unit_interval(&format!("{at}.threshold"), head.threshold);
            self.check_head_name(c, &at, &head.name);
        }
        let names = sidecar.classifiers.iter().map(|m| m.name.as_str());
        c.unique("sidecar.classifiers", names);
        for (i, model) in sidecar.classifiers.iter().enumerate() {
            let at = format!("sidecar.classifiers[{i}]");
            check_source(c, &at, &model.path, &model.repository);
            if model.max_tokens != 0 {
                within(c, &format!("{at}.max_tokens"), model.max_tokens, 8, 8192);
            }
            c.unit_interval(&format!("{at}.threshold"), model.threshold);
            self.check_head_name(c, &at, &model.name);
        }
        if let Some(llm) = &sidecar.llm_classifier {
            check_llm(c, llm);
        }
        if let Some(second_opinion) = &self.semantic_cache.second_opinion {
            self.check_second_opinion(c, second_opinion);
        }
    }

    fn check_second_opinion(&self, c: &mut Checker, second_opinion: &SecondOpinionConfig) {
        const AT: &str = "semantic_cache.second_opinion";
        check_source(c, AT, &second_opinion.path, &second_opinion.repository);
        if let Some(label) = &second_opinion.label {
            c.not_empty(format!("{AT}.label"), label);
        }
        let thresholds = [
            ("threshold", Some(second_opinion.threshold)),
            ("accept_threshold", second_opinion.accept_threshold),
        ];
        for (key, threshold) in thresholds {
            // At 0 every pair would be the same. Not a number is in no range.
            if let Some(threshold) = threshold.filter(|t| !(*t > 0.0 && *t <= 1.0)) {
                c.error(
                    format!("{AT}.{key}"),
                    format!("must be above 0 and at most 1, got {threshold}"),
                );
            }
        }
        let below = second_opinion.below_similarity;
        let at = format!("{AT}.below_similarity");
        let least = self.least_similarity();
        if !(0.0..=1.0).contains(&below) {
            c.unit_interval(&at, below);
        } else if below <= least && second_opinion.accept_threshold.is_none() {
            c.error(
                at,
                format!(
                    "must be above {least}, the lowest `similarity_threshold`, or no question is ever checked; got {below}"
                ),
            );
        }
    }

    /// The lowest `similarity_threshold`, those of decisions included.
    fn least_similarity(&self) -> f32 {
        let plugins = self.decisions.iter().flat_map(|d| &d.plugins);
        let own = plugins.filter_map(|plugin| match plugin.read("") {
            Ok(Plugin::SemanticCache(SemanticCachePluginConfig {
                enabled: true,
                similarity_threshold,
            })) => similarity_threshold,
            _ => None,
        });
        own.fold(self.semantic_cache.similarity_threshold, f32::min)
    }

    /// A name that conditions can tell from its label and from other heads.
    fn check_head_name(&self, c: &mut Checker, at: &str, name: &str) {
        let taken = HEADS.iter().any(|(head, _)| *head == name)
            || [
                CATEGORY_HEAD,
                COMPLEXITY_HEAD,
                EMBEDDING_HEAD,
                LLM_HEAD,
                SECOND_OPINION,
            ]
            .contains(&name)
            || self
                .classifier
                .heads
                .iter()
                .any(|h| h.about().is_some_and(|(own, _)| own == name));
        let elsewhere = self.sidecar.heads.iter().map(|head| &head.name);
        let elsewhere = elsewhere.chain(self.sidecar.classifiers.iter().map(|model| &model.name));
        if name.contains(':') {
            c.error(
                format!("{at}.name"),
                "must not hold `:`, which divides head and label",
            );
        } else if taken || elsewhere.filter(|other| *other == name).count() > 1 {
            c.error(
                format!("{at}.name"),
                format!("`{name}` is taken by another head"),
            );
        }
    }
}

fn within(c: &mut Checker, path: &str, value: u32, least: u32, most: u32) {
    if !(least..=most).contains(&value) {
        c.error(
            path,
            format!("must be between {least} and {most}, got {value}"),
        );
    }
}

fn check_source(c: &mut Checker, at: &str, path: &str, repository: &str) {
    if path.is_empty() && repository.is_empty() {
        c.error(
            format!("{at}.path"),
            "name a folder here, or a Hugging Face repository in `repository`",
        );
    }
}

fn check_device(c: &mut Checker, device: &str) {
    let (kind, number) = device.split_once(':').unwrap_or((device, "0"));
    let gpu = matches!(kind, "cuda" | "tensorrt") && number.parse::<u16>().is_ok();
    let known = gpu || matches!(device, "cpu" | "auto");
    if !known {
        c.error(
            "sidecar.device",
            format!("must be `cpu`, `cuda`, `cuda:N`, `tensorrt`, `tensorrt:N` or `auto`, got `{device}`"),
        );
    }
}

fn check_access(c: &mut Checker, sidecar: &SidecarConfig) {
    let access = &sidecar.tcp_access;
    let at = |key: &str| format!("sidecar.tcp_access.{key}");
    match (
        access.certificate_file.is_empty(),
        access.private_key_file.is_empty(),
    ) {
        (false, true) => c.error(at("private_key_file"), "is needed with `certificate_file`"),
        (true, false) => c.error(at("certificate_file"), "is needed with `private_key_file`"),
        _ => {}
    }
    if !access.client_ca_file.is_empty() && access.certificate_file.is_empty() {
        c.error(
            at("client_ca_file"),
            "needs TLS: `certificate_file` and `private_key_file`",
        );
    }
    if sidecar.unix_socket.is_empty() && !access.is_open() {
        c.error(
            "sidecar.unix_socket",
            "must be set with `sidecar.tcp_access`: Envoy reaches the sidecar by it, and shows neither token nor certificate",
        );
    }
}

fn check_batching(c: &mut Checker, sidecar: &SidecarConfig) {
    let batching = &sidecar.batching;
    let at = |key: &str| format!("sidecar.batching.{key}");
    within(c, &at("max_batch_size"), batching.max_batch_size, 0, 1024);
    within(c, &at("max_wait_ms"), batching.max_wait_ms, 0, 100);
    within(
        c,
        &at("queue"),
        batching.queue,
        batching.max_batch_size.clamp(1, 1024),
        1 << 20,
    );
    within(c, &at("max_tokens"), batching.max_tokens, 0, 1 << 20);
}

fn check_llm(c: &mut Checker, llm: &LlmClassifierConfig) {
    let at = |key: &str| format!("sidecar.llm_classifier.{key}");
    match llm.engine {
        LlmEngine::OpenAi => {
            if !(llm.url.starts_with("http://") || llm.url.starts_with("https://")) {
                c.error(
                    at("url"),
                    format!("must start with `http://` or `https://`, got `{}`", llm.url),
                );
            }
            let authority = llm
                .url
                .split("://")
                .nth(1)
                .and_then(|rest| rest.split('/').next());
            if authority.is_some_and(|authority| authority.contains('@')) {
                c.error(
                    at("url"),
                    "must not hold a user or password; `api_key_env` names a key",
                );
            }
            c.not_empty(at("model"), &llm.model);
        }
        LlmEngine::Onnx => check_source(c, "sidecar.llm_classifier", &llm.path, &llm.repository),
    }
    let list = at("labels");
    let names = c.unique(&list, llm.labels.iter().map(|label| label.name.as_str()));
    if names.len() < 2 {
        c.error(list, "must name at least two labels");
    }
    for (i, label) in llm.labels.iter().enumerate() {
        if label.name != label.name.trim() {
            c.error(
                at(&format!("labels[{i}].name")),
                "must not begin or end with spaces",
            );
        }
    }
    c.known(at("default_label"), "label", &llm.default_label, &names);
    within(c, &at("max_tokens"), llm.max_tokens, 16, 1 << 17);
    within(c, &at("timeout_ms"), llm.timeout_ms, 1, 600_000);
    within(c, &at("max_concurrent"), llm.max_concurrent, 1, 65_536);
    within(c, &at("max_retries"), llm.max_retries, 0, 10);
}
