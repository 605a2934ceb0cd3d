//! The guest's callbacks, looked up once per instance and called without any further lookup.

use wasmtime::{AsContextMut, Instance, TypedFunc, WasmParams, WasmResults};

/// A headers callback in the form of its version.
#[derive(Clone)]
pub(crate) enum HeadersCallback {
    /// 0.1.0: context, number of fields.
    Plain(TypedFunc<(u32, u32), u32>),
    /// 0.2: with end of stream.
    WithEnd(TypedFunc<(u32, u32, u32), u32>),
}

/// A body callback: context, bytes, end of stream.
pub(crate) type BodyCallback = TypedFunc<(u32, u32, u32), u32>;
/// A trailers callback: context, number of fields.
pub(crate) type TrailersCallback = TypedFunc<(u32, u32), u32>;

/// Every callback that this host calls; absent ones are skipped.
pub(crate) struct Callbacks {
    pub(crate) context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) vm_start: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) configure: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) request_headers: Option<HeadersCallback>,
    pub(crate) request_body: Option<BodyCallback>,
    pub(crate) request_trailers: Option<TrailersCallback>,
    pub(crate) response_headers: Option<HeadersCallback>,
    pub(crate) response_body: Option<BodyCallback>,
    pub(crate) response_trailers: Option<TrailersCallback>,
    pub(crate) done: Option<TypedFunc<u32, u32>>,
    pub(crate) log: Option<TypedFunc<u32, ()>>,
    pub(crate) delete: Option<TypedFunc<u32, ()>>,
    pub(crate) root: RootCallbacks,
    pub(crate) network: NetworkCallbacks,
}

impl Callbacks {
    /// Looks all of them up; the error names an export of a wrong type.
    pub(crate) fn find(
        instance: &Instance,
        mut store: impl AsContextMut,
    ) -> Result<Self, &'static str> {
        let store = &mut store;
        Ok(Callbacks {
            context_create: find(instance, store, "proxy_on_context_create")?,
            vm_start: find(instance, store, "proxy_on_vm_start")?,
            configure: find(instance, store, "proxy_on_configure")?,
            request_headers: find_headers(instance, store, "proxy_on_request_headers")?,
            request_body: find(instance, store, "proxy_on_request_body")?,
            request_trailers: find(instance, store, "proxy_on_request_trailers")?,
            response_headers: find_headers(instance, store, "proxy_on_response_headers")?,
            response_body: find(instance, store, "proxy_on_response_body")?,
            response_trailers: find(instance, store, "proxy_on_response_trailers")?,
            done: find(instance, store, "proxy_on_done")?,
            log: find(instance, store, "proxy_on_log")?,
            delete: find(instance, store, "proxy_on_delete")?,
            root: RootCallbacks::find(instance, store)?,
            network: NetworkCallbacks::find(instance, store)?,
        })
    }
}

/// Root context, call, numbers of fields, of bytes, of trailers.
pub(crate) type ReplyCallback = TypedFunc<(u32, u32, u32, u32, u32), ()>;

/// The callbacks of the root context, after the start.
pub(crate) struct RootCallbacks {
    pub(crate) tick: Option<TypedFunc<u32, ()>>,
    /// Root context, queue.
    pub(crate) queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) http_call_response: Option<ReplyCallback>,
    /// Root context, call, number of fields or bytes, or the status.
    pub(crate) grpc_initial_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_message: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_trailing_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_close: Option<TypedFunc<(u32, u32, u32), ()>>,
}

impl RootCallbacks {
    fn find(instance: &Instance, store: &mut impl AsContextMut) -> Result<Self, &'static str> {
        Ok(RootCallbacks {
            tick: find(instance, store, "proxy_on_tick")?,
            queue_ready: find(instance, store, "proxy_on_queue_ready")?,
            http_call_response: find(instance, store, "proxy_on_http_call_response")?,
            grpc_initial_metadata: find(instance, store, "proxy_on_grpc_receive_initial_metadata")?,
            grpc_message: find(instance, store, "proxy_on_grpc_receive")?,
            grpc_trailing_metadata: find(
                instance,
                store,
                "proxy_on_grpc_receive_trailing_metadata",
            )?,
            grpc_close: find(instance, store, "proxy_on_grpc_close")?,
        })
    }
}

/// Context, and which side closed it.
pub(crate) type CloseCallback = TypedFunc<(u32, u32), ()>;

/// The callbacks of connections whose bytes are passed on.
pub(crate) struct NetworkCallbacks {
    pub(crate) new_connection: Option<TypedFunc<u32, u32>>,
    pub(crate) downstream_data: Option<BodyCallback>,
    pub(crate) upstream_data: Option<BodyCallback>,
    pub(crate) downstream_close: Option<CloseCallback>,
    pub(crate) upstream_close: Option<CloseCallback>,
}

impl NetworkCallbacks {
    fn find(instance: &Instance, store: &mut impl AsContextMut) -> Result<Self, &'static str> {
        Ok(NetworkCallbacks {
            new_connection: find(instance, store, "proxy_on_new_connection")?,
            downstream_data: find(instance, store, "proxy_on_downstream_data")?,
            upstream_data: find(instance, store, "proxy_on_upstream_data")?,
            downstream_close: find(instance, store, "proxy_on_downstream_connection_close")?,
            upstream_close: find(instance, store, "proxy_on_upstream_connection_close")?,
        })
    }
}

/// The guest's allocator: `malloc` first, then `proxy_on_memory_allocate`, as proxy-wasm-cpp-host looks.
pub(crate) fn find_allocator(
    instance: &Instance,
    mut store: impl AsContextMut,
) -> Option<TypedFunc<u32, u32>> {
    let store = &mut store;
    ["malloc", "proxy_on_memory_allocate"]
        .into_iter()
        .find_map(|name| instance.get_typed_func(&mut *store, name).ok())
}

fn find<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut impl AsContextMut,
    name: &'static str,
) -> Result<Option<TypedFunc<P, R>>, &'static str> {
    match instance.get_func(&mut *store, name) {
        None => Ok(None),
        Some(func) => func.typed(&*store).map(Some).map_err(|_| name),
    }
}

fn find_headers(
    instance: &Instance,
    store: &mut impl AsContextMut,
    name: &'static str,
) -> Result<Option<HeadersCallback>, &'static str> {
    if let Ok(callback) = find(instance, store, name) {
        return Ok(callback.map(HeadersCallback::WithEnd));
    }
    Ok(find(instance, store, name)?.map(HeadersCallback::Plain))
}
