//! The cache lookup of a request, and what a stored answer becomes.

use super::route::Route;
use super::router::Router;
use super::signals::Signals;
use super::work::{Extent, Work};
use crate::cache::{Caller, Control, Skip};
use crate::host::{Flow, Host, LocalReply};
use crate::metrics::Metric;
use crate::sidecar::{CacheHit, CacheLookup, Coalescing};
use crate::state;

/// A cache lookup.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub(super) partition: String,
    pub(super) text: String,
    /// Whose answers it finds, as the cache's scope has it.
    pub(super) owner: String,
    pub(super) control: Control,
    /// Whether the answer shall be streamed.
    stream: bool,
    /// Whether its stream shall tell the usage: the client asked for it, or the meter reads it.
    usage: bool,
}

impl Lookup {
    /// As the sidecar is asked.
    pub(super) fn ask(
        &self,
        similarity_threshold: f32,
        coalescing: Option<Coalescing>,
    ) -> CacheLookup {
        CacheLookup {
            partition: self.partition.clone(),
            similarity_threshold: similarity_threshold.max(self.control.similarity),
            stream: self.stream,
            usage: self.usage,
            max_age_seconds: self.control.max_age,
            coalescing,
        }
    }

    /// Whether `hit` may stand for what `route` would give.
    pub(super) fn accepts(&self, hit: &CacheHit, route: &Route) -> bool {
        let threshold = route.cache.similarity_threshold;
        route.cache.enabled
            && hit.similarity >= threshold.max(self.control.similarity)
            && self
                .control
                .max_age
                .is_none_or(|age| hit.age_seconds <= age)
            && hit.model == route.model
            && hit.decision == route.decision
    }

    /// Answers with what is stored. `similarity` is told unless it is empty.
    pub(super) fn reply(&self, host: &mut impl Host, hit: CacheHit, similarity: &str) -> Flow {
        let mut headers = vec![("age", hit.age_seconds.to_string())];
        if self.stream {
            headers.push(("content-type", "text/event-stream".into()));
        }
        if !similarity.is_empty() {
            headers.push(("x-vsr-cache-similarity", similarity.to_owned()));
        }
        host.reply(LocalReply {
            status: 200,
            headers,
            body: hit.body.into_bytes(),
        });
        Flow::Pause
    }
}

/// Whether the cache is asked, and under which key.
pub(super) fn plan_lookup<S: Signals>(
    router: &Router<S>,
    host: &mut impl Host,
    work: &mut Work,
    route: Option<&Route>,
    control: Control,
) -> Option<Lookup> {
    let planned = lookup(router, host, work, route, control);
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
    work: &mut Work,
    route: Option<&Route>,
    control: Control,
) -> Result<Lookup, Skip> {
    let partitioner = router.cache.as_ref().ok_or(Skip::Off)?;
    if route.is_some_and(|r| !r.cache.enabled) {
        return Err(Skip::Off);
    }
    if control.no_store {
        return Err(Skip::NoStore);
    }
    // What no guard has read may hold anything.
    if work.read == Extent::Part || !work.findings.pii.is_empty() {
        return Err(Skip::PersonalData);
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
    let tenant = text_state(host, state::TENANT);
    let signals = router.beside_the_body(host, work);
    let caller = Caller {
        signals: &signals,
        user: user.as_deref(),
        tier: tier.as_deref(),
        tenant: tenant.as_deref(),
    };
    let Work {
        endpoint,
        request,
        body,
        ..
    } = work;
    let partition = partitioner.partition(*endpoint, request, body, caller)?;
    Ok(Lookup {
        partition,
        owner: partitioner.owner(caller)?.to_owned(),
        text: request.last_user_text(body),
        control,
        stream: request.stream,
        usage: request.asks_for_usage() || router.has_meter,
    })
}

fn text_state<H: Host>(host: &mut H, key: &str) -> Option<String> {
    host.filter_state(key)
        .and_then(|value| String::from_utf8(value).ok())
}
