//! Numbers for people.

use std::time::Duration;

/// The value below which `share` (0 to 1) of the sorted `times` lie, in microseconds.
#[must_use]
pub fn percentile_us(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list far below 2^52"
    )]
    let index = (last as f64 * share).round() as usize;
    times
        .get(index)
        .map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// The machine and the versions, as far as the system tells.
#[must_use]
pub fn set_up() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!(
        "{cpu}, {cores} cores, load average {load}; Envoy, client and stand-in share the machine"
    )
}
