"""One real gateway for the tests of an SDK: the built binary, on free ports, with a folder of its own.

Python tests use `Gateway` as a context manager. Tests in other languages run this file as a program: it prints one line
of JSON (`Gateway.describe`) when everything is ready, serves until its standard input ends, stops the gateway, proves
the books, and exits 0 only if they balance and the gateway ended cleanly.

Every key below belongs to one account of the same name, and each is for one purpose, so that no test can spend
another's money or limits. Set TOLLGATE_BIN to test another build than `target/debug/tollgate`.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from upstream import ScriptedUpstream

CREDIT = "10"
CONFIG = """
edge: {{listen: ["127.0.0.1:0"], drain: 10s}}
console: {{listen: "127.0.0.1:0"}}
metrics: {{listen: "127.0.0.1:0"}}
storage: {{url: "sqlite:tollgate.db"}}
upstreams:
  demo: {{kind: demo}}
  speaks-chat: {{kind: demo, speaks: [chat]}}
  speaks-messages: {{kind: demo, speaks: [messages]}}
{scripted_upstreams}
models:
  demo-chat:
    aliases: [gpt-4o-mini, claude-demo]
    upstreams: [{{name: demo}}]
    price: {{input: "0.15", cached_input: "0.075", output: "0.60"}}
    max_output_tokens: 4096
    output_hold: 1024
  # The same model where two of the three dialects have to be converted.
  over-chat:
    upstreams: [{{name: speaks-chat, model: demo-chat}}]
    price: {{input: "0.15", cached_input: "0.075", output: "0.60"}}
    max_output_tokens: 4096
  over-messages:
    upstreams: [{{name: speaks-messages, model: demo-chat}}]
    price: {{input: "0.15", cached_input: "0.075", output: "0.60"}}
    max_output_tokens: 4096
  demo-embed:
    aliases: [text-embedding-3-small]
    upstreams: [{{name: demo}}]
    price: {{input: "0.02", output: "0"}}
  demo-image:
    aliases: [gpt-image-1]
    upstreams: [{{name: demo}}]
    images: {{standard/1024x1024: "0.04", hd/1024x1024: "0.08"}}
  demo-speech:
    upstreams: [{{name: demo}}]
    unit: {{per_million_characters: "15"}}
  demo-transcribe:
    upstreams: [{{name: demo}}]
    unit: {{per_audio_second: "0.0001"}}
  demo-moderate:
    upstreams: [{{name: demo}}]
    price: {{input: "0", output: "0"}}
  demo-rerank:
    upstreams: [{{name: demo}}]
    unit: {{per_search_unit: "0.002"}}
{scripted_models}
groups:
  default: {{}}
  marked: {{markup: "1.05"}}
logging: {{level: info, format: json}}
"""
# One for each script and kind: a breaker that one script opens, or a key that it refuses, is no other script's trouble.
SCRIPTED_UPSTREAM = """  {name}: {{kind: {kind}, base_url: "{url}/v1", api_keys: [an-upstream-key]}}
"""
# Prices with all six decimals make a charge that has to be rounded: a wrong rounding shows.
SCRIPTED_MODEL = """  {name}:
    upstreams: [{{name: {name}, model: {script}}}]
    price:
      input: "0.123457"
      cached_input: "0.061729"
      cache_write: "0.154321"
      cache_write_1h: "0.246913"
      output: "0.987653"
    max_output_tokens: 4096
"""
# What the name of a script's model ends with, and the kind of upstream that plays it.
SCRIPTED_KINDS = {"": "openai", "-anthropic": "anthropic"}

# Name of account and key, credit, group, flags of `key create`, and what is done to it afterwards.
KEYS = [
    ("main", CREDIT, "default", ["--rpm", "10000", "--tpm", "10000000"], []),
    ("books", CREDIT, "default", [], []),
    ("marked", CREDIT, "marked", [], []),
    ("responses_books", CREDIT, "default", [], []),
    ("messages_books", CREDIT, "marked", [], []),
    ("codex", CREDIT, "default", [], []),
    ("claude_code", CREDIT, "default", [], []),
    ("poor", "0.000001", "default", [], []),
    ("one_a_minute", CREDIT, "default", ["--rpm", "1"], []),
    ("one_response_a_minute", CREDIT, "default", ["--rpm", "1"], []),
    ("one_message_a_minute", CREDIT, "default", ["--rpm", "1"], []),
    ("one_at_a_time", CREDIT, "default", ["--concurrency", "1"], []),
    ("few_tokens", CREDIT, "default", ["--tpm", "10"], []),
    ("embeds_only", CREDIT, "default", ["--models", "demo-embed"], []),
    ("expired", CREDIT, "default", ["--expires", "2020-01-01"], []),
    ("elsewhere", CREDIT, "default", ["--allow-ip", "203.0.113.0/24"], []),
    ("disabled", CREDIT, "default", [], [["key", "disable", "{id}"]]),
    ("deleted", CREDIT, "default", [], [["key", "delete", "{id}"]]),
    ("suspended", CREDIT, "default", [], [["account", "suspend", "suspended"]]),
    ("switched", CREDIT, "default", [], []),
]

READY_WITHIN_S = 30
STOPPED_WITHIN_S = 30
REPOSITORY = Path(__file__).resolve().parents[2]


class Gateway:
    """Runs while the `with` block runs. Leaving it stops the process and proves the books, or raises."""

    def __init__(self):
        self.bin = os.path.abspath(os.environ.get("TOLLGATE_BIN") or REPOSITORY / "target/debug/tollgate")
        self.folder = tempfile.TemporaryDirectory(prefix="tollgate-sdk-")
        self.config = str(Path(self.folder.name) / "tollgate.yaml")
        self.keys = {}
        self.process = None
        self.log = []

    def __enter__(self):
        self.upstream = ScriptedUpstream()
        try:
            Path(self.config).write_text(self._config_text())
            for key in KEYS:
                self._make(*key)
            self._start()
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            self._stop()
            self.cli("audit")
        finally:
            self._give_up()

    def cli(self, *words):
        """Runs one command and gives its JSON. A command that fails raises, with what it said."""
        command = [self.bin, "-c", self.config, "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"tollgate {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def describe(self):
        return {"bin": self.bin, "config": self.config, "origin": self.origin, "console": self.console, "keys": self.keys}

    def _config_text(self):
        played = [(name + end, name, kind) for name in self.upstream.scripts for end, kind in SCRIPTED_KINDS.items()]
        upstream = functools.partial(SCRIPTED_UPSTREAM.format, url=self.upstream.url)
        return CONFIG.format(
            scripted_upstreams="".join(upstream(name=name, kind=kind) for name, _, kind in played),
            scripted_models="".join(SCRIPTED_MODEL.format(name=name, script=script) for name, script, _ in played),
        )

    def _make(self, name, credit, group, flags, afterwards):
        self.cli("account", "create", name, "--credit", credit, "--group", group)
        made = self.cli("key", "create", "--account", name, "--name", name, *flags)
        self.keys[name] = {"id": made["id"], "key": made["key"]}
        for words in afterwards:
            self.cli(*(word.format(id=made["id"]) for word in words))

    def _start(self):
        command = [self.bin, "serve", "-c", self.config]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        ready = threading.Event()
        threading.Thread(target=self._read_log, args=(ready,), daemon=True).start()
        if not ready.wait(READY_WITHIN_S) or not hasattr(self, "origin"):
            raise AssertionError("the gateway did not start:\n" + "".join(self.log))

    def _read_log(self, ready):
        for line in self.process.stderr:
            self.log.append(line)
            if not ready.is_set() and '"message":"ready"' in line:
                said = json.loads(line)
                self.origin = re.search(r"http://127\.0\.0\.1:\d+", said["edge"]).group()
                self.console = said["console"]
                ready.set()
        # It ended: whoever waits for it need not wait longer.
        ready.set()

    def _stop(self):
        self.process.terminate()
        code = self.process.wait(STOPPED_WITHIN_S)
        if code != 0:
            raise AssertionError(f"the gateway ended with {code}:\n" + "".join(self.log[-20:]))

    def _give_up(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.upstream.close()
        self.folder.cleanup()


def main():
    with Gateway() as gateway:
        print(json.dumps(gateway.describe()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
