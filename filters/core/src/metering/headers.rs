//! What a response says in its headers. Names are made once, when the configuration is read.

use super::guards::Guards;
use crate::host::Host;
use crate::identity::MaasHeadersConfig;
use crate::output::WARNINGS_HEADER;
use crate::record::{Cache, Record, debug_headers};

/// Names of the response headers; `None` = not exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeaderNames {
    /// Inbound headers with this start are stripped, beside `x-vsr-`.
    pub(super) prefix: String,
    routing: Option<RoutingNames>,
    cache: Option<CacheNames>,
    security: Option<SecurityNames>,
    fallback: String,
    response_warnings: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RoutingNames {
    model: String,
    decision: String,
    category: String,
    reasoning: String,
    system_prompt: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheNames {
    hit: String,
    similarity: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SecurityNames {
    pii_types: String,
    jailbreak: String,
}

impl HeaderNames {
    /// Names of vLLM Semantic Router.
    pub(super) fn standalone() -> Self {
        Self {
            prefix: "x-vsr-".into(),
            routing: Some(RoutingNames {
                model: "x-vsr-selected-model".into(),
                decision: "x-vsr-selected-decision".into(),
                category: "x-vsr-selected-category".into(),
                reasoning: "x-vsr-selected-reasoning".into(),
                system_prompt: "x-vsr-injected-system-prompt".into(),
            }),
            cache: Some(CacheNames {
                hit: "x-vsr-cache-hit".into(),
                similarity: "x-vsr-cache-similarity".into(),
            }),
            security: None,
            fallback: "x-vsr-fallback".into(),
            response_warnings: WARNINGS_HEADER.into(),
        }
    }

    /// Names of seed 001.
    pub(super) fn maas(config: &MaasHeadersConfig) -> Self {
        let prefix = config.prefix.to_ascii_lowercase();
        let name = |end: &str| format!("{prefix}{end}");
        Self {
            routing: config.export_routing.then(|| RoutingNames {
                model: name("model-selected"),
                decision: name("decision"),
                category: name("category"),
                reasoning: name("reasoning-enabled"),
                system_prompt: name("system-prompt-injected"),
            }),
            cache: config.export_cache.then(|| CacheNames {
                hit: name("cache-hit"),
                similarity: name("cache-similarity"),
            }),
            security: config.export_security.then(|| SecurityNames {
                pii_types: name("pii-types"),
                jailbreak: name("jailbreak-blocked"),
            }),
            fallback: name("fallback"),
            response_warnings: name("response-warnings"),
            prefix,
        }
    }

    /// Writes what is known about the route into the response.
    pub(super) fn tell(&self, record: &Record, guards: &Guards, host: &mut impl Host) {
        if let Some(names) = &self.routing {
            host.set_response_header(&names.model, record.model.as_bytes());
            host.set_response_header(&names.decision, record.decision.as_bytes());
            host.set_response_header(&names.category, record.category.as_bytes());
            host.set_response_header(&names.reasoning, record.reasoning().as_bytes());
            host.set_response_header(
                &names.system_prompt,
                if record.system_prompt {
                    b"true"
                } else {
                    b"false"
                },
            );
        }
        if let Some(names) = &self.cache {
            let hit = if record.cache == Cache::Hit {
                "true"
            } else {
                "false"
            };
            host.set_response_header(&names.hit, hit.as_bytes());
            if !record.similarity.is_empty() {
                host.set_response_header(&names.similarity, record.similarity.as_bytes());
            }
        }
        if let Some(names) = &self.security {
            if !guards.pii_types.is_empty() {
                host.set_response_header(&names.pii_types, guards.pii_types.as_bytes());
            }
            if guards.jailbreak {
                host.set_response_header(&names.jailbreak, b"true");
            }
        }
        for (name, value) in debug_headers(&record.debug) {
            host.set_response_header(name, value.as_bytes());
        }
        if !record.fallback.is_empty() {
            host.set_response_header(&self.fallback, record.fallback.as_bytes());
        }
        if !record.response_warnings.is_empty() {
            let warnings = record.response_warnings.as_bytes();
            host.set_response_header(&self.response_warnings, warnings);
        }
    }
}
