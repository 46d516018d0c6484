//! Work that takes a thread for a while.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

/// Bytes of text below which tokenizing takes less time than the way to another thread and back is worth: some 100 µs.
pub(crate) const INLINE_BYTES: usize = 1024;

/// Bytes of text from which the work is heavy: a megabyte takes a third of a second and a hundred megabytes of memory.
const HEAVY_BYTES: usize = 64 << 10;

/// Places for heavy work: half of the cores, so that short texts find a thread and memory stays bounded.
static HEAVY: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores / 2).max(1)))
});

/// Runs `work` over `bytes` of text here when it is little, else on a thread that may block: those that serve sockets must not.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    run_beyond(INLINE_BYTES, bytes, work).await
}

/// The same for work that is little up to `inline` bytes of text.
pub(crate) async fn run_beyond<T: Send + 'static>(
    inline: usize,
    bytes: usize,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    if bytes <= inline {
        return work();
    }
    let place = if bytes > HEAVY_BYTES {
        let place = Arc::clone(&HEAVY).acquire_owned().await;
        Some(place.map_err(|e| e.to_string())?)
    } else {
        None
    };
    // The place is the work's: it goes on when its client leaves.
    let work = move || {
        let done = work();
        drop(place);
        done
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(panic.to_string()))
}
