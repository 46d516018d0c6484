//! Metering: who calls, what it cost, what the response says about it.
//!
//! [`Meter`] is compiled once for a worker, [`MeterStream`] follows one stream and counts it once, at its end.

mod account;
mod cardinality;
mod cost;
mod guards;
mod headers;
mod meter;
mod response;
mod sample;
mod stream;
mod usage;
mod withheld;

pub use cardinality::OTHER;
pub use meter::Meter;
pub use response::{Form, MAX_HELD_BYTES, ResponseMeter, Seen};
pub use stream::MeterStream;
pub(crate) use stream::millis;
pub use usage::{Usage, UsageScanner};
pub(crate) use withheld::Withheld;
