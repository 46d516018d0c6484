//! Tokens: what a response says it cost, found while it passes.

mod meter;
mod response;
mod usage;

pub use meter::{Meter, MeterStream};
pub(crate) use meter::{ask_for_usage, endpoint, refuse, replace_body};
pub use response::{Form, MAX_HELD_BYTES, ResponseMeter, Seen};
pub use usage::{Usage, UsageScanner};
