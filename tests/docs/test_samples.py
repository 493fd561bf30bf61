"""Every sample of the documentation does what it says: taken from the page, given a key, run against the gateway."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import wave
from base64 import b64decode
from decimal import Decimal
from pathlib import Path
from urllib.request import Request

import pytest

from page import OPENER, samples

KEY_PLACEHOLDER = "YOUR_API_KEY"
NODE_MODULES = Path(__file__).resolve().parents[1] / "sdk" / "node" / "node_modules"
WITHIN_S = 60
GREETING = {"en": "Hello! I am the demo model", "zh": "你好"}
PNG = b"\x89PNG\r\n\x1a\n"
PIXEL = PNG + b64decode("AAAADUlIRFIAAAABAAAAAQgGAAAAHxXEiQAAAA1JREFUeNpj/M/wvx4ABYEBfvBDjSgAAAAASUVORK5CYII=")

PROGRAMS = [
    *[(topic, tab) for topic in ["chat", "stream", "embeddings", "images"] for tab in ["curl", "python", "node", "go"]],
    *[(topic, tab) for topic in ["speech", "transcription", "cost"] for tab in ["curl", "python", "node"]],
    *[(topic, tab) for topic in ["stream-by-hand", "errors"] for tab in ["python", "node"]],
    *[(topic, "curl") for topic in ["completions", "responses", "messages", "count-tokens", "image-edits"]],
    *[(topic, "curl") for topic in ["moderations", "rerank", "key", "models"]],
]
# They need clients that are not installed for these tests: read, not run. The first two are run by `tests/sdk/cli`.
RECIPES = {"codex", "claude-code", "langchain", "llamaindex", "ai-sdk", "continue", "aider"}
FREE = {"errors", "key", "models"}
# They are on the record, and cost nothing: counting never does, and the demo's moderations have no price.
RECORDED = {"count-tokens", "moderations"}


def environment():
    kept = {name: os.environ[name] for name in ["PATH", "HOME", "LANG", "GOCACHE", "GOROOT"] if name in os.environ}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUTF8": "1", "GO111MODULE": "off"}


def run(sample, folder, key):
    """What a reader does: save it under its name, put the key in, run it."""
    assert KEY_PLACEHOLDER in sample.text
    (folder / sample.file).write_text(sample.text.replace(KEY_PLACEHOLDER, key), encoding="utf-8")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    # What a sample uploads is there beside it: not quite two seconds.
    with wave.open(str(folder / "recording.wav"), "wb") as recording:
        recording.setparams((1, 1, 8000, 15_000, "NONE", ""))
        recording.writeframes(bytes([128]) * 15_000)
    (folder / "picture.png").write_bytes(PIXEL)
    command = {"curl": ["sh"], "python": [sys.executable], "node": ["node"], "go": ["go", "run"]}[sample.tab]
    done = subprocess.run(
        [*command, sample.file], cwd=folder, env=environment(), capture_output=True, text=True, timeout=WITHIN_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get(gateway, path, key):
    request = Request(f"{gateway.origin}/v1{path}", headers={"Authorization": f"Bearer {key}"})
    with OPENER.open(request, timeout=10) as answer:
        return json.load(answer)


class Books:
    """What the key has spent and how many requests it has made, before and after."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.key = gateway.keys["main"]
        # What was asked for earlier is in the books first: it is not to be taken for what comes now.
        deadline = time.monotonic() + 5
        time.sleep(0.1)
        while Decimal(gateway.cli("account", "show", "main")["held"]) > 0:
            assert time.monotonic() < deadline, "an earlier request is still not booked"
            time.sleep(0.05)
        self.before = self.now()

    def now(self):
        spent = Decimal(get(self.gateway, "/key", self.key["key"])["spent"])
        return spent, len(self.gateway.cli("requests", "--key", self.key["id"], "--limit", "1000"))

    def change(self, is_free):
        """A charge is booked when its answer has ended, at once but not before."""
        deadline = time.monotonic() + 5
        while True:
            spent, count = (after - before for after, before in zip(self.now(), self.before))
            if is_free or count > 0 or time.monotonic() > deadline:
                return spent, count
            time.sleep(0.05)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_sample_of_the_page_is_known_here(gateway, language):
    found = {(topic, tab) for topic, tab in samples(gateway.console, language) if not topic.startswith("reply-")}
    assert found == set(PROGRAMS) | {(topic, "recipes") for topic in RECIPES}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("topic", "tab"), PROGRAMS)
def test_it_runs_and_is_charged_once(gateway, tmp_path, topic, tab, language):
    if tab == "go" and not shutil.which("go"):
        pytest.skip("go is not installed: the Go samples are not run")
    sample = samples(gateway.console, language)[topic, tab]
    books = Books(gateway)
    said = run(sample, tmp_path, books.key["key"])
    CHECKS[topic](tab, said, tmp_path, GREETING[language])
    spent, count = books.change(topic in FREE)
    if topic in FREE:
        assert (spent, count) == (0, 0)
    elif topic in RECORDED:
        assert (spent, count) == (0, 1)
    else:
        assert spent > 0 and count == 1
    if topic == "cost":
        assert Decimal(charge_of(tab, said)) == spent


def chat(tab, said, _, greeting):
    if tab == "curl":
        answer = json.loads(said)
        assert answer["choices"][0]["message"]["content"].startswith(greeting) and answer["usage"]["total_tokens"] > 0
    else:
        assert said.startswith(greeting) and re.search(r"^\d+ tokens$", said, re.MULTILINE)


def stream(tab, said, _, greeting):
    if tab == "curl":
        *events, done = re.findall(r"^data: (.*)$", said, re.MULTILINE)
        texts = [choice["delta"].get("content") or "" for event in events for choice in json.loads(event)["choices"]]
        assert done == "[DONE]" and "".join(texts).startswith(greeting) and json.loads(events[-1])["usage"]
    else:
        assert said.startswith(greeting) and said.endswith("\n")
        assert tab == "go" or re.search(r"^\d+ tokens$", said, re.MULTILINE)


def stream_by_hand(_, said, __, greeting):
    assert said.startswith(greeting) and len(said) > len(greeting) and said.endswith("\n")


def embeddings(tab, said, _, __):
    if tab == "curl":
        assert [len(item["embedding"]) > 100 for item in json.loads(said)["data"]] == [True, True]
    else:
        assert re.fullmatch(r"0 (\d{3,}) numbers\n1 \1 numbers\n", said)


def images(tab, said, folder, _):
    assert (folder / "gate.png").read_bytes().startswith(PNG)
    assert tab == "curl" or said == "gate.png is written\n"


def completions(_, said, __, ___):
    answer = json.loads(said)
    assert answer["choices"][0]["text"] and answer["usage"]["total_tokens"] > 0


def responses(_, said, __, greeting):
    answer = json.loads(said)
    [text] = [part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    assert answer["status"] == "completed" and text.startswith(greeting)


def messages(_, said, __, greeting):
    answer = json.loads(said)
    assert answer["stop_reason"] == "end_turn" and answer["content"][0]["text"].startswith(greeting)


def count_tokens(_, said, __, ___):
    assert json.loads(said)["input_tokens"] > 0


def image_edits(_, __, folder, ___):
    edited = (folder / "edited.png").read_bytes()
    assert edited.startswith(PNG) and edited != PIXEL


def moderations(_, said, __, ___):
    [result] = json.loads(said)["results"]
    assert result["flagged"] and result["categories"]["violence"]


def rerank(_, said, __, ___):
    assert [result["index"] for result in json.loads(said)["results"]] == [1]


def speech(tab, said, folder, _):
    assert (folder / "gate.audio").read_bytes().startswith(b"RIFF")
    assert tab == "curl" or said == "gate.audio is written\n"


def transcription(tab, said, _, __):
    text = json.loads(said)["text"] if tab == "curl" else said
    assert "2 seconds" in text


def cost(tab, said, _, greeting):
    if tab == "curl":
        assert json.loads(said)["outcome"] == "ok"
    else:
        assert said.startswith(greeting) and re.search(r"^ok 0\.\d+$", said, re.MULTILINE)


def charge_of(tab, said):
    return json.loads(said)["charge"] if tab == "curl" else said.split()[-1]


def errors(_, said, __, ___):
    assert re.fullmatch(r"422 model_not_found req_[0-9a-f]{32}\n", said)


def key(_, said, __, ___):
    assert json.loads(said)["name"] == "main"


def models(_, said, __, ___):
    assert "demo-chat" in [model["id"] for model in json.loads(said)["data"]]


CHECKS = {
    "chat": chat,
    "stream": stream,
    "stream-by-hand": stream_by_hand,
    "embeddings": embeddings,
    "images": images,
    "completions": completions,
    "responses": responses,
    "messages": messages,
    "count-tokens": count_tokens,
    "image-edits": image_edits,
    "moderations": moderations,
    "rerank": rerank,
    "speech": speech,
    "transcription": transcription,
    "cost": cost,
    "errors": errors,
    "key": key,
    "models": models,
}


@pytest.mark.parametrize("topic", sorted(RECIPES))
def test_a_recipe_can_be_read(gateway, tmp_path, topic):
    sample = samples(gateway.console, "en")[topic, "recipes"]
    path = tmp_path / sample.file
    path.write_text(sample.text, encoding="utf-8")
    checks = {".py": [sys.executable, "-m", "py_compile"], ".mjs": ["node", "--check"], ".sh": ["sh", "-n"]}
    if path.suffix in checks:
        subprocess.run([*checks[path.suffix], str(path)], check=True, timeout=WITHIN_S)
    elif path.suffix == ".toml":
        provider = tomllib.loads(sample.text)["model_providers"]["tollgate"]
        assert provider["base_url"] == f"{gateway.origin}/v1"
    else:
        # The YAML is parsed by the unit tests of the samples, which have a parser.
        assert f"apiBase: {gateway.origin}/v1" in sample.text


def shape(value):
    """The names in it, and nothing of its values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def is_within(shown, real):
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(name in real and is_within(shown[name], real[name]) for name in shown)
    return shown is None or (isinstance(real, list) and is_within(shown[0], real[0]))


def post(gateway, path, body):
    headers = {"Authorization": f"Bearer {gateway.keys['main']['key']}", "Content-Type": "application/json"}
    request = Request(f"{gateway.origin}/v1{path}", json.dumps(body).encode(), headers)
    with OPENER.open(request, timeout=10) as answer:
        return json.load(answer), answer.headers


ASK = {"model": "demo-chat", "messages": [{"role": "user", "content": "Say hello."}]}


def test_the_shown_answers_are_like_the_real_ones(gateway):
    shown = {topic: sample.text for (topic, _), sample in samples(gateway.console, "en").items()}
    answer, headers = post(gateway, "/chat/completions", ASK)
    real = {
        "reply-chat": answer,
        "reply-embeddings": post(gateway, "/embeddings", {"model": "demo-embed", "input": "a toll gate"})[0],
        "reply-images": post(gateway, "/images/generations", {"model": "demo-image", "prompt": "a toll gate"})[0],
        "reply-responses": post(gateway, "/responses", {"model": "demo-chat", "input": "Hi"})[0],
        "reply-messages": post(gateway, "/messages", {**ASK, "max_tokens": 9})[0],
        "reply-moderations": post(gateway, "/moderations", {"model": "demo-moderate", "input": "violence"})[0],
        "reply-rerank": post(gateway, "/rerank", {"model": "demo-rerank", "query": "x", "documents": ["x"]})[0],
        "reply-model": get(gateway, "/models/demo-chat", gateway.keys["main"]["key"]),
    }
    for topic, real_answer in real.items():
        assert is_within(shape(json.loads(shown[topic])), shape(real_answer)), topic
    for name in re.findall(r"^([\w-]+):", shown["reply-headers"], re.MULTILINE):
        assert headers[name], name


def test_the_shown_records_are_complete(gateway):
    shown = {topic: sample.text for (topic, _), sample in samples(gateway.console, "en").items()}
    key_text = gateway.keys["main"]["key"]
    books = Books(gateway)
    _, headers = post(gateway, "/chat/completions", ASK)
    assert books.change(is_free=False)[1] == 1
    for topic, path in [("reply-request", f"/requests/{headers['x-request-id']}"), ("reply-key", "/key")]:
        real = get(gateway, path, key_text)
        assert shape(json.loads(shown[topic])) == shape(real), topic


def test_the_shown_events_are_events(gateway):
    shown = samples(gateway.console, "en")
    whole = [line for line in shown["reply-stream", "replies"].text.split("\n\n") if line]
    assert whole[-1].strip() == "data: [DONE]"
    for event in whole[:-1]:
        assert json.loads(event.removeprefix("data: "))["object"] == "chat.completion.chunk"
    cut = json.loads(shown["reply-cut", "replies"].text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert shape(cut) == shape(json.loads(shown["reply-error", "replies"].text))
