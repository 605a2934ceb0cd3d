"""A client of the gRPC library itself: every kind of call to ADDRESS under the name AUTHORITY. It prints `all well`."""

import queue
import sys

import grpc

address, authority = sys.argv[1:]
PATIENCE = 60
channel = grpc.insecure_channel(address, options=[("grpc.default_authority", authority)])

unary = channel.unary_unary("/shop.Echo/Unary")
reply, call = unary.with_call(b"hello", metadata=(("x-said", "this"),), timeout=PATIENCE)
assert reply == b"hello", reply
assert dict(call.trailing_metadata())["x-told"] == "this", call.trailing_metadata()
large = bytes(1 << 20)
assert unary(large, timeout=PATIENCE) == large

many = channel.unary_stream("/shop.Echo/Many")
assert list(many(b"1000", timeout=PATIENCE)) == [b"%d" % nth for nth in range(1000)]

gather = channel.stream_unary("/shop.Echo/Gather")
assert gather(iter([b"a", b"b", b"c"]), timeout=PATIENCE) == b"a,b,c"

# Each word is said once the last is heard.
chat = channel.stream_stream("/shop.Echo/Chat")
words = queue.Queue()
said = chat(iter(words.get, None), timeout=PATIENCE)
for nth in range(50):
    words.put(b"%d" % nth)
    assert next(said) == b"%d" % nth
words.put(None)
assert list(said) == []

try:
    channel.unary_unary("/shop.Echo/Fail")(b"", timeout=PATIENCE)
    raise AssertionError("it did not fail")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "as asked: 100 %", error

try:
    channel.unary_unary("/shop.Echo/NoSuch")(b"", timeout=PATIENCE)
    raise AssertionError("there is no such method")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

# A call that its client gives up leaves the others alone.
given_up = chat(iter(queue.Queue().get, None), timeout=PATIENCE)
given_up.cancel()
assert unary(b"after", timeout=PATIENCE) == b"after"
print("all well")
