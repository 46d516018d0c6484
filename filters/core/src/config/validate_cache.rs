//! Checks of `semantic_cache`.

use super::validate::Checker;
use crate::cache::{BackendType, RedisConfig, SemanticCacheConfig};
use crate::sidecar::MAX_COALESCE_WAIT_MS;

/// Ten years.
const MAX_TTL_SECONDS: u64 = 315_360_000;

pub(super) fn check_cache(c: &mut Checker, cache: &SemanticCacheConfig) {
    c.unit_interval(
        "semantic_cache.similarity_threshold",
        cache.similarity_threshold,
    );
    if cache.max_entries == 0 {
        c.error("semantic_cache.max_entries", "must be at least 1, got 0");
    }
    if cache.ttl_seconds == 0 {
        c.error("semantic_cache.ttl_seconds", "must be at least 1, got 0");
    }
    if cache.ttl_seconds > MAX_TTL_SECONDS {
        let message = format!(
            "must be at most {MAX_TTL_SECONDS}, got {}",
            cache.ttl_seconds
        );
        c.error("semantic_cache.ttl_seconds", message);
    }
    if cache.max_bytes == 0 {
        c.error("semantic_cache.max_bytes", "must be at least 1, got 0");
    }
    if !(0.0..=2.0).contains(&cache.max_temperature) {
        let message = format!("must be between 0 and 2, got {}", cache.max_temperature);
        c.error("semantic_cache.max_temperature", message);
    }
    if cache.finish_reasons.is_empty() {
        c.error("semantic_cache.finish_reasons", "must name at least one");
    }
    if cache.coalesce_wait_ms > MAX_COALESCE_WAIT_MS {
        let message = format!(
            "must be at most {MAX_COALESCE_WAIT_MS}, got {}",
            cache.coalesce_wait_ms
        );
        c.error("semantic_cache.coalesce_wait_ms", message);
    }
    let known = ["stop", "tool_calls", "function_call"];
    for (at, reason) in cache.finish_reasons.iter().enumerate() {
        if !known.contains(&reason.as_str()) {
            c.error(
                format!("semantic_cache.finish_reasons[{at}]"),
                format!("must be one of {}, got `{reason}`", known.join(", ")),
            );
        }
    }
    check_backend(c, cache);
}

/// That the keys of one store do not stand beside the other's.
fn check_backend(c: &mut Checker, cache: &SemanticCacheConfig) {
    match (cache.backend_type, &cache.redis) {
        (BackendType::Memory, None) => {}
        (BackendType::Memory, Some(_)) => {
            c.error("semantic_cache.redis", "needs `backend_type: redis`");
        }
        (BackendType::Redis, None) => c.error(
            "semantic_cache.redis",
            "is needed with `backend_type: redis`, with its `url` at least",
        ),
        (BackendType::Redis, Some(redis)) => check_redis(c, redis),
    }
    if cache.backend_type == BackendType::Redis && !cache.path.is_empty() {
        c.error(
            "semantic_cache.path",
            "is a folder of `backend_type: memory`; Redis keeps the entries itself",
        );
    }
}

fn check_redis(c: &mut Checker, redis: &RedisConfig) {
    let at = |key: &str| format!("semantic_cache.redis.{key}");
    match redis.address() {
        Err(message) => c.error(at("url"), message),
        Ok(address) => {
            if redis.cluster && address.database != 0 {
                c.error(
                    at("url"),
                    format!("a cluster has database 0 alone, got {}", address.database),
                );
            }
            if !address.tls && !redis.ca_file.is_empty() {
                c.error(
                    at("ca_file"),
                    "needs TLS: a `url` that begins with `rediss://`",
                );
            }
        }
    }
    // Others would mean something in a pattern of keys, or choose a cluster's slot.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    let prefix = &redis.key_prefix;
    if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(allowed) {
        c.error(
            at("key_prefix"),
            format!("must be 1 to 64 letters, digits, `-`, `_`, `.` or `:`, got `{prefix}`"),
        );
    }
    if !(1..=10_000).contains(&redis.timeout_ms) {
        c.error(
            at("timeout_ms"),
            format!("must be between 1 and 10000, got {}", redis.timeout_ms),
        );
    }
}
