"""A provider that misbehaves on command: the model's name says which of the scripts below it plays, the path in which
dialect."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
        self.dialect = DIALECTS[self.path.partition("?")[0]](self.asked)
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
        self.answer(status, self.dialect.error(message, param))

    def words(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.events(self.dialect.words())

    def events(self, events):
        for data in events:
            name = f"event: {data['type']}\n" if self.dialect.is_named else ""
            text = f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()

    def let_it_arrive(self):
        """What breaks off before anything of it was given out is another upstream's to answer."""
        time.sleep(0.2)

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")


class Chat:
    # Cached tokens are inside the input, reasoning is inside the output: OpenAI's way of counting.
    USAGE = {
        "prompt_tokens": 1234,
        "prompt_tokens_details": {"cached_tokens": 1000},
        "completion_tokens": 77,
        "completion_tokens_details": {"reasoning_tokens": 13},
        "total_tokens": 1311,
    }
    is_named = False

    def __init__(self, asked):
        self.reports_usage = (asked.get("stream_options") or {}).get("include_usage")

    def whole(self):
        message = {"role": "assistant", "content": "".join(WORDS)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {**self._chunk(choices), "object": "chat.completion", "usage": self.USAGE}

    def words(self):
        return [self._chunk([{"index": 0, "delta": {"role": "assistant", "content": word}}]) for word in WORDS]

    def end(self):
        finish = self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        usage = [{**self._chunk([]), "usage": self.USAGE}] if self.reports_usage else []
        return [finish, *usage, "[DONE]"]

    def error(self, message, param=None):
        return {"error": {"message": message, "type": "some_error", "param": param, "code": None}}

    failure = error

    def _chunk(self, choices):
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


class Responses:
    USAGE = {
        "input_tokens": 1234,
        "input_tokens_details": {"cached_tokens": 1000},
        "output_tokens": 77,
        "output_tokens_details": {"reasoning_tokens": 13},
        "total_tokens": 1311,
    }
    is_named = True

    def __init__(self, asked):
        self.number = 0

    def whole(self):
        return self._response("completed", "".join(WORDS), self.USAGE)

    def words(self):
        item = self._response("in_progress", "", None)["output"][0]
        return [
            self._event("response.created", response=self._response("in_progress", None, None)),
            self._event("response.output_item.added", output_index=0, item={**item, "content": []}),
            self._event("response.content_part.added", **self.AT, part=item["content"][0]),
            *[self._event("response.output_text.delta", **self.AT, delta=word, logprobs=[]) for word in WORDS],
        ]

    def end(self):
        text = "".join(WORDS)
        item = self.whole()["output"][0]
        return [
            self._event("response.output_text.done", **self.AT, text=text, logprobs=[]),
            self._event("response.content_part.done", **self.AT, part=item["content"][0]),
            self._event("response.output_item.done", output_index=0, item=item),
            self._event("response.completed", response=self.whole()),
        ]

    def error(self, message, param=None):
        return Chat.error(self, message, param)

    def failure(self, message):
        return self._event("error", code="server_error", message=message, param=None)

    AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def _event(self, kind, **more):
        self.number += 1
        return {"type": kind, "sequence_number": self.number - 1, **more}

    def _response(self, status, text, usage):
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        item = {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": "m",
            "output": [] if text is None else [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }


class Messages:
    # Cached tokens are beside the input, and counts grow during a stream: Anthropic's way of counting.
    USAGE = {
        "input_tokens": 234,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 77,
    }
    is_named = True

    def __init__(self, asked):
        pass

    def whole(self):
        return self._message([{"type": "text", "text": "".join(WORDS)}], "end_turn", self.USAGE)

    def words(self):
        deltas = [{"type": "text_delta", "text": word} for word in WORDS]
        return [
            {"type": "message_start", "message": self._message([], None, {**self.USAGE, "output_tokens": 1})},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
        ]

    def end(self):
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        usage = {"output_tokens": self.USAGE["output_tokens"]}
        return [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": delta, "usage": usage},
            {"type": "message_stop"},
        ]

    def error(self, message, param=None):
        return {"type": "error", "error": {"type": "some_error", "message": message}}

    failure = error

    def _message(self, content, stop_reason, usage):
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
        return {**message, "stop_reason": stop_reason, "stop_sequence": None, "usage": usage}


DIALECTS = {"/v1/chat/completions": Chat, "/v1/responses": Responses, "/v1/messages": Messages}


def counted(provider):
    """Answers in full and reports usage, with cached and reasoning tokens in it."""
    if not provider.asked.get("stream"):
        return provider.answer(200, provider.dialect.whole())
    provider.words()
    provider.events(provider.dialect.end())
    provider.end_stream()


def cut(provider):
    """Breaks off in the middle of a stream."""
    provider.words()
    provider.let_it_arrive()
    provider.close_connection = True


def error_event(provider):
    """Gives up in the middle of a stream, and says so."""
    provider.words()
    provider.let_it_arrive()
    provider.events([provider.dialect.failure("out of memory on gpu-7")])
    provider.end_stream()


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
