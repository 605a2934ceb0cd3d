"""A server of the gRPC library itself. It prints its port, and reads `SERVICE STATUS` lines that set its health."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def unary(request, context):
    metadata = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-told", metadata.get("x-said", "")),))
    return request


def many(request, context):
    for nth in range(int(request)):
        yield b"%d" % nth


def gather(requests, context):
    return b",".join(requests)


def chat(requests, context):
    yield from requests


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100 %")


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Many": grpc.unary_stream_rpc_method_handler(many),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
}


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    handlers = grpc.method_handlers_generic_handler("shop.Echo", METHODS)
    server.add_generic_rpc_handlers((handlers,))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        service, status = line.split()
        service = "" if service == "-" else service
        servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        print("set", flush=True)


main()
