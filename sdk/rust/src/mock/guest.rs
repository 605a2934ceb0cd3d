//! What a host calls in a module, natively: the runtime's entry points, whatever filter is behind them.

use crate::Filter;
use crate::runtime::Runtime;

/// The callbacks of Proxy-Wasm that the SDK knows.
pub(crate) trait Guest {
    fn on_context_create(&self, context: u32, parent: u32);
    fn on_vm_start(&self) -> bool;
    fn on_configure(&self, root: u32, size: usize) -> bool;
    fn on_tick(&self, root: u32);
    fn on_queue_ready(&self, root: u32, queue: u32);
    fn on_request_headers(&self, context: u32, end_of_stream: u32) -> u32;
    fn on_request_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32;
    fn on_request_trailers(&self, context: u32, count: u32) -> u32;
    fn on_response_headers(&self, context: u32, end_of_stream: u32) -> u32;
    fn on_response_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32;
    fn on_response_trailers(&self, context: u32, count: u32) -> u32;
    fn on_http_call_response(&self, root: u32, call: u32, headers: u32, body: usize, trailers: u32);
    fn on_grpc_receive_initial_metadata(&self, root: u32, call: u32, count: u32);
    fn on_grpc_receive(&self, root: u32, call: u32, size: usize);
    fn on_grpc_receive_trailing_metadata(&self, root: u32, call: u32, count: u32);
    fn on_grpc_close(&self, root: u32, call: u32, status: u32);
    fn on_done(&self, context: u32) -> bool;
    fn on_log(&self, context: u32);
    fn on_delete(&self, context: u32);
}

impl<F: Filter> Guest for Runtime<F> {
    fn on_context_create(&self, context: u32, parent: u32) {
        self.on_context_create(context, parent);
    }

    fn on_vm_start(&self) -> bool {
        self.on_vm_start()
    }

    fn on_configure(&self, root: u32, size: usize) -> bool {
        self.on_configure(root, size)
    }

    fn on_tick(&self, root: u32) {
        self.on_tick(root);
    }

    fn on_queue_ready(&self, root: u32, queue: u32) {
        self.on_queue_ready(root, queue);
    }

    fn on_request_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        self.on_request_headers(context, end_of_stream)
    }

    fn on_request_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32 {
        self.on_request_body(context, size, end_of_stream)
    }

    fn on_request_trailers(&self, context: u32, count: u32) -> u32 {
        self.on_request_trailers(context, count)
    }

    fn on_response_headers(&self, context: u32, end_of_stream: u32) -> u32 {
        self.on_response_headers(context, end_of_stream)
    }

    fn on_response_body(&self, context: u32, size: usize, end_of_stream: u32) -> u32 {
        self.on_response_body(context, size, end_of_stream)
    }

    fn on_response_trailers(&self, context: u32, count: u32) -> u32 {
        self.on_response_trailers(context, count)
    }

    fn on_http_call_response(
        &self,
        root: u32,
        call: u32,
        headers: u32,
        body: usize,
        trailers: u32,
    ) {
        self.on_http_call_response(root, call, headers, body, trailers);
    }

    fn on_grpc_receive_initial_metadata(&self, root: u32, call: u32, count: u32) {
        self.on_grpc_receive_initial_metadata(root, call, count);
    }

    fn on_grpc_receive(&self, root: u32, call: u32, size: usize) {
        self.on_grpc_receive(root, call, size);
    }

    fn on_grpc_receive_trailing_metadata(&self, root: u32, call: u32, count: u32) {
        self.on_grpc_receive_trailing_metadata(root, call, count);
    }

    fn on_grpc_close(&self, root: u32, call: u32, status: u32) {
        self.on_grpc_close(root, call, status);
    }

    fn on_done(&self, context: u32) -> bool {
        self.on_done(context)
    }

    fn on_log(&self, context: u32) {
        self.on_log(context);
    }

    fn on_delete(&self, context: u32) {
        self.on_delete(context);
    }
}
