//! The host calls of proxy-wasm ABI 0.2.1 that the filters use, without a panic among them.
//!
//! `proxy_wasm::hostcalls` panics on every status that it does not expect, `set_property` and the header setters on every
//! status but "ok", and a panic ends all streams of the worker. Here each call gives a `Result`, and what the host returns
//! is checked before it is read. Only `dispatch_http_call` stays with the SDK, which must know the call's token.

#![expect(
    unsafe_code,
    reason = "the ABI is a C interface; every pointer comes from a live slice or from the host's allocation"
)]

use std::ptr::null_mut;

use turnpike_core::host::Headers;

/// Status that a host call returned, other than "ok".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u32);

impl Refused {
    /// "Not found": a property or header that is not there.
    const NOT_FOUND: Self = Self(1);
    /// What the host returned cannot be read.
    const UNREADABLE: Self = Self(3);
}

/// Header maps.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// Byte buffers.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *const u8,
        data_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        version: u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
}

fn ok(status: u32) -> Result<(), Refused> {
    if status == 0 {
        Ok(())
    } else {
        Err(Refused(status))
    }
}

/// Runs a call that returns bytes in memory which it took from our allocator.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut(), 0_usize);
    ok(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host allocated `size` bytes at `data` through the SDK's `proxy_on_memory_allocate` and gave them away.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

fn found(result: Result<Vec<u8>, Refused>) -> Result<Option<Vec<u8>>, Refused> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Refused::NOT_FOUND) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn time_ns() -> Result<u64, Refused> {
    let mut time = 0;
    // SAFETY: `time` lives through the call.
    ok(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// All headers of a map.
pub(crate) fn headers(map: Map) -> Result<Headers, Refused> {
    // SAFETY: both pointers live through the call.
    let bytes = bytes(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })?;
    Headers::parse(bytes).ok_or(Refused::UNREADABLE)
}

/// The first value of a header.
pub(crate) fn header(map: Map, name: &str) -> Result<Option<Vec<u8>>, Refused> {
    // SAFETY: `name` and both pointers live through the call.
    found(bytes(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    }))
}

/// Sets a header, replacing all its values.
pub(crate) fn set_header(map: Map, name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: both slices live through the call.
    ok(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Adds a value of a header.
pub(crate) fn add_header(map: Map, name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: both slices live through the call.
    ok(unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes a header, all its values.
pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), Refused> {
    // SAFETY: `name` lives through the call.
    ok(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Up to `max_size` bytes from the offset `from` of a buffer; empty when there is none.
pub(crate) fn buffer(buffer: Buffer, from: usize, max_size: usize) -> Result<Vec<u8>, Refused> {
    // SAFETY: both pointers live through the call.
    let read = bytes(|data, size| unsafe {
        proxy_get_buffer_bytes(buffer as u32, from, max_size, data, size)
    });
    found(read).map(Option::unwrap_or_default)
}

/// Replaces the first `size` bytes of a buffer.
pub(crate) fn set_buffer(buffer: Buffer, size: usize, data: &[u8]) -> Result<(), Refused> {
    // SAFETY: `data` lives through the call.
    ok(unsafe { proxy_set_buffer_bytes(buffer as u32, 0, size, data.as_ptr(), data.len()) })
}

/// A property by its path.
pub(crate) fn property(path: &[&str]) -> Result<Option<Vec<u8>>, Refused> {
    let path = path.join("\0");
    // SAFETY: `path` and both pointers live through the call.
    found(bytes(|data, size| unsafe {
        proxy_get_property(path.as_ptr(), path.len(), data, size)
    }))
}

/// Sets a property of one path element; other filters and the access log see it as filter state `wasm.<name>`.
pub(crate) fn set_property(name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: both slices live through the call.
    ok(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Answers the request. `details` is shown by `%RESPONSE_CODE_DETAILS%`.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Result<(), Refused> {
    let headers = Headers::of(headers).ok_or(Refused::UNREADABLE)?;
    let headers = headers.as_bytes();
    // SAFETY: all slices live through the call.
    ok(unsafe {
        proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}

/// Lets a held request go.
pub(crate) fn continue_request() -> Result<(), Refused> {
    // SAFETY: no pointers.
    ok(unsafe { proxy_continue_stream(0) })
}

/// Kinds of stats.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum MetricKind {
    Counter = 0,
    Histogram = 2,
}

/// Handle of a stat.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: `name` and `id` live through the call.
    ok(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter; `by` must be above 0.
pub(crate) fn increment(id: u32, by: i64) -> Result<(), Refused> {
    // SAFETY: no pointers.
    ok(unsafe { proxy_increment_metric(id, by) })
}

/// Records a value of a histogram.
pub(crate) fn record(id: u32, value: u64) -> Result<(), Refused> {
    // SAFETY: no pointers.
    ok(unsafe { proxy_record_metric(id, value) })
}

/// A value shared by all workers, and its version; `None` when nobody has set it.
pub(crate) fn shared(key: &str) -> Result<Option<(Vec<u8>, u32)>, Refused> {
    let mut version = 0;
    // SAFETY: `key`, `version` and both pointers live through the call.
    let read = bytes(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
    });
    Ok(found(read)?.map(|value| (value, version)))
}

/// Sets a shared value, if its version is still `version`; 0 sets it in any case.
pub(crate) fn set_shared(key: &str, value: &[u8], version: u32) -> Result<(), Refused> {
    // SAFETY: both slices live through the call.
    ok(unsafe {
        proxy_set_shared_data(
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
            version,
        )
    })
}

/// Asks for a tick of the root context every so many milliseconds.
pub(crate) fn set_tick_period(period_ms: u32) -> Result<(), Refused> {
    // SAFETY: no pointers.
    ok(unsafe { proxy_set_tick_period_milliseconds(period_ms) })
}

/// Makes the host calls that follow those of another context of this worker.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Refused> {
    // SAFETY: no pointers.
    ok(unsafe { proxy_set_effective_context(context) })
}
