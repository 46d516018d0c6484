//! Work that takes a thread for a while.

/// Bytes of text below which tokenizing takes less time than the way to another thread and back is worth: some 100 µs.
const INLINE_BYTES: usize = 1024;

/// Runs `work` over `bytes` of text here when it is little, else on a thread that may block: those that serve sockets must not.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    if bytes <= INLINE_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(panic.to_string()))
}
