//! Keys of vLLM Semantic Router that Turnpike has not, under their names in the flat family, with what becomes of each.
//!
//! Refused is what would change which model answers, or drop a guard, if it were ignored. The rest is accepted.

use super::fate::Fate::{Missing, NoEffect, Only, Switch};
use super::fate::Table;

const OWN_MODELS: &str = "the models of the router and of `sidecar` read the texts";
const ENCODER: &str = "`sidecar.encoder` names the model";
const NO_SIGNAL: &str = "there is no such signal; a decision that reads it is refused";
const NO_PLUGIN: &str = "only plugins and conditions that are refused here read it";
const NO_SERVICE: &str = "there is no such service";
const NOTHING_KEPT: &str = "nothing is recorded; the access log tells what was decided";
const DESCRIPTION: &str = "it only describes the model";
const READ_WHOLE: &str =
    "texts are read whole, in windows, the conversation before the last message too";
const CREDENTIALS: &str = "keys are not sent by Turnpike: the client's `authorization` goes on, or Envoy's credential injector sets one";
const CANDIDATES: &str = "samples are compared one by one";
const TEXTS_ONLY: &str = "only texts are compared";
const ENVOY_BALANCES: &str =
    "the rendered clusters have their own health checks, retries and outlier detection";
const BODY_LIMIT: &str = "`limits.max_body_bytes` decides";
const CACHE_STORE: &str = "`backend_type` has no such store";
const CACHE_INDEX: &str = "the store indexes by itself";
const FALLBACK: &str =
    "a failed request is tried again at endpoints of the same model; no other model is tried";

/// Sections and lists.
pub(super) const SECTIONS: &Table = &[
    ("setup", NoEffect(NO_SERVICE)),
    (
        "config_source",
        Only(&["file"], "the configuration is a file"),
    ),
    ("mom_registry", NoEffect(OWN_MODELS)),
    ("embedding_models", NoEffect(ENCODER)),
    ("external_models", NoEffect(OWN_MODELS)),
    ("model_catalog", NoEffect(OWN_MODELS)),
    ("model_bindings", NoEffect(OWN_MODELS)),
    ("complexity_model", NoEffect(ENCODER)),
    ("safety_models", NoEffect(NO_SIGNAL)),
    ("hallucination_mitigation", NoEffect(NO_PLUGIN)),
    ("feedback_detector", NoEffect(NO_SIGNAL)),
    ("modality_detector", NoEffect(NO_SIGNAL)),
    ("prompt_compression", NoEffect(READ_WHOLE)),
    ("jailbreak_mapping_path", NoEffect(OWN_MODELS)),
    (
        "evaluation",
        NoEffect("`quality_score` and `score` say how good a model is"),
    ),
    (
        "evaluation_catalog",
        NoEffect("`quality_score` and `score` say how good a model is"),
    ),
    (
        "response_api",
        NoEffect(
            "`/v1/responses` goes to the servers as it is; nothing is kept for `previous_response_id`",
        ),
    ),
    ("router_replay", NoEffect(NOTHING_KEPT)),
    ("data_policy", NoEffect(NOTHING_KEPT)),
    ("api", NoEffect(NO_SERVICE)),
    ("management_api", NoEffect(NO_SERVICE)),
    ("startup_status", NoEffect(NO_SERVICE)),
    ("backend_dispatch", NoEffect(NO_SERVICE)),
    (
        "backend_egress",
        NoEffect("Envoy reaches the configured servers and no others"),
    ),
    ("billing", NoEffect("`pricing.currency` of a model decides")),
    (
        "observability",
        NoEffect("metrics and access log are Envoy's (`envoy`, `telemetry`)"),
    ),
    ("looper", NoEffect(NO_PLUGIN)),
    (
        "tools",
        NoEffect("tools of a request go on as the client sent them"),
    ),
    ("tool_sessions", NoEffect(NO_PLUGIN)),
    ("vector_store", NoEffect(NO_PLUGIN)),
    ("kv_transfer", NoEffect(NO_SERVICE)),
    ("image_gen_backends", NoEffect(NO_PLUGIN)),
    ("provider_profiles", NoEffect(CREDENTIALS)),
    ("skip_processing", NoEffect("no request is let past")),
    ("streamed_body", NoEffect(BODY_LIMIT)),
    ("streamed_body_mode", NoEffect(BODY_LIMIT)),
    ("max_streamed_body_bytes", NoEffect(BODY_LIMIT)),
    ("streamed_body_timeout_sec", NoEffect(BODY_LIMIT)),
    ("fallback", NoEffect(FALLBACK)),
    ("fact_check_rules", NoEffect(NO_SIGNAL)),
    ("user_feedback_rules", NoEffect(NO_SIGNAL)),
    ("reask_rules", NoEffect(NO_SIGNAL)),
    ("preference_rules", NoEffect(NO_SIGNAL)),
    ("modality_rules", NoEffect(NO_SIGNAL)),
    ("kb", NoEffect(NO_SIGNAL)),
    ("events", NoEffect(NO_SIGNAL)),
    ("classifiers", NoEffect(NO_SIGNAL)),
    ("safety", NoEffect(NO_SIGNAL)),
    ("hallucination", NoEffect(NO_SIGNAL)),
    ("input_modality", NoEffect(NO_SIGNAL)),
    ("decision_signals", NoEffect(NO_SIGNAL)),
    (
        "memory",
        Switch(
            "requests are not enriched with memories: do it before the gateway, and switch this off",
        ),
    ),
    (
        "ratelimit",
        Missing("limit requests by Envoy's rate limit filters or by Kuadrant, before the router"),
    ),
    (
        "router_learning",
        Switch(
            "models are chosen by a decision's `algorithm`; `algorithm.sticky` keeps a conversation with its model",
        ),
    ),
    (
        "candidate_requirements",
        Missing(
            "name only models in `modelRefs` that can answer; conditions of type `context` and `conversation` tell long requests, tools and images",
        ),
    ),
    (
        "listeners.*.name",
        NoEffect("the rendered listener has its own name"),
    ),
    (
        "listeners.*.timeout",
        NoEffect("`envoy.stream_idle_timeout_ms` ends streams that stand still"),
    ),
    (
        "listeners.*.api_keys",
        Missing("check keys by Envoy's `api_key_auth` or `jwt_authn` filter, before Turnpike's"),
    ),
];

/// Servers and models.
pub(super) const MODELS: &Table = &[
    (
        "vllm_endpoints.*.type",
        NoEffect("the API of a request decides"),
    ),
    (
        "vllm_endpoints.*.provider",
        NoEffect("the API of a request decides"),
    ),
    (
        "vllm_endpoints.*.model",
        NoEffect("`preferred_endpoints` of the model decides"),
    ),
    ("vllm_endpoints.*.provider_profile", NoEffect(CREDENTIALS)),
    ("vllm_endpoints.*.api_key", NoEffect(CREDENTIALS)),
    ("vllm_endpoints.*.api_key_env", NoEffect(CREDENTIALS)),
    ("vllm_endpoints.*.auth_header", NoEffect(CREDENTIALS)),
    ("vllm_endpoints.*.auth_prefix", NoEffect(CREDENTIALS)),
    (
        "vllm_endpoints.*.backend_id",
        NoEffect("load is not read from the servers"),
    ),
    (
        "vllm_endpoints.*.engine_kind",
        NoEffect("load is not read from the servers"),
    ),
    (
        "vllm_endpoints.*.metrics_port",
        NoEffect("load is not read from the servers"),
    ),
    (
        "vllm_endpoints.*.metrics_path",
        NoEffect("load is not read from the servers"),
    ),
    (
        "vllm_endpoints.*.extra_headers",
        Missing("set headers by the plugin `header_mutation` of the decisions"),
    ),
    (
        "vllm_endpoints.*.api_version",
        Missing("paths are not rewritten: put a proxy that does in between"),
    ),
    (
        "vllm_endpoints.*.chat_path",
        Only(
            &["/chat/completions", "/v1/chat/completions"],
            "paths are not rewritten: put a proxy that does in between",
        ),
    ),
    (
        "model_config.*.api_format",
        Only(
            &["openai"],
            "requests are not translated from one API into another: name a server with OpenAI's API",
        ),
    ),
    ("model_config.*.access_key", NoEffect(CREDENTIALS)),
    ("model_config.*.param_size", NoEffect(DESCRIPTION)),
    ("model_config.*.context_window_size", NoEffect(DESCRIPTION)),
    ("model_config.*.max_output_tokens", NoEffect(DESCRIPTION)),
    ("model_config.*.description", NoEffect(DESCRIPTION)),
    ("model_config.*.display_name", NoEffect(DESCRIPTION)),
    ("model_config.*.publisher", NoEffect(DESCRIPTION)),
    ("model_config.*.presentation", NoEffect(DESCRIPTION)),
    ("model_config.*.distribution", NoEffect(DESCRIPTION)),
    ("model_config.*.family", NoEffect(DESCRIPTION)),
    ("model_config.*.revision", NoEffect(DESCRIPTION)),
    ("model_config.*.released_at", NoEffect(DESCRIPTION)),
    ("model_config.*.knowledge_cutoff", NoEffect(DESCRIPTION)),
    ("model_config.*.lifecycle", NoEffect(DESCRIPTION)),
    ("model_config.*.capabilities", NoEffect(DESCRIPTION)),
    ("model_config.*.modality", NoEffect(DESCRIPTION)),
    ("model_config.*.modalities", NoEffect(DESCRIPTION)),
    ("model_config.*.tags", NoEffect(DESCRIPTION)),
    ("model_config.*.catalog", NoEffect(DESCRIPTION)),
    (
        "model_config.*.reasoning",
        NoEffect("`reasoning_family` of the model decides"),
    ),
    ("model_config.*.control", NoEffect(ENVOY_BALANCES)),
    (
        "model_config.*.loras",
        NoEffect("`lora_name` of a model ref names the adapter"),
    ),
    ("model_config.*.reliability", NoEffect(ENVOY_BALANCES)),
    (
        "model_config.*.external_model_ids",
        NoEffect("`provider_model_id` names the model for its servers"),
    ),
    (
        "model_config.*.pricing.cache_write_per_1m",
        NoEffect("writing to a server's cache costs as any prompt token"),
    ),
];

/// Classifiers, guards, cache.
pub(super) const READERS: &Table = &[
    (
        "classifier.category_model.use_mmbert_32k",
        NoEffect(OWN_MODELS),
    ),
    ("classifier.category_model.variant", NoEffect(OWN_MODELS)),
    ("classifier.category_model.model_ref", NoEffect(OWN_MODELS)),
    ("classifier.category_model.backend", NoEffect(OWN_MODELS)),
    (
        "classifier.category_model.max_sequence_length",
        NoEffect(READ_WHOLE),
    ),
    ("classifier.category_mapping_path", NoEffect(OWN_MODELS)),
    ("classifier.pii_model.use_mmbert_32k", NoEffect(OWN_MODELS)),
    ("classifier.pii_model.model_ref", NoEffect(OWN_MODELS)),
    ("classifier.pii_model.backend", NoEffect(OWN_MODELS)),
    (
        "classifier.pii_model.max_sequence_length",
        NoEffect(READ_WHOLE),
    ),
    ("classifier.pii_model.window", NoEffect(READ_WHOLE)),
    (
        "classifier.pii_model.on_error",
        NoEffect(
            "it is found in the proxy; `guards.on_budget` says what happens to a text that is too long",
        ),
    ),
    ("classifier.pii_mapping_path", NoEffect(OWN_MODELS)),
    ("classifier.preference_model", NoEffect(NO_SIGNAL)),
    ("classifier.complexity_model", NoEffect(ENCODER)),
    (
        "classifier.mcp_category_model",
        Switch(
            "have categories told by `sidecar.llm_classifier` or `sidecar.classifiers`, and read them by conditions of type `llm` or `head`",
        ),
    ),
    ("prompt_guard.use_vllm", NoEffect(OWN_MODELS)),
    ("prompt_guard.use_mmbert_32k", NoEffect(OWN_MODELS)),
    ("prompt_guard.variant", NoEffect(OWN_MODELS)),
    ("prompt_guard.model_ref", NoEffect(OWN_MODELS)),
    ("prompt_guard.backend", NoEffect(OWN_MODELS)),
    ("prompt_guard.positive_labels", NoEffect(OWN_MODELS)),
    ("prompt_guard.max_sequence_length", NoEffect(READ_WHOLE)),
    ("prompt_guard.window", NoEffect(READ_WHOLE)),
    (
        "prompt_guard.on_error",
        NoEffect(
            "attacks are found in the proxy; `guards.on_budget` says what happens to a text that is too long",
        ),
    ),
    ("semantic_cache.use_hnsw", NoEffect(CACHE_INDEX)),
    ("semantic_cache.hnsw_m", NoEffect(CACHE_INDEX)),
    ("semantic_cache.hnsw_ef_construction", NoEffect(CACHE_INDEX)),
    ("semantic_cache.hnsw_ef_search", NoEffect(CACHE_INDEX)),
    ("semantic_cache.embedding_model", NoEffect(ENCODER)),
    (
        "semantic_cache.max_memory_entries",
        NoEffect("`max_entries` decides"),
    ),
    ("semantic_cache.backend_config_path", NoEffect(CACHE_STORE)),
    ("semantic_cache.milvus", NoEffect(CACHE_STORE)),
    ("semantic_cache.valkey", NoEffect(CACHE_STORE)),
    ("semantic_cache.qdrant", NoEffect(CACHE_STORE)),
    (
        "semantic_cache.polarity_guard",
        NoEffect("a negation never matches; `second_opinion` asks a model, too"),
    ),
];

/// Signals and what is made of them.
pub(super) const SIGNALS: &Table = &[
    (
        "keyword_rules.*.bm25_threshold",
        NoEffect("only `method: bm25`, which is refused, reads it"),
    ),
    (
        "keyword_rules.*.ngram_threshold",
        NoEffect("only `method: ngram`, which is refused, reads it"),
    ),
    (
        "keyword_rules.*.ngram_arity",
        NoEffect("only `method: ngram`, which is refused, reads it"),
    ),
    (
        "embedding_rules.*.query_modality",
        Only(&["text"], TEXTS_ONLY),
    ),
    ("embedding_rules.*.prototype_scoring", NoEffect(CANDIDATES)),
    ("embedding_rules.*.image_candidates", Missing(TEXTS_ONLY)),
    (
        "embedding_rules.*.negative_candidates",
        Missing("use one of `complexity_rules`, which compares with samples of two kinds"),
    ),
    (
        "embedding_rules.*.negative_image_candidates",
        Missing(TEXTS_ONLY),
    ),
    ("complexity_rules.*.prototype_scoring", NoEffect(CANDIDATES)),
    (
        "complexity_rules.*.hard.image_candidates",
        Missing(TEXTS_ONLY),
    ),
    (
        "complexity_rules.*.easy.image_candidates",
        Missing(TEXTS_ONLY),
    ),
    (
        "complexity_rules.*.composer",
        Missing("write its conditions into the `rules` of the decisions"),
    ),
    ("jailbreak_rules.*.method", NoEffect(OWN_MODELS)),
    (
        "jailbreak_rules.*.jailbreak_patterns",
        NoEffect(
            "a trained model knows attacks; `turnpike train-head` makes one of your own samples",
        ),
    ),
    (
        "jailbreak_rules.*.benign_patterns",
        NoEffect(
            "a trained model knows attacks; `turnpike train-head` makes one of your own samples",
        ),
    ),
    ("jailbreak_rules.*.include_history", NoEffect(READ_WHOLE)),
    ("pii_rules.*.include_history", NoEffect(READ_WHOLE)),
    (
        "metadata_rules.*.predicate.exists",
        Only(&["true"], "negate the condition in the decision's `rules`"),
    ),
    (
        "projections.partitions",
        Missing("read the signals one by one; the decision with the highest priority wins"),
    ),
    (
        "projections.scores.*.inputs.*.match",
        Only(&["1", "1.0"], "put it into `weight`"),
    ),
    (
        "projections.scores.*.inputs.*.miss",
        Only(&["0", "0.0"], "read the signal in a decision's `rules`"),
    ),
    ("projections.scores.*.inputs.*.kb", NoEffect(NO_SIGNAL)),
    ("projections.scores.*.inputs.*.metric", NoEffect(NO_SIGNAL)),
];

/// Decisions, but for conditions, algorithms and plugins.
pub(super) const DECISIONS: &Table = &[
    (
        "decisions.*.annotations",
        NoEffect("it only describes the decision"),
    ),
    (
        "decisions.*.adaptations",
        NoEffect("only learning, which is refused, reads it"),
    ),
    ("decisions.*.data_policy", NoEffect(NOTHING_KEPT)),
    ("decisions.*.fallback", NoEffect(FALLBACK)),
    (
        "decisions.*.emits.*.retention.drop",
        Missing("switch the cache of the decision off by the plugin `semantic-cache`"),
    ),
    (
        "decisions.*.action",
        Missing(
            "`prompt_guard` stops attacks in requests for any model; the plugin `pii` with `action: route_to` reroutes personal data",
        ),
    ),
    (
        "decisions.*.candidateIterations",
        Missing("name the models in `modelRefs`"),
    ),
    (
        "decisions.*.modelSelectionAlgorithm",
        Missing("choose by `algorithm`"),
    ),
    (
        "decisions.*.output_contract",
        Missing("say it in the plugin `system_prompt`"),
    ),
    (
        "decisions.*.output_contract_spec",
        Missing("say it in the plugin `system_prompt`"),
    ),
];

/// What is left of `decisions[].emits` when `drop` was looked at.
pub(super) const EMITS: &Table = &[(
    "decisions.*.emits",
    NoEffect("no model keeps anything of a conversation here"),
)];
