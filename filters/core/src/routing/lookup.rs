//! The cache lookup of a request, and what a stored answer becomes.

use super::route::{Route, Router};
use super::signals::Signals;
use super::work::Work;
use crate::cache::Skip;
use crate::host::{Flow, Host, LocalReply};
use crate::metrics::Metric;
use crate::sidecar::CacheHit;
use crate::state;

/// A cache lookup.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub(super) partition: String,
    pub(super) text: String,
}

/// Whether the cache is asked, and under which key.
pub(super) fn plan_lookup<S: Signals>(
    router: &Router<S>,
    host: &mut impl Host,
    work: &Work,
    route: Option<&Route>,
) -> Option<Lookup> {
    let planned = lookup(router, host, work, route);
    match planned {
        Ok(lookup) => Some(lookup),
        Err(skip) => {
            if let Some(reason) = skip.reason() {
                host.count(Metric::CacheSkipped, &[reason], 1);
            }
            None
        }
    }
}

fn lookup<S: Signals>(
    router: &Router<S>,
    host: &mut impl Host,
    work: &Work,
    route: Option<&Route>,
) -> Result<Lookup, Skip> {
    let partitioner = router.cache.as_ref().ok_or(Skip::Off)?;
    if route.is_some_and(|r| !r.cache.enabled) {
        return Err(Skip::Off);
    }
    let identified = text_state(host, state::IDENTIFIED).unwrap_or_default();
    let named = |host: &mut _, part: &str, key: &str| {
        identified
            .split(',')
            .any(|p| p == part)
            .then(|| text_state(host, key))
            .flatten()
    };
    let (user, tier) = (
        named(host, "user", state::USER),
        named(host, "tier", state::TIER),
    );
    let Work {
        endpoint,
        request,
        body,
        ..
    } = work;
    let partition =
        partitioner.partition(*endpoint, request, body, user.as_deref(), tier.as_deref())?;
    Ok(Lookup {
        partition,
        text: request.last_user_text(body),
    })
}

fn text_state<H: Host>(host: &mut H, key: &str) -> Option<String> {
    host.filter_state(key)
        .and_then(|value| String::from_utf8(value).ok())
}

/// Whether a stored answer may stand for what `route` would give.
pub(super) fn serves(hit: &CacheHit, route: &Route) -> bool {
    route.cache.enabled
        && hit.similarity >= route.cache.similarity_threshold
        && hit.model == route.model
        && hit.decision == route.decision
}

/// Answers with what is stored.
pub(super) fn reply_from_cache(host: &mut impl Host, hit: CacheHit) -> Flow {
    host.reply(LocalReply {
        status: 200,
        headers: vec![("age", hit.age_seconds.to_string())],
        body: hit.body.into_bytes(),
    });
    Flow::Pause
}
