"""A provider that misbehaves on command: the model's name says which of the scripts below it plays."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Cached tokens are inside the input, reasoning is inside the output: OpenAI's way of counting.
USAGE = {
    "prompt_tokens": 1234,
    "prompt_tokens_details": {"cached_tokens": 1000},
    "completion_tokens": 77,
    "completion_tokens_details": {"reasoning_tokens": 13},
    "total_tokens": 1311,
}
WORDS = ["Once", " upon"]


class ScriptedUpstream:
    """Serves on a free loopback port until closed."""

    def __init__(self):
        self.scripts = list(SCRIPTS)
        self.server = Server(("127.0.0.1", 0), Provider)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """The gateway may drop a connection whose answer it does not want; anything else is a fault of these tests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        SCRIPTS[self.asked["model"]](self)

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, message, param=None):
        self.answer(status, {"error": {"message": message, "type": "some_error", "param": param, "code": None}})

    def begin_stream(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def event(self, data):
        text = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.flush()

    def words(self):
        self.begin_stream()
        for word in WORDS:
            self.event(self.chunk([{"index": 0, "delta": {"role": "assistant", "content": word}}]))

    def chunk(self, choices, **more):
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


def counted(provider):
    """Answers in full and reports usage, with cached and reasoning tokens in it."""
    if not provider.asked.get("stream"):
        message = {"role": "assistant", "content": "".join(WORDS)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        return provider.answer(200, {**whole, "usage": USAGE})
    provider.words()
    provider.event(provider.chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    if (provider.asked.get("stream_options") or {}).get("include_usage"):
        provider.event(provider.chunk([], usage=USAGE))
    provider.event("[DONE]")
    provider.wfile.write(b"0\r\n\r\n")


def cut(provider):
    """Breaks off in the middle of a stream."""
    provider.words()
    provider.close_connection = True


def error_event(provider):
    """Gives up in the middle of a stream, and says so."""
    provider.words()
    provider.event({"error": {"message": "out of memory on gpu-7", "type": "server_error"}})
    provider.wfile.write(b"0\r\n\r\n")


def rejects(provider):
    """Finds fault with the request."""
    provider.error(400, "Unsupported value for this model.", "temperature")


def broken(provider):
    """Is out of order."""
    provider.error(500, "stack trace of gpu-7")


def refuses_key(provider):
    """Does not know the gateway's credential, which is the gateway's business and not its client's."""
    provider.error(401, "Incorrect API key provided: an-upstream-key.")


SCRIPTS = {
    "counted": counted,
    "cut": cut,
    "error-event": error_event,
    "rejects": rejects,
    "broken": broken,
    "refuses-key": refuses_key,
}
