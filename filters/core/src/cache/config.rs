//! `semantic_cache`.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::config::Precision;

/// `semantic_cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SemanticCacheConfig {
    /// Whether answers are stored and served.
    pub enabled: bool,
    /// Where entries are kept; `memory` is the sidecar's own store, `redis` one that several sidecars share.
    pub backend_type: BackendType,
    /// Cosine similarity from which a stored question counts as the same, 0 to 1.
    pub similarity_threshold: f32,
    /// Entries kept; `eviction_policy` says which goes first.
    pub max_entries: u32,
    /// Bytes of questions, answers and vectors kept; `eviction_policy` says which go first.
    pub max_bytes: u64,
    /// Age at which an entry is no longer served, in seconds.
    pub ttl_seconds: u64,
    /// Which entry goes when the cache is full.
    pub eviction_policy: EvictionPolicy,
    /// Folder in which the entries outlive the sidecar, relative to the configuration; used by one sidecar alone. Empty: they are
    /// in memory alone. It holds questions and answers as they are.
    pub path: String,
    /// The shared store, for `backend_type: redis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisConfig>,
    /// Who may be served an answer that somebody else caused.
    pub scope: Scope,
    /// How the choices of an answer that is kept may have ended: values of `finish_reason`.
    pub finish_reasons: Vec<String>,
    /// Requests with a higher `temperature` are not cached; one that names none has 1.
    pub max_temperature: f32,
    /// Whether clients may ask for less caching: `cache-control` with `no-cache`, `no-store`, `max-age`, and
    /// `x-turnpike-cache-similarity`.
    pub request_control: bool,
    /// How long a request waits for the answer to the same request that somebody else is waiting for, in milliseconds from that
    /// one's lookup on; then it goes upstream. 0: it never waits.
    pub coalesce_wait_ms: u32,
    /// Whether a hit tells in `x-vsr-cache-similarity` how similar the questions are.
    pub export_similarity: bool,
    /// Change it to make every stored answer unreachable.
    pub cache_epoch: u32,
    /// A cross-encoder that is asked about similar questions before one is answered with the answer to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_opinion: Option<SecondOpinionConfig>,
}

impl Default for SemanticCacheConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            backend_type: BackendType::Memory,
            similarity_threshold: 0.85,
            max_entries: 10_000,
            max_bytes: 1 << 30,
            ttl_seconds: 3_600,
            eviction_policy: EvictionPolicy::Fifo,
            path: String::new(),
            redis: None,
            scope: Scope::User,
            finish_reasons: vec!["stop".into()],
            max_temperature: 1.0,
            request_control: false,
            coalesce_wait_ms: 0,
            export_similarity: false,
            cache_epoch: 0,
            second_opinion: None,
        }
    }
}

/// `semantic_cache.second_opinion`: a sequence classification model that reads two questions at once, exported to ONNX.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SecondOpinionConfig {
    /// Folder with `model.onnx`, `tokenizer.json`, `config.json`. Wins over `repository`.
    pub path: String,
    /// Hugging Face repository to fetch the same files from, as `owner/name`.
    pub repository: String,
    /// Which of the model's files is loaded.
    pub precision: Precision,
    /// The label that says that both texts mean the same, as `entailment`. Needed where the model has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Probability from which two questions count as the same, whichever comes first; above 0, at most 1.
    pub threshold: f32,
    /// Cosine similarity from which a stored question that the rules accept needs no second opinion, 0 to 1.
    pub below_similarity: f32,
    /// Probability from which a stored question counts as the same that the rules do not understand, whichever comes first; above 0,
    /// at most 1. Without it, such a question never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_threshold: Option<f32>,
}

impl Default for SecondOpinionConfig {
    fn default() -> Self {
        Self {
            path: String::new(),
            repository: String::new(),
            precision: Precision::Fp32,
            label: None,
            threshold: 0.5,
            below_similarity: 0.95,
            accept_threshold: None,
        }
    }
}

/// Store of the semantic cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BackendType {
    /// In the sidecar's memory.
    #[default]
    Memory,
    /// In Redis 8 or later.
    Redis,
}

/// Which entry goes when the cache is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EvictionPolicy {
    /// The oldest.
    #[default]
    Fifo,
    /// The one not served for the longest time.
    Lru,
    /// The one served the fewest times; what was popular once goes in time.
    Lfu,
}

/// Who shares cached answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nobody: one user's answers serve that user alone. Requests without an identified user are not cached.
    #[default]
    User,
    /// Users of one tier. Requests without an identified tier are not cached.
    Tier,
    /// Users of one tenant. Requests without an identified tenant are not cached.
    Tenant,
    /// Everybody.
    Global,
}

/// `semantic_cache.redis`. It holds no secret: filters are given it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// `redis://host:port/database`, or `rediss://…` for TLS; of a cluster, one of its nodes.
    pub url: String,
    /// Whether it is a Redis Cluster.
    pub cluster: bool,
    /// User of Redis' access control lists; empty: the default user.
    pub username: String,
    /// File with the password, relative to the configuration; read anew for every connection.
    pub password_file: String,
    /// Authorities that may have issued the server's certificate, PEM. Empty: those of the system.
    pub ca_file: String,
    /// What all keys begin with. Caches with different prefixes share nothing.
    pub key_prefix: String,
    /// Time for a lookup, in milliseconds; a later answer is a miss.
    pub timeout_ms: u32,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            cluster: false,
            username: String::new(),
            password_file: String::new(),
            ca_file: String::new(),
            key_prefix: "turnpike".into(),
            timeout_ms: 50,
        }
    }
}

/// What a `url` of Redis says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// Whether connections are TLS.
    pub tls: bool,
    /// IP address, IPv6 without brackets, or DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Number of the database.
    pub database: u16,
}

/// Redis' own.
const REDIS_PORT: u16 = 6379;

impl RedisConfig {
    /// What `url` says.
    ///
    /// # Errors
    /// What is wrong with it; never a part of it that may be a password.
    pub fn address(&self) -> Result<RedisAddress, String> {
        const FORM: &str = "must be `redis://host:port/database` or `rediss://host:port/database`";
        let (tls, rest) = match (
            self.url.strip_prefix("redis://"),
            self.url.strip_prefix("rediss://"),
        ) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(FORM.into()),
        };
        if rest.contains('@') {
            return Err(
                "must hold neither user nor password: name them in `username` and `password_file`"
                    .into(),
            );
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority).ok_or(FORM)?;
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| FORM)?,
        };
        Ok(RedisAddress {
            tls,
            host: host.into(),
            port,
            database,
        })
    }
}

/// The two parts of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = rest.strip_prefix(':');
            (host, port.or(rest.is_empty().then_some(""))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let of_a_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if host.is_empty() || !host.bytes().all(of_a_name) {
                return None;
            }
            (host, port)
        }
    };
    match port {
        "" => Some((host, REDIS_PORT)),
        port => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(|port| (host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<RedisAddress, String> {
        let url = url.into();
        RedisConfig {
            url,
            ..RedisConfig::default()
        }
        .address()
    }

    #[test]
    fn a_url_names_host_port_database_and_tls() {
        for (url, tls, host, port, database) in [
            ("redis://cache", false, "cache", 6379, 0),
            ("redis://10.0.0.7:7000/", false, "10.0.0.7", 7000, 0),
            (
                "rediss://redis.example.com:6380/3",
                true,
                "redis.example.com",
                6380,
                3,
            ),
            ("redis://[::1]:7000/1", false, "::1", 7000, 1),
            ("rediss://[2001:db8::1]", true, "2001:db8::1", 6379, 0),
        ] {
            let host = host.into();
            let expected = RedisAddress {
                tls,
                host,
                port,
                database,
            };
            assert_eq!(address(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_redis_is_refused() {
        for url in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://:6379",
            "redis://cache:0",
            "redis://cache:65536",
            "redis://cache:port",
            "redis://cache/first",
            "redis://cache/-1",
            "redis://cache?protocol=3",
            "redis://cache/0#insecure",
            "redis://[::1",
            "redis://[cache]:6379",
            "redis://a b",
        ] {
            assert!(address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in [
            "redis://:hunter2@cache",
            "rediss://app:hunter2@cache:6379/0",
        ] {
            let error = address(url).unwrap_err();
            assert!(
                error.contains("password_file") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
