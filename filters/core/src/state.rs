//! Filter state: what the filters tell each other and the access log, under `wasm.<key>`.

/// Who called (meter → router, log).
pub const USER: &str = "turnpike.user";
/// Their tier (meter → router, log).
pub const TIER: &str = "turnpike.tier";
/// Their groups, as their source writes them; absent when there are none (meter → log).
pub const GROUPS: &str = "turnpike.groups";
/// Their tenant; absent when no source names one (meter → router, log).
pub const TENANT: &str = "turnpike.tenant";
/// Which of user and tier came from the gateway rather than from a fallback: `user,tier`, `user`, `tier` or empty
/// (meter → router).
pub const IDENTIFIED: &str = "turnpike.identified";
/// All that the router tells the meter, packed; not for others (router → meter).
pub const ROUTE: &str = "turnpike.route";
/// Model that serves (router → log).
pub const MODEL: &str = "turnpike.model";
/// Decision that chose it; [`NONE`] when the client named the model (router → log).
pub const DECISION: &str = "turnpike.decision";
/// Category of the request, [`NONE`] when none was found or asked for (router → log).
pub const CATEGORY: &str = "turnpike.category";
/// `on` or `off` (router → log).
pub const REASONING: &str = "turnpike.reasoning";
/// `hit`, `miss` or `skip` (router → log).
pub const CACHE: &str = "turnpike.cache";
/// `true` when a system prompt was injected (router → log).
pub const SYSTEM_PROMPT: &str = "turnpike.system_prompt";
/// Why a step fell back; absent otherwise (router → log).
pub const FALLBACK: &str = "turnpike.fallback";
/// Code of the error reply, absent otherwise (router, meter → log).
pub const BLOCK: &str = "turnpike.block";
/// Kinds of personal data that a guard found, separated by commas; absent otherwise (router → log).
pub const PII_TYPES: &str = "turnpike.pii_types";
/// `true` when a guard found an attack; absent otherwise (router → log).
pub const JAILBREAK: &str = "turnpike.jailbreak";
/// What an output guard found in the answer; absent otherwise (router → log).
pub const RESPONSE_WARNINGS: &str = "turnpike.response_warnings";
/// What was seen of an answer that the client does not get; not for others (router → meter).
pub const WITHHELD: &str = "turnpike.withheld";
/// `true` when the client asked for a stream (router → log).
pub const STREAM: &str = "turnpike.stream";
/// Prompt tokens counted (meter → log).
pub const PROMPT_TOKENS: &str = "turnpike.prompt_tokens";
/// Completion tokens counted (meter → log).
pub const COMPLETION_TOKENS: &str = "turnpike.completion_tokens";
/// `true` when the tokens were estimated (meter → log).
pub const ESTIMATED: &str = "turnpike.estimated";
/// Session that the client names (meter → log).
pub const SESSION: &str = "turnpike.session";
/// `true` when the request took longer than it may (meter → log).
pub const SLOW: &str = "turnpike.slow";
/// Milliseconds from the complete request to its route, with two decimals (router → log).
pub const TIMING_CLASSIFICATION: &str = "turnpike.timing.classification_ms";
/// Microseconds that the router computed (router → log).
pub const TIMING_ROUTER: &str = "turnpike.timing.router_us";
/// Microseconds that the router waited for the sidecar (router → log).
pub const TIMING_SIDECAR: &str = "turnpike.timing.sidecar_us";

/// `true` or `false`.
#[must_use]
pub fn flag(is: bool) -> &'static [u8] {
    if is { b"true" } else { b"false" }
}

/// Value of a label or header where there is nothing to name.
pub const NONE: &str = "none";
/// Value of the model label of requests that reached no model.
pub const UNKNOWN: &str = "unknown";
