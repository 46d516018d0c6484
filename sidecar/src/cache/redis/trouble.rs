//! What an error of Redis means.

use std::time::Duration;

use redis::RedisError;

/// Why a command failed, and what that means for the connections.
pub(super) enum Trouble {
    /// No answer in time.
    Late(Duration),
    /// Redis is gone, or cannot serve: an error of the connection, or of a server that starts or takes no writes.
    Lost(String),
    /// Another node of the cluster has the keys by now.
    Moved(String),
    /// Redis is there and does not do it.
    Refused(String),
}

impl Trouble {
    pub(super) fn of(error: RedisError) -> Self {
        const CANNOT_SERVE: [&str; 5] =
            ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH"];
        const MOVED: [&str; 3] = ["MOVED", "ASK", "TRYAGAIN"];
        let why = error.to_string();
        if error.is_io_error() || error.is_connection_dropped() {
            return Self::Lost(why);
        }
        // Of a transaction or pipeline, each command has its own.
        let codes: Vec<String> = match error.clone().into_server_errors() {
            Some(errors) => errors
                .iter()
                .map(|(_, error)| error.code().to_owned())
                .collect(),
            None => error.code().map(str::to_owned).into_iter().collect(),
        };
        let any_of = |known: &[&str]| codes.iter().any(|code| known.contains(&code.as_str()));
        if any_of(&CANNOT_SERVE) {
            Self::Lost(why)
        } else if any_of(&MOVED) {
            Self::Moved(why)
        } else {
            Self::Refused(why)
        }
    }
}
