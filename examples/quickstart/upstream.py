#!/usr/bin/env python3
"""The example upstream: two versions of a small service that tells what reached it.

    upstream.py PORT_OF_V1 PORT_OF_V2
"""
import http.server
import signal
import sys
import threading

# What the gateway and its filters add; the rest of the head would hide it.
TOLD = ["host", "x-user", "x-entered-by", "x-request-id", "x-forwarded-for", "x-forwarded-proto"]


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body leave in one segment.
    wbufsize = -1

    def answer(self):
        body = self.read_body()
        lines = [f"hello from {self.server.version}", f"{self.command} {self.path}"]
        lines += [f"{name}: {self.headers[name]}" for name in TOLD if name in self.headers]
        if body:
            lines.append(f"body of {len(body)} bytes")
        reply = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, *_):
        """The gateway's access log tells it better."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, version, port):
        super().__init__(("127.0.0.1", port), Echo)
        self.version = version


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    # The last act of whoever started it; SIGINT is for the starter alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for version, port in zip(["v1", "v2"], sys.argv[1:]):
        threading.Thread(target=Server(version, int(port)).serve_forever, daemon=True).start()
    print("serving", flush=True)
    signal.sigwait([signal.SIGTERM])


main()
