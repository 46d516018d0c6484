//! Tokens: what a response says it cost, found while it passes.

mod response;
mod usage;

pub use response::{Form, MAX_HELD_BYTES, ResponseMeter, Seen};
pub use usage::{Usage, UsageScanner};
