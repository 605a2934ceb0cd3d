//! Calls to other services, what plugin instances share, and random bytes: the raw imports and their safe sides.

use super::{Delivery, accepted};
use crate::HostError;
use crate::abi::{End, Stored};
use crate::packed::Packed;

/// What a host gives at once; Envoy refuses more.
const MOST_RANDOM_BYTES: usize = 65_536;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_ms: u32,
        id: *mut u32,
    ) -> u32;
    fn proxy_grpc_call(
        cluster: *const u8,
        cluster_size: usize,
        service: *const u8,
        service_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        message: *const u8,
        message_size: usize,
        timeout_ms: u32,
        id: *mut u32,
    ) -> u32;
    fn proxy_grpc_stream(
        cluster: *const u8,
        cluster_size: usize,
        service: *const u8,
        service_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        id: *mut u32,
    ) -> u32;
    fn proxy_grpc_send(id: u32, message: *const u8, message_size: usize, end: u32) -> u32;
    safe fn proxy_grpc_cancel(id: u32) -> u32;
    safe fn proxy_grpc_close(id: u32) -> u32;
    fn proxy_get_status(code: *mut u32, data: *mut *mut u8, size: *mut usize) -> u32;
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
    fn proxy_register_shared_queue(name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_resolve_shared_queue(
        vm: *const u8,
        vm_size: usize,
        name: *const u8,
        name_size: usize,
        id: *mut u32,
    ) -> u32;
    fn proxy_enqueue_shared_queue(id: u32, value: *const u8, value_size: usize) -> u32;
    fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, size: *mut usize) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(data: *mut u8, size: usize) -> u32;
}

/// Sends a request; the answer comes to the root context. A cluster that the host does not know is a bad argument.
pub(crate) fn http_call(
    cluster: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
    trailers: &[(&str, &[u8])],
    timeout_ms: u32,
) -> Result<u32, HostError> {
    let (headers, trailers) = (Packed::pack(headers), Packed::pack(trailers));
    let mut id = 0;
    // SAFETY: all slices and `id` outlive the call.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &mut id,
        )
    };
    accepted("http_call", status).map(|()| id)
}

/// Sends one message and awaits one. A cluster that the host does not know is a parse failure.
pub(crate) fn grpc_call(
    cluster: &str,
    service: &str,
    method: &str,
    metadata: &[(&str, &[u8])],
    message: &[u8],
    timeout_ms: u32,
) -> Result<u32, HostError> {
    let metadata = Packed::pack(metadata);
    let mut id = 0;
    // SAFETY: all slices and `id` outlive the call.
    let status = unsafe {
        proxy_grpc_call(
            cluster.as_ptr(),
            cluster.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            timeout_ms,
            &mut id,
        )
    };
    accepted("grpc_call", status).map(|()| id)
}

/// Opens a stream of messages in both directions.
pub(crate) fn grpc_stream(
    cluster: &str,
    service: &str,
    method: &str,
    metadata: &[(&str, &[u8])],
) -> Result<u32, HostError> {
    let metadata = Packed::pack(metadata);
    let mut id = 0;
    // SAFETY: all slices and `id` outlive the call.
    let status = unsafe {
        proxy_grpc_stream(
            cluster.as_ptr(),
            cluster.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            &mut id,
        )
    };
    accepted("grpc_stream", status).map(|()| id)
}

pub(crate) fn grpc_send(id: u32, message: &[u8], end: End) -> Result<(), HostError> {
    // SAFETY: the message outlives the call.
    let status = unsafe { proxy_grpc_send(id, message.as_ptr(), message.len(), end as u32) };
    accepted("grpc_send", status)
}

/// Ends a call or a stream at once; nothing of it is delivered any more.
pub(crate) fn grpc_cancel(id: u32) -> Result<(), HostError> {
    accepted("grpc_cancel", proxy_grpc_cancel(id))
}

/// Ends our half of a stream.
pub(crate) fn grpc_close(id: u32) -> Result<(), HostError> {
    accepted("grpc_close", proxy_grpc_close(id))
}

/// Code and message of what was just closed.
pub(crate) fn call_status() -> Result<(u32, Vec<u8>), HostError> {
    let (mut code, mut message) = (0, Delivery::new());
    // SAFETY: the out-pointers outlive the call.
    let status = unsafe { proxy_get_status(&mut code, &mut message.data, &mut message.size) };
    accepted("get_status", status).map(|()| (code, message.take()))
}

/// A value and its version; None when nobody has stored one.
pub(crate) fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    let (mut value, mut version) = (Delivery::new(), 0);
    // SAFETY: the key and the out-pointers outlive the call.
    let status = unsafe {
        proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &mut value.data,
            &mut value.size,
            &mut version,
        )
    };
    match status {
        HostError::NOT_FOUND => Ok(None),
        _ => accepted("get_shared_data", status).map(|()| Some((value.take(), version))),
    }
}

/// Stores a value, with a version only if that is still the present one.
pub(crate) fn set_shared_data(
    key: &str,
    value: &[u8],
    version: Option<u32>,
) -> Result<Stored, HostError> {
    // SAFETY: key and value outlive the call. Version 0 is no condition.
    let status = unsafe {
        proxy_set_shared_data(
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
            version.unwrap_or(0),
        )
    };
    match status {
        HostError::CAS_MISMATCH => Ok(Stored::Conflict),
        _ => accepted("set_shared_data", status).map(|()| Stored::Done),
    }
}

/// Makes or finds a queue, and has its root context told of what comes in.
pub(crate) fn register_queue(name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: the name and `id` outlive the call.
    let status = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &mut id) };
    accepted("register_shared_queue", status).map(|()| id)
}

/// Finds the queue that another plugin registered under its VM id.
pub(crate) fn resolve_queue(vm: &str, name: &str) -> Result<Option<u32>, HostError> {
    let mut id = 0;
    // SAFETY: both names and `id` outlive the call.
    let status = unsafe {
        proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), name.as_ptr(), name.len(), &mut id)
    };
    match status {
        HostError::NOT_FOUND => Ok(None),
        _ => accepted("resolve_shared_queue", status).map(|()| Some(id)),
    }
}

pub(crate) fn enqueue(queue: u32, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: the value outlives the call.
    let status = unsafe { proxy_enqueue_shared_queue(queue, value.as_ptr(), value.len()) };
    accepted("enqueue_shared_queue", status)
}

/// The oldest value; None when the queue is empty.
pub(crate) fn dequeue(queue: u32) -> Result<Option<Vec<u8>>, HostError> {
    let mut value = Delivery::new();
    // SAFETY: the out-pointers outlive the call.
    let status = unsafe { proxy_dequeue_shared_queue(queue, &mut value.data, &mut value.size) };
    match status {
        HostError::EMPTY => Ok(None),
        _ => accepted("dequeue_shared_queue", status).map(|()| Some(value.take())),
    }
}

/// Fills the bytes with randomness fit for secrets.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), HostError> {
    for part in bytes.chunks_mut(MOST_RANDOM_BYTES) {
        // SAFETY: the part outlives the call. The status is one of WASI: any but 0 is a failure.
        if unsafe { random_get(part.as_mut_ptr(), part.len()) } != 0 {
            return Err(HostError::new("random_get", HostError::INTERNAL_FAILURE));
        }
    }
    Ok(())
}
