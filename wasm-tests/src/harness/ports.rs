//! TCP ports that are free.
//!
//! They come from below the range that the kernel gives to outgoing connections, so that no client takes one between the
//! look and Envoy's bind. Envoy listens with `SO_REUSEPORT` and would share a taken port silently: that is why we look.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free port, never the same twice in this process.
///
/// # Errors
/// When a whole round found none.
pub fn free() -> Result<u16> {
    // Processes start at different places, so that two of them rarely look at one port.
    let start = u16::try_from(std::process::id() * 37 % u32::from(COUNT)).unwrap_or_default();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (u32::from(start) + u32::from(step)).rem_euclid(COUNT.into()) as u16;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free TCP port between {FIRST} and {}", FIRST + COUNT);
}

/// Whether nobody listens on a loopback port.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
