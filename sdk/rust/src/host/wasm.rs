//! Proxy-Wasm 0.2.1 as it is: the raw imports, and the only `unsafe` of the SDK around them, here and in `calls`.
//!
//! What the host hands over lies in memory that it asked [`allocate`] for; [`Delivery`] takes it over as a `Vec`.

#![allow(unsafe_code)]

mod calls;

use std::alloc::{Layout, alloc};
use std::ptr;

pub(crate) use calls::*;

use crate::HostError;
use crate::abi::{BufferKind, Level, MapKind, MetricKind, StreamKind};

const NO_GRPC_STATUS: u32 = u32::MAX;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        kind: u32,
        start: usize,
        replaced: usize,
        data: *const u8,
        size: usize,
    ) -> u32;
    safe fn proxy_continue_stream(stream: u32) -> u32;
    safe fn proxy_set_effective_context(context: u32) -> u32;
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, amount: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
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
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
}

/// Memory for the host to write into: exactly `size` bytes, owned by whoever takes it over.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the layout is not of size zero.
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        _ => ptr::null_mut(),
    }
}

/// Where the host leaves the place and length of what it delivers.
struct Delivery {
    data: *mut u8,
    size: usize,
}

impl Delivery {
    fn new() -> Self {
        Delivery { data: ptr::null_mut(), size: 0 }
    }

    fn take(self) -> Vec<u8> {
        if self.data.is_null() || self.size == 0 {
            return Vec::new();
        }
        // SAFETY: the ABI has the host fill `size` bytes of memory that `allocate(size)` gave, and keep no claim to it.
        unsafe { Vec::from_raw_parts(self.data, self.size, self.size) }
    }
}

fn accepted(call: &'static str, status: u32) -> Result<(), HostError> {
    if status == 0 { Ok(()) } else { Err(HostError::new(call, status)) }
}

/// Ends the callback as a trap does, which the host answers by the plugin's failure policy.
pub(crate) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: the pointer and length are of one live string. A refused line is lost.
    let _ = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

pub(crate) fn log_level() -> Level {
    let mut level = 0;
    // SAFETY: `level` outlives the call. On refusal it stays 0: every line is sent.
    let _ = unsafe { proxy_get_log_level(&mut level) };
    Level::from_number(level)
}

pub(crate) fn now_nanoseconds() -> u64 {
    let mut time = 0;
    // SAFETY: `time` outlives the call.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
    time
}

/// At most `max` bytes of a buffer from `start` on; nothing where the host has no such buffer now.
pub(crate) fn buffer(kind: BufferKind, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
    let mut bytes = Delivery::new();
    // SAFETY: the out-pointers outlive the call.
    let status = unsafe {
        proxy_get_buffer_bytes(kind as u32, start, max, &mut bytes.data, &mut bytes.size)
    };
    match status {
        HostError::NOT_FOUND => Ok(Vec::new()),
        _ => accepted("get_buffer_bytes", status).map(|()| bytes.take()),
    }
}

/// Replaces `size` bytes from `start` on. Hosts agree on all of it, before it and after it, not on a part in the middle.
pub(crate) fn set_buffer(
    kind: BufferKind,
    start: usize,
    size: usize,
    bytes: &[u8],
) -> Result<(), HostError> {
    // SAFETY: the bytes outlive the call.
    let status =
        unsafe { proxy_set_buffer_bytes(kind as u32, start, size, bytes.as_ptr(), bytes.len()) };
    accepted("set_buffer_bytes", status)
}

/// Lets a paused message go on.
pub(crate) fn continue_stream(stream: StreamKind) -> Result<(), HostError> {
    accepted("continue_stream", proxy_continue_stream(stream as u32))
}

/// Makes the following calls speak of another context than the one that was called.
pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    accepted("set_effective_context", proxy_set_effective_context(context))
}

/// Has the root context ticked every so often; 0 ends it.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    accepted("set_tick_period_milliseconds", proxy_set_tick_period_milliseconds(milliseconds))
}

pub(crate) fn header_pairs(map: MapKind) -> Result<Vec<u8>, HostError> {
    let mut pairs = Delivery::new();
    // SAFETY: the out-pointers outlive the call.
    let status =
        unsafe { proxy_get_header_map_pairs(map as u32, &mut pairs.data, &mut pairs.size) };
    accepted("get_header_map_pairs", status).map(|()| pairs.take())
}

pub(crate) fn header_value(map: MapKind, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    let mut value = Delivery::new();
    // SAFETY: the name and the out-pointers outlive the call.
    let status = unsafe {
        proxy_get_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            &mut value.data,
            &mut value.size,
        )
    };
    match status {
        HostError::NOT_FOUND => Ok(None),
        _ => accepted("get_header_map_value", status).map(|()| Some(value.take())),
    }
}

pub(crate) fn add_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: name and value outlive the call.
    let status = unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    accepted("add_header_map_value", status)
}

pub(crate) fn replace_header(map: MapKind, name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: name and value outlive the call.
    let status = unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    accepted("replace_header_map_value", status)
}

pub(crate) fn remove_header(map: MapKind, name: &str) -> Result<(), HostError> {
    // SAFETY: the name outlives the call.
    match unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) } {
        HostError::NOT_FOUND => Ok(()),
        status => accepted("remove_header_map_value", status),
    }
}

pub(crate) fn send_reply(
    status: u32,
    details: &str,
    body: &[u8],
    packed_headers: &[u8],
) -> Result<(), HostError> {
    // SAFETY: all slices outlive the call.
    let status = unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            packed_headers.as_ptr(),
            packed_headers.len(),
            NO_GRPC_STATUS,
        )
    };
    accepted("send_local_response", status)
}

pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: the name and `id` outlive the call.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
    accepted("define_metric", status).map(|()| id)
}

pub(crate) fn increment_metric(id: u32, amount: i64) -> Result<(), HostError> {
    // SAFETY: only numbers are passed.
    accepted("increment_metric", unsafe { proxy_increment_metric(id, amount) })
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    // SAFETY: only numbers are passed.
    accepted("record_metric", unsafe { proxy_record_metric(id, value) })
}

pub(crate) fn metric_value(id: u32) -> Result<u64, HostError> {
    let mut value = 0;
    // SAFETY: `value` outlives the call.
    let status = unsafe { proxy_get_metric(id, &mut value) };
    accepted("get_metric", status).map(|()| value)
}

pub(crate) fn property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    let mut value = Delivery::new();
    // SAFETY: the path and the out-pointers outlive the call.
    let status =
        unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut value.data, &mut value.size) };
    match status {
        HostError::NOT_FOUND => Ok(None),
        _ => accepted("get_property", status).map(|()| Some(value.take())),
    }
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: path and value outlive the call.
    let status =
        unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    accepted("set_property", status)
}

pub(crate) fn call_foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, HostError> {
    let mut answer = Delivery::new();
    // SAFETY: name, arguments and the out-pointers outlive the call.
    let status = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &mut answer.data,
            &mut answer.size,
        )
    };
    accepted("call_foreign_function", status).map(|()| answer.take())
}
