//! The HTTP side: accepts, reads whole requests, hands them to [`super::answer`], writes what comes back.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::{Reply, complete};
use super::body::{Pieces, write};
use super::record::{Outcome, Received, Records};
use super::script::{Script, Usage};
use super::wire::{self, Api};

/// Largest request body that is read; above it the answer is 413.
const MAX_BODY_BYTES: usize = 64 << 20;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) models: Vec<String>,
    pub(super) records: Records,
    pub(super) next_id: AtomicU64,
}

/// Serves until it is dropped; connections end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Pieces must leave one by one, not wait for the next.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(handle(request, &shared).await) }
    });
    // A connection that breaks is part of the tests; its request says so in its record.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn handle(request: Request<Incoming>, shared: &Shared) -> Response<Pieces> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut received = Received {
        number: 0,
        server: shared.name.clone(),
        tag: String::new(),
        method: parts.method.to_string(),
        path: path.to_owned(),
        headers: parts.headers,
        body: Bytes::new(),
        outcome: Outcome::Open,
        usage: Usage::default(),
    };
    let script = Script::read(&received.headers);
    received.tag = script.as_ref().map(|s| s.tag.clone()).unwrap_or_default();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let whole = body.is_ok();
    received.body = body.map(|b| b.to_bytes()).unwrap_or_default();
    // The record of the records stays out of the records, and so do health checks.
    let silent = matches!(parts.uri.path(), "/health" | "/v1/models")
        || parts.uri.path().starts_with("/standin/");
    let records = if silent {
        Records::default()
    } else {
        shared.records.clone()
    };
    let ticket = records.open(received.clone());
    let (script, reply) = match script {
        Ok(_) if !whole => (
            Script::default(),
            Reply::error(413, "request body too large or cut short"),
        ),
        Ok(script) => {
            let reply = route(&parts.method, &received, &script, shared);
            (script, reply)
        }
        Err(message) => (Script::default(), Reply::error(400, &message)),
    };
    if script.hold_headers {
        records.released(&script.tag).await;
    }
    if script.delay_headers_ms > 0 {
        tokio::time::sleep(Duration::from_millis(script.delay_headers_ms)).await;
    }
    if let Some(bill) = &reply.answer.bill {
        ticket.cost(bill.usage);
    }
    let content_type = script.content_type.clone().unwrap_or(reply.content_type);
    let headers = [
        (CONTENT_TYPE, Some(content_type)),
        (CONTENT_ENCODING, script.content_encoding.clone()),
        (CACHE_CONTROL, script.cache_control.clone()),
    ];
    let mut response = Response::new(write(reply.answer, script, ticket));
    *response.status_mut() = reply.status;
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn route(method: &Method, received: &Received, script: &Script, shared: &Shared) -> Reply {
    if let Some(body) = &script.body {
        let status = StatusCode::from_u16(script.status.unwrap_or(200)).unwrap_or_default();
        let mut reply = Reply::json(status, body.clone().into_bytes());
        reply.answer.sized = !script.chunked;
        return reply;
    }
    if let Some(status) = script.status.filter(|status| *status >= 400) {
        return Reply::error(status, script.error.as_deref().unwrap_or("as ordered"));
    }
    let path = received.path.split('?').next().unwrap_or_default();
    let created = unix_seconds();
    let id = || shared.next_id.fetch_add(1, Ordering::Relaxed);
    match (method, path) {
        (&Method::POST, "/v1/chat/completions") => {
            complete(Api::Chat, received, script, id(), created)
        }
        (&Method::POST, "/v1/completions") => complete(Api::Text, received, script, id(), created),
        (&Method::GET, "/v1/models") => {
            Reply::json(StatusCode::OK, wire::models(&shared.models, created))
        }
        (&Method::GET, "/health") => Reply::json(StatusCode::OK, Vec::new()),
        (&Method::GET, "/standin/requests") => records(&shared.records),
        (&Method::GET, "/standin/served") => served(&shared.records),
        (&Method::POST, path) if path.starts_with("/standin/release/") => {
            shared
                .records
                .release(path.trim_start_matches("/standin/release/"));
            Reply::json(StatusCode::OK, Vec::new())
        }
        _ => Reply::error(404, "Not Found"),
    }
}

fn records(records: &Records) -> Reply {
    let all: Vec<Value> = records.all().iter().map(Received::to_value).collect();
    Reply::json(StatusCode::OK, serde_json::to_vec(&all).unwrap_or_default())
}

fn served(records: &Records) -> Reply {
    let sums: Vec<Value> = records
        .served()
        .iter()
        .map(|((model, user), usage)| json!({"model": model, "user": user, "usage": usage}))
        .collect();
    Reply::json(
        StatusCode::OK,
        serde_json::to_vec(&sums).unwrap_or_default(),
    )
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
