//! `/v1/analyze`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::{
    AnalyzeRequest, AnalyzeResponse, AnalyzeTiming, CATEGORY_HEAD, COMPLEXITY_HEAD, CacheAnswer,
    CacheHit, CacheLookup, Coalescing, EMBEDDING_HEAD, MAX_COALESCE_WAIT_MS,
};

use super::engine::{Analyzed, AnswersByName, Engine, Wanted};
use super::second_opinion::Verdict;
use super::store::log_failure;
use super::{Ready, Service, readable};
use crate::answer::{self, Form, Stamp};
use crate::batching::Priority;
use crate::cache::agreement::{self, Question};
use crate::cache::{EntryKey, Found, Lead, Partition, Role, Store, StoreError};
use crate::encoder::Embedding;
use crate::metrics::{Lookup, Stage};

/// Stored questions that are looked at before a lookup is a miss.
const MOST_CANDIDATES: usize = 4;

/// A checked [`CacheLookup`].
struct Query {
    partition: Partition,
    threshold: f32,
    max_age: Duration,
    form: Form,
    coalescing: Option<Coalescing>,
}

impl Query {
    fn new(lookup: &CacheLookup) -> Result<Self, Fault> {
        let threshold = lookup.similarity_threshold;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Fault::BadRequest(format!(
                "cache.similarity_threshold: must be between 0 and 1, got {threshold}"
            )));
        }
        let partition = Partition::parse(&lookup.partition)
            .map_err(|e| Fault::BadRequest(format!("cache.partition: {e}")))?;
        Ok(Self {
            partition,
            threshold,
            max_age: lookup
                .max_age_seconds
                .map_or(Duration::MAX, Duration::from_secs),
            form: match lookup.stream {
                true => Form::Stream {
                    usage: lookup.usage,
                },
                false => Form::Whole,
            },
            coalescing: lookup.coalescing,
        })
    }

    /// The answer of an entry as it is wanted. None of one that is too old, or that is no answer.
    fn hit(&self, store: &Arc<dyn Store>, found: Found) -> Option<CacheHit> {
        if found.age > self.max_age {
            return None;
        }
        let body = answer::render(&found.answer.body, self.form, &Stamp::now());
        let body = body.inspect_err(|why| tracing::error!(%why, "a stored answer is none"));
        let body = body.ok()?;
        store.served(&found);
        Some(CacheHit {
            body,
            ..found.into()
        })
    }
}

impl Service {
    /// Answers an analysis. A text of nothing but spaces has no category and is never a hit.
    ///
    /// # Errors
    /// [`Fault::BadRequest`] for a partition or threshold out of range, [`Fault::Overloaded`] when there is no model, place or
    /// time, [`Fault::Internal`] when the model fails.
    pub async fn analyze(&self, request: AnalyzeRequest) -> Result<AnalyzeResponse, Fault> {
        let query = request.cache.as_ref().map(Query::new).transpose()?;
        let waited = match &query {
            Some(query) => self.wait_for_leader(query, &request.text).await,
            None => false,
        };
        // Models and store as they are behind the wait.
        let ready = &*self.ready()?;
        let wanted = wanted_heads(&ready.engine, &request.heads)?;
        if !wanted.is_empty() {
            readable(&request.text).map_err(|why| Fault::BadRequest(format!("text: {why}")))?;
        }
        let mut response = AnalyzeResponse::default();
        if request.text.trim().is_empty() {
            response.cache = query.map(|_| CacheAnswer::Miss);
            return Ok(response);
        }
        let deadline = Instant::now() + ready.timeout;
        let mut lead: Option<Lead> = None;
        if let Some(query) = &query {
            let timing = &mut response.timing;
            let text = &request.text;
            let hit = self.exact(ready, query, text, deadline, timing).await;
            if waited {
                self.metrics.coalesced(hit.is_some());
            }
            if let Some(hit) = hit {
                response.cache = Some(CacheAnswer::Hit(hit));
                return Ok(response);
            }
            match self.join(ready, query, &request.text) {
                Role::Leads(leads) => lead = Some(leads),
                Role::Follows => {
                    response.cache = Some(CacheAnswer::InFlight);
                    return Ok(response);
                }
                Role::Alone => {}
            }
        }
        // The models beside the encoder need not wait for it.
        let texts: Arc<[String]> = [request.text.clone()].into();
        let by_models = async {
            // The language model has a label for want of an answer: it must be there before the proxy stops waiting.
            let deadline = ready.before(deadline);
            let engine = &ready.engine;
            let found = engine.classify_by_models(&texts, &wanted, Priority::Route, deadline);
            found.await.map_err(|e| self.inference_fault(&e))
        };
        let by_encoder = self.read_by_encoder(
            ready,
            &request,
            query.as_ref(),
            &wanted,
            deadline,
            &mut response,
        );
        let ((found, _), ()) = tokio::try_join!(by_models, by_encoder)?;
        let mut answers = found.iter().flat_map(BTreeMap::values);
        response.defaulted = answers.any(|answer| answer.defaulted);
        response.heads.extend(found.into_iter().flat_map(scores));
        if query.is_some() && response.cache.is_none() {
            self.metrics.lookup(Lookup::Miss);
            response.cache = Some(CacheAnswer::Miss);
            response.leads = lead.is_some();
            if let Some(lead) = lead {
                lead.goes_upstream();
            }
        }
        Ok(response)
    }

    /// Waits for the answer to the same text, if the caller wants that and one is on its way.
    async fn wait_for_leader(&self, query: &Query, text: &str) -> bool {
        let Some(coalescing) = query.coalescing.filter(|c| c.wait) else {
            return false;
        };
        let key = EntryKey::of(&query.partition, text);
        let Some(follower) = self.in_flight.follow(&key, longest(coalescing)) else {
            return false;
        };
        follower.wait().await;
        true
    }

    /// What a lookup, whose text is not stored, is to others of the same text.
    fn join(&self, ready: &Ready, query: &Query, text: &str) -> Role {
        match query.coalescing {
            Some(coalescing) if !coalescing.wait && ready.cache_limits.is_some() => {
                let key = EntryKey::of(&query.partition, text);
                let (ticket, time) = (coalescing.ticket, longest(coalescing));
                self.in_flight.join(key, ticket, time)
            }
            _ => Role::Alone,
        }
    }

    /// What needs the encoder: category, heads, nearest stored answer.
    async fn read_by_encoder(
        &self,
        ready: &Ready,
        request: &AnalyzeRequest,
        query: Option<&Query>,
        wanted: &Wanted,
        deadline: Instant,
        response: &mut AnalyzeResponse,
    ) -> Result<(), Fault> {
        let query = query.filter(|_| ready.cache_limits.is_some());
        let wants_category = request.heads.iter().any(|head| head == CATEGORY_HEAD)
            && !ready.engine.categories().is_empty();
        let asks = |name: &str| request.heads.iter().any(|head| head == name);
        let samples = [EMBEDDING_HEAD, COMPLEXITY_HEAD].map(asks);
        let by_samples = samples.contains(&true);
        if query.is_none() && !wants_category && !wanted.reads_vectors() && !by_samples {
            return Ok(());
        }
        let timing = &mut response.timing;
        let (engine, text) = (&ready.engine, &request.text);
        let analyzed = self.embedding(ready, text, query, deadline, timing).await?;
        let judged = engine.judge_analyzed(text, &analyzed, wanted, wants_category, deadline);
        let judged = judged.await.map_err(|e| self.inference_fault(&e))?;
        response.category = judged.category;
        response.heads.extend(scores(judged.answers));
        let [embeddings, complexities] = samples;
        if embeddings {
            let similarities = engine.samples().similarities(&analyzed.embedding);
            response.heads.insert(EMBEDDING_HEAD.into(), similarities);
        }
        if complexities {
            let margins = engine.samples().margins(&analyzed.embedding);
            response.heads.insert(COMPLEXITY_HEAD.into(), margins);
        }
        if let Some(query) = query.filter(|_| !analyzed.truncated) {
            let timing = &mut response.timing;
            let hit = self
                .nearest(ready, query, text, &analyzed.embedding, deadline, timing)
                .await;
            response.cache = hit.map(CacheAnswer::Hit);
        }
        Ok(())
    }

    /// The answer to the same text. A store that fails is a miss.
    async fn exact(
        &self,
        ready: &Ready,
        query: &Query,
        text: &str,
        deadline: Instant,
        timing: &mut AnalyzeTiming,
    ) -> Option<CacheHit> {
        let started_at = std::time::Instant::now();
        let found = ready.cache.exact(&query.partition, text);
        let found = answered(found, ready.before(deadline)).await.flatten();
        let hit = found.and_then(|found| query.hit(&ready.cache, found));
        timing.cache_us += micros(started_at.elapsed());
        if hit.is_some() {
            self.metrics.observe(Stage::Cache, started_at.elapsed());
            self.metrics.lookup(Lookup::Exact);
        }
        hit
    }

    /// The vector of a text; remembered for the store that may follow a lookup.
    async fn embedding(
        &self,
        ready: &Ready,
        text: &str,
        query: Option<&Query>,
        deadline: Instant,
        timing: &mut AnalyzeTiming,
    ) -> Result<Analyzed, Fault> {
        let analyzed = ready
            .engine
            .analyze(text, Priority::Route, deadline)
            .await
            .map_err(|e| self.inference_fault(&e))?;
        timing.tokenization_us = micros(analyzed.tokenization_duration);
        timing.queue_us = micros(analyzed.queue_duration);
        timing.inference_us = micros(analyzed.inference_duration);
        if let Some(query) = query {
            let vector = Some(analyzed.embedding.clone()).filter(|_| !analyzed.truncated);
            ready.recent.remember(&query.partition, text, vector);
        }
        Ok(analyzed)
    }

    /// The answer to the nearest text that may be served. A store that fails is a miss.
    async fn nearest(
        &self,
        ready: &Ready,
        query: &Query,
        text: &str,
        embedding: &Embedding,
        deadline: Instant,
        timing: &mut AnalyzeTiming,
    ) -> Option<CacheHit> {
        let started_at = std::time::Instant::now();
        let store = &ready.cache;
        let candidates = store.nearest(
            &query.partition,
            embedding,
            query.threshold,
            MOST_CANDIDATES,
        );
        let candidates = answered(candidates, ready.before(deadline)).await;
        let candidates = candidates.unwrap_or_default();
        let read = match candidates.is_empty() {
            true => None,
            false => Question::read(text),
        };
        let mut doubtful = Vec::new();
        // Best first. One that is turned down may have a worse one behind it that is right.
        let mut hit = candidates.into_iter().find_map(|candidate| {
            if candidate.similarity < query.threshold || candidate.age > query.max_age {
                return None;
            }
            let rules = agreement::compare_read(text, read.as_ref(), &candidate.question);
            match Verdict::of(&ready.engine, candidate, rules) {
                Verdict::Same(candidate) => return query.hit(store, candidate),
                Verdict::Doubtful(candidate) => doubtful.push(candidate),
                Verdict::Different(why) => self.metrics.turned_down(why.name()),
            }
            None
        });
        self.metrics.observe(Stage::Cache, started_at.elapsed());
        if hit.is_none() && !doubtful.is_empty() {
            let confirmed = self.confirmed(ready, text, doubtful, deadline).await;
            hit = confirmed.into_iter().find_map(|confirmed| {
                let hit = query.hit(store, confirmed.candidate)?;
                if confirmed.by_model_alone {
                    self.metrics.second_opinion_hits.inc();
                }
                Some(hit)
            });
        }
        timing.cache_us += micros(started_at.elapsed());
        if hit.is_some() {
            self.metrics.lookup(Lookup::Semantic);
        }
        hit
    }
}

/// What a store answers until `deadline`. One that fails or is late has nothing.
async fn answered<T>(
    lookup: impl Future<Output = Result<T, StoreError>>,
    deadline: Instant,
) -> Option<T> {
    let found = tokio::time::timeout_at(deadline, lookup).await.ok()?;
    found.inspect_err(log_failure).ok()
}

/// The heads and classifiers of these names, `category` aside.
fn wanted_heads(engine: &Engine, asked: &[String]) -> Result<Wanted, Fault> {
    let names: Vec<String> = asked
        .iter()
        .filter(|name| ![CATEGORY_HEAD, COMPLEXITY_HEAD, EMBEDDING_HEAD].contains(&name.as_str()))
        .cloned()
        .collect();
    engine.wanted(Some(&names)).map_err(|(at, known)| {
        let name = &names[at];
        let place = asked.iter().position(|asked| asked == name).unwrap_or(at);
        let others = known.into_iter().filter(|name| name != CATEGORY_HEAD);
        let known: Vec<String> = [CATEGORY_HEAD.to_owned()]
            .into_iter()
            .chain(others)
            .collect();
        Fault::BadRequest(format!(
            "heads[{place}]: there is no head `{name}`; known: {}",
            known.join(", ")
        ))
    })
}

fn scores(answers: AnswersByName) -> impl Iterator<Item = (String, BTreeMap<String, f32>)> {
    answers
        .into_iter()
        .map(|(name, answer)| (name, answer.probabilities.into_iter().collect()))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How long a leader may be waited for.
fn longest(coalescing: Coalescing) -> Duration {
    Duration::from_millis(coalescing.wait_ms.min(MAX_COALESCE_WAIT_MS).into())
}
