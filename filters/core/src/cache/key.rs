//! The hard key of the semantic cache: what two requests must have in common to share an answer.
//!
//! SHA-256 over, each with its length before it: format version, encoder, epoch, scope and its value, tenant, signals of headers and roles, path, model that the
//! client named, every other top-level member sorted by key (sampling parameters, tools, response format, …), and all messages
//! with a mark where the last user message's text stands. That text is what similarity is about; nothing else may differ.
//!
//! Members and messages are hashed in their canonical form ([`canonical`]): the order of keys, escapes and white space do not count,
//! numbers count as they are written.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::canonical::canonical;
use super::{Scope, SemanticCacheConfig};
use crate::json::Span;
use crate::request::{Endpoint, Request, Role};

/// Why the cache is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It is off, or the decision switches it off.
    Off,
    /// Nobody is identified, and answers are not shared by everybody.
    NoIdentity,
    /// The client asked for no caching.
    NoStore,
    /// Answers shall vary more than `max_temperature` allows.
    Temperature,
    /// Guards found personal data.
    PersonalData,
    /// Not a conversation that ends with text of the user alone.
    NoText,
}

impl Skip {
    /// Value of the metric label; `None` where nothing is worth counting.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::NoIdentity => Some("no_identity"),
            Self::NoStore => Some("no_store"),
            Self::Temperature => Some("temperature"),
            Self::PersonalData => Some("personal_data"),
            Self::NoText => Some("no_text"),
        }
    }
}

/// Who is asking, as far as somebody vouches for it; a fallback is nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'c> {
    /// User.
    pub user: Option<&'c str>,
    /// Their tier.
    pub tier: Option<&'c str>,
    /// Their tenant.
    pub tenant: Option<&'c str>,
    /// Which signals hold that decisions read and the body does not tell, a byte each: of a stored answer whose decision needed a model,
    /// only the decision is known, and it must be that of this request.
    pub signals: &'c [u8],
}

/// Builds partitions.
#[derive(Debug, Clone)]
pub struct Partitioner {
    scope: Scope,
    epoch: u32,
    encoder: String,
    /// SHA-256 of what decides where a request goes.
    rules: [u8; 32],
    max_temperature: f32,
    /// Whether every caller has a tenant, or is nobody.
    has_tenants: bool,
}

/// Temperature of a request that names none, as OpenAI's API has it.
const DEFAULT_TEMPERATURE: f32 = 1.0;

/// Members that do not shape the answer, or stand in the key on their own.
const NOT_HASHED: [&str; 4] = ["model", "messages", "stream", "stream_options"];

impl Partitioner {
    /// Compiles the configuration; `encoder` names the model whose similarities count, `rules` is what decides where a request goes, in
    /// any form: an answer that other rules led to is no answer any more.
    #[must_use]
    pub fn compile(config: &SemanticCacheConfig, encoder: &str, rules: &[u8]) -> Self {
        Self {
            rules: Sha256::digest(rules).into(),
            scope: config.scope,
            epoch: config.cache_epoch,
            encoder: encoder.into(),
            max_temperature: config.max_temperature,
            has_tenants: false,
        }
    }

    /// The same, where sources of tenants are configured: without one of them, nobody knows whose answers may be found.
    #[must_use]
    pub fn with_tenants(self, has_tenants: bool) -> Self {
        Self {
            has_tenants,
            ..self
        }
    }

    /// The partition of a request, 64 hex digits.
    ///
    /// # Errors
    /// Why the request cannot be cached.
    pub fn partition(
        &self,
        endpoint: Endpoint,
        request: &Request,
        body: &[u8],
        caller: Caller<'_>,
    ) -> Result<String, Skip> {
        let scope = match self.scope {
            Scope::User => "user",
            Scope::Tier => "tier",
            Scope::Tenant => "tenant",
            Scope::Global => "global",
        };
        let owner = self.owner(caller)?;
        // Two tenants may have users and tiers of one name.
        let tenant = caller.tenant.filter(|_| self.scope != Scope::Global);
        if temperature(request, body) > self.max_temperature {
            return Err(Skip::Temperature);
        }
        let (messages, texts) = last_user_texts(endpoint, request).ok_or(Skip::NoText)?;
        let mut hash = Hash::new();
        hash.field(b"turnpike-cache-4");
        hash.field(self.encoder.as_bytes());
        hash.field(&self.epoch.to_be_bytes());
        hash.field(&self.rules);
        hash.field(scope.as_bytes());
        hash.field(owner.as_bytes());
        hash.field(&[u8::from(tenant.is_some())]);
        hash.field(tenant.unwrap_or_default().as_bytes());
        hash.field(caller.signals);
        hash.field(endpoint.input_key().as_bytes());
        hash.field(request.model.as_bytes());
        hash_members(&mut hash, request, body);
        // The messages without the text that similarity is about.
        let mut rest = Vec::with_capacity(messages.len());
        let mut from = messages.start;
        if texts.len() > 1 {
            // The parts become one text, joined by line feeds: where one ends must not be open.
            for text in texts {
                let part = body.get(text.clone()).unwrap_or_default();
                let breaks = part.windows(2).filter(|pair| pair == b"\\n").count();
                hash.field(&u64::try_from(breaks).unwrap_or(u64::MAX).to_be_bytes());
            }
        }
        for text in texts {
            rest.extend_from_slice(body.get(from..text.start).unwrap_or_default());
            from = text.end;
        }
        rest.extend_from_slice(body.get(from..messages.end).unwrap_or_default());
        hash.canonical(&rest);
        Ok(hash.hex())
    }
}

impl Partitioner {
    /// Whether answers serve others than who caused them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.scope != Scope::User
    }

    /// Whose answers are found: a user, a tier, a tenant, or nobody's in particular.
    ///
    /// # Errors
    /// [`Skip::NoIdentity`].
    pub fn owner<'a>(&self, caller: Caller<'a>) -> Result<&'a str, Skip> {
        if self.has_tenants && caller.tenant.is_none() && self.scope != Scope::Global {
            return Err(Skip::NoIdentity);
        }
        let owner = match self.scope {
            Scope::User => caller.user,
            Scope::Tier => caller.tier,
            Scope::Tenant => caller.tenant,
            Scope::Global => Some(""),
        };
        owner.ok_or(Skip::NoIdentity)
    }
}

fn temperature(request: &Request, body: &[u8]) -> f32 {
    let written = request
        .member("temperature")
        .and_then(|span| body.get(span))
        .and_then(|value| std::str::from_utf8(value).ok());
    // What is no number is for the server to refuse.
    written
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(DEFAULT_TEMPERATURE)
}

/// Span of the messages and the text spans of the last one, when the user spoke last.
fn last_user_texts(endpoint: Endpoint, request: &Request) -> Option<(Span, &[Span])> {
    if endpoint != Endpoint::ChatCompletions {
        return None;
    }
    let last = request
        .messages
        .last()
        .filter(|m| m.role == Role::User && !m.texts.is_empty())?;
    let texts = last.texts.as_slice();
    if texts.iter().all(|span| span.is_empty()) {
        return None;
    }
    Some((request.member("messages")?, texts))
}

fn hash_members(hash: &mut Hash, request: &Request, body: &[u8]) {
    let mut members: Vec<&(String, Span)> = request
        .members
        .iter()
        .filter(|(key, _)| !NOT_HASHED.contains(&key.as_str()))
        .collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    hash.field(
        &u64::try_from(members.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    for (key, span) in members {
        hash.field(key.as_bytes());
        hash.canonical(body.get(span.clone()).unwrap_or_default());
    }
}

struct Hash(Sha256);

impl Hash {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0
            .update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }

    fn canonical(&mut self, json: &[u8]) {
        canonical(json, &mut |kind, part| {
            self.0.update([kind]);
            self.field(part);
        });
    }

    fn hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

#[cfg(test)]
mod tests;
