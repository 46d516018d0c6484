//! The gateways that only tests of the cache need, started as those of [`crate::gateways`] are.

use std::io::ErrorKind;
use std::path::PathBuf;

use tokio::sync::{Mutex, MutexGuard, OnceCell};
use turnpike_core::Config;
use turnpike_core::cache::Scope;
use turnpike_core::decision::PiiPolicyConfig;
use wasm_tests::harness::{Stack, StackOptions};

use crate::gateways::{Case, Shared, shared};

/// Time that the router of [`chaotic`] gives its sidecar: short, since a test waits for it again and again.
const CHAOTIC_TIMEOUT_MS: u32 = 1_000;

/// Clients may ask for less caching, guards look for attacks and personal data, and answers that call tools are kept.
pub(crate) async fn controlled(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| {
        config.semantic_cache.request_control = true;
        config.semantic_cache.finish_reasons = vec!["stop".into(), "tool_calls".into()];
        config.prompt_guard.enabled = true;
        let model = config.model_config.get_mut("qwen3-8b").expect("a model");
        model.pii_policy = Some(PiiPolicyConfig {
            allow_by_default: false,
            pii_types_allowed: ["EMAIL_ADDRESS", "PERSON", "GPE"].map(String::from).into(),
        });
    };
    Case::new(shared(&STACK, change, StackOptions::default()).await, user)
}

/// Users of one tier share answers.
pub(crate) async fn tiered(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    let change = |config: &mut Config| config.semantic_cache.scope = Scope::Tier;
    Case::new(shared(&STACK, change, StackOptions::default()).await, user)
}

/// A gateway whose cache outlives its sidecar, for one test at a time. When a test begins there is no sidecar, and nothing is cached.
pub(crate) async fn chaotic(user: &str) -> (Case, MutexGuard<'static, ()>) {
    static STACK: Shared = OnceCell::const_new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let change = |config: &mut Config| {
        config.semantic_cache.path = "cache".into();
        config.sidecar.timeout_ms = CHAOTIC_TIMEOUT_MS;
    };
    let options = StackOptions {
        without_sidecar: true,
        ..StackOptions::default()
    };
    let stack = shared(&STACK, change, options).await;
    stack.kill_sidecar();
    match std::fs::remove_dir_all(cache_folder(stack)) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("the cache stays: {error}"),
        _ => {}
    }
    (Case::new(stack, user), turn)
}

/// Where the sidecar of [`chaotic`] keeps its cache.
pub(crate) fn cache_folder(stack: &Stack) -> PathBuf {
    stack.plan().folder.join("cache")
}

/// The files of that folder whose names begin so.
pub(crate) fn cache_files(stack: &Stack, kind: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(cache_folder(stack)).expect("the cache has a folder");
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    let of_kind = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(kind) && !name.ends_with(".tmp")
    };
    paths.filter(of_kind).collect()
}
