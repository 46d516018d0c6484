//! Connections to Redis, or to the nodes of a cluster.
//!
//! Files of the configuration are read for every connection: a password or authority that was exchanged needs no restart.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, RedisConnectionInfo, RedisFuture, TlsCertificates, Value, cmd,
};
use turnpike_core::cache::{RedisAddress, RedisConfig};

/// Time for a connection to one node, with TLS and authentication.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Attempts within a command of a cluster: a redirection, and a node that is gone. The caller's time bounds all of them.
const CLUSTER_RETRIES: u32 = 2;

/// Why a shared store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum RedisOpenError {
    /// `url` is none.
    #[error("semantic_cache.redis.url: {0}")]
    Url(String),
    /// A file cannot be read.
    #[error("semantic_cache.redis.{key}: {}: {error}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        error: std::io::Error,
    },
}

/// Who makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    config: RedisConfig,
    address: RedisAddress,
}

/// A connection that many callers use at once.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node(_) => "Node",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(node) => node.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(node) => node.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(node) => node.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// What the files hold.
#[derive(Default)]
pub(super) struct Credentials {
    password: Option<String>,
    ca: Option<Vec<u8>>,
}

impl Connector {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisOpenError> {
        Ok(Self {
            address: config.address().map_err(RedisOpenError::Url)?,
            config: config.clone(),
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.config.cluster
    }

    /// For people: where Redis is.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.address.host, self.address.port)
    }

    /// What is in the files that the configuration names.
    pub(super) async fn read_files(&self) -> Result<Credentials, RedisOpenError> {
        let password = read("password_file", &self.config.password_file).await?;
        let ca = read("ca_file", &self.config.ca_file).await?;
        let password = password.map(|bytes| String::from_utf8_lossy(bytes.trim_ascii()).into());
        Ok(Credentials { password, ca })
    }

    /// A connection to Redis or its cluster.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let credentials = self.read_files().await.map_err(|e| e.to_string())?;
        if !self.config.cluster {
            let (host, port) = (&self.address.host, self.address.port);
            let node = self.node(host, port, &credentials).await?;
            return Ok(Connection::Node(node));
        }
        let (host, port) = (&self.address.host, self.address.port);
        let info = self.info(host, port, &credentials).map_err(text)?;
        let mut builder = ClusterClientBuilder::new([info])
            .connection_timeout(CONNECT_TIMEOUT)
            .retries(CLUSTER_RETRIES);
        if let Some(certificates) = self.certificates(&credentials) {
            builder = builder.certs(certificates);
        }
        let client = builder.build().map_err(text)?;
        let cluster = client.get_async_connection().await.map_err(text)?;
        Ok(Connection::Cluster(cluster))
    }

    /// A connection to each node that has entries: work on all of them holds up no lookup.
    pub(super) async fn nodes(&self) -> Result<Vec<MultiplexedConnection>, String> {
        let credentials = self.read_files().await.map_err(|e| e.to_string())?;
        let (host, port) = (&self.address.host, self.address.port);
        let mut first = self.node(host, port, &credentials).await?;
        if !self.config.cluster {
            return Ok(vec![first]);
        }
        let slots = cmd("CLUSTER").arg("SLOTS").query_async(&mut first).await;
        let mut nodes = Vec::new();
        for (named, port) in masters(&slots.map_err(text)?) {
            let host = named.as_deref().unwrap_or(host);
            nodes.push(self.node(host, port, &credentials).await?);
        }
        Ok(nodes)
    }

    async fn node(
        &self,
        host: &str,
        port: u16,
        credentials: &Credentials,
    ) -> Result<MultiplexedConnection, String> {
        let info = self.info(host, port, credentials).map_err(text)?;
        let client = match self.certificates(credentials) {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let client = client.map_err(text)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        connection.await.map_err(text)
    }

    fn info(
        &self,
        host: &str,
        port: u16,
        credentials: &Credentials,
    ) -> redis::RedisResult<ConnectionInfo> {
        let host = host.to_owned();
        let address = if self.address.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default().set_db(self.address.database.into());
        if !self.config.username.is_empty() {
            settings = settings.set_username(&self.config.username);
        }
        if let Some(password) = &credentials.password {
            settings = settings.set_password(password);
        }
        Ok(address.into_connection_info()?.set_redis_settings(settings))
    }

    fn certificates(&self, credentials: &Credentials) -> Option<TlsCertificates> {
        self.address.tls.then(|| TlsCertificates {
            client_tls: None,
            root_cert: credentials.ca.clone(),
        })
    }
}

fn text(error: redis::RedisError) -> String {
    error.to_string()
}

async fn read(key: &'static str, path: &str) -> Result<Option<Vec<u8>>, RedisOpenError> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(path);
    match tokio::fs::read(&path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => Err(RedisOpenError::File { key, path, error }),
    }
}

/// Host and port of every master that `CLUSTER SLOTS` names, once; no host: the one that was asked.
///
/// Format: `[[first slot, last slot, [host or nil, port, …], replica…], …]`.
fn masters(slots: &Value) -> Vec<(Option<String>, u16)> {
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        _ => Vec::new(),
    };
    let mut masters = Vec::new();
    for range in list(slots) {
        let Some(master) = list(&range).get(2).map(list) else {
            continue;
        };
        let host = master.first().and_then(|host| match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok(),
            _ => None,
        });
        let port = master.get(1).and_then(|port| match port {
            Value::Int(port) => u16::try_from(*port).ok(),
            _ => None,
        });
        let host = host.filter(|host| !host.is_empty());
        if let Some(port) = port
            && !masters.contains(&(host.clone(), port))
        {
            masters.push((host, port));
        }
    }
    masters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_master_of_a_cluster_is_named_once() {
        let node =
            |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let range = |first, last, nodes: Vec<Value>| {
            let slots = [Value::Int(first), Value::Int(last)].into_iter();
            Value::Array(slots.chain(nodes).collect())
        };
        let slots = Value::Array(vec![
            range(0, 99, vec![node("10.0.0.1", 7000), node("10.0.0.9", 7000)]),
            range(100, 199, vec![node("10.0.0.2", 7000)]),
            range(200, 16_383, vec![node("10.0.0.1", 7000)]),
            range(5, 5, vec![node("", 7001)]),
            Value::Nil,
        ]);
        assert_eq!(
            masters(&slots),
            [
                (Some("10.0.0.1".into()), 7000),
                (Some("10.0.0.2".into()), 7000),
                (None, 7001)
            ]
        );
        assert_eq!(masters(&Value::Nil), []);
    }
}
