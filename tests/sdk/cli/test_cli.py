"""The command lines of Codex and Claude Code: one turn each against the real gateway, in which a tool is called.

They are set up as the documentation page says, and run unattended, in a folder and a home of their own. All but the
loopback goes through a proxy that is not there, so that nothing reaches the outside.
"""

import json
import os
import re
import signal
import subprocess
import time
from decimal import Decimal
from pathlib import Path

import pytest

from books import cost, eventually
from page import samples

MODULES = Path(__file__).resolve().parent / "node_modules"
CODEX = MODULES / "@openai/codex/bin/codex.js"
CLAUDE_CODE = MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs"
WITHIN_S = 60
# A command whose output does not stand in the prompt: whoever says it has run it.
COMMAND = "echo toll-gate-$((3+4))"
OUTPUT = "toll-gate-7"
ALIASES = {"claude-demo": "demo-chat"}

# What only a test needs: no second try that hides a first failure, and nothing that reports to its maker.
CODEX_MORE = """
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
"""
QUIET_CLAUDE_CODE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
}


def recipe(gateway, topic, key):
    text = samples(gateway.console, "en")[topic, "recipes"].text
    return text.replace("YOUR_API_KEY", gateway.keys[key]["key"])


def run(script, folder, arguments, **environment):
    kept = {name: os.environ[name] for name in ["PATH", "LANG"] if name in os.environ}
    closed = {name: "http://127.0.0.1:9" for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]}
    open_to = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    command = ["node", str(script), *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, **closed, **open_to, "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        # The script is not the program: it started that.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"not done within {WITHIN_S} s\n{out}{err}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def codex(gateway, folder, model, prompt, key="codex"):
    config = recipe(gateway, "codex", key)
    (name, text) = re.search(r"^# export (\w+)=(\S+)$", config, re.MULTILINE).groups()
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text("check_for_update_on_startup = false\n" + config + CODEX_MORE)
    # Its own sandbox needs what containers lack; the one command is known.
    arguments = ["exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access", "--model", model, prompt]
    done = run(CODEX, folder, arguments, CODEX_HOME=str(home), **{name: text})
    return done, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def claude_code(gateway, folder, model, prompt, key="claude_code"):
    *exports, command = recipe(gateway, "claude-code", key).splitlines()
    assert command == "claude"
    environment = dict(re.fullmatch(r"export (\w+)=(\S+)", line).groups() for line in exports)
    for name in ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"):
        environment[name] = model
    arguments = ["-p", prompt, "--output-format", "json", "--allowedTools", "Bash", "--max-turns", "4"]
    done = run(CLAUDE_CODE, folder, arguments, **environment, **QUIET_CLAUDE_CODE)
    return done, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


class Books:
    """What an account has asked for and paid between two looks."""

    def __init__(self, gateway, account):
        self.gateway, self.account = gateway, account
        self.known = {record["id"] for record in self._records()}
        self.balance = self._state()[0]

    def _records(self):
        return self.gateway.cli("requests", "--account", self.account, "--limit", "1000")

    def _state(self):
        account = self.gateway.cli("account", "show", self.account)
        return Decimal(account["balance"]), Decimal(account["held"])

    def proven(self, endpoint, model):
        """The new records, once nothing is held: all whole, exactly charged, and all that was taken."""
        model = ALIASES.get(model, model)
        # A charge is in the books some 25 ms after its answer, and a short hold never is.
        time.sleep(0.3)
        eventually(lambda: self._state()[1] == 0)
        records = [record for record in self._records() if record["id"] not in self.known]
        for record in records:
            assert (record["endpoint"], record["model"], record["outcome"]) == (endpoint, model, "ok"), record
            assert record["streamed"] and not record["estimated"], record
            assert Decimal(record["charge"]) == cost(model, record) > 0, record
        assert self.balance - self._state()[0] == sum(Decimal(record["charge"]) for record in records)
        return records


def total(records, name):
    return sum(record[name] for record in records)


MISSING = "{} could not be installed here"
needs_codex = pytest.mark.skipif(not CODEX.exists(), reason=MISSING.format("@openai/codex"))
needs_claude_code = pytest.mark.skipif(not CLAUDE_CODE.exists(), reason=MISSING.format("@anthropic-ai/claude-code"))


@needs_codex
@pytest.mark.parametrize("model", ["demo-chat", "over-chat", "over-messages"])
def test_codex_completes_a_turn_with_a_tool_call(gateway, tmp_path, model):
    books = Books(gateway, "codex")
    done, events = codex(gateway, tmp_path, model, f"Use exec_command to run `{COMMAND}`")
    assert done.returncode == 0, done.stdout + done.stderr
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    (ran,) = [item for item in items if item["type"] == "command_execution"]
    assert (ran["aggregated_output"], ran["exit_code"]) == (OUTPUT + "\n", 0)
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert OUTPUT in said[-1]

    records = books.proven("responses", model)
    assert len(records) == 2
    (usage,) = [event["usage"] for event in events if event["type"] == "turn.completed"]
    assert usage["input_tokens"] == total(records, "input_tokens")
    assert usage["output_tokens"] == total(records, "output_tokens")


@needs_codex
@pytest.mark.parametrize("model", ["demo-chat", "over-chat", "over-messages"])
def test_codex_knows_its_grouped_functions_again(gateway, tmp_path, model):
    done, events = codex(gateway, tmp_path, model, "Use close_agent for `nobody`")
    assert done.returncode == 0, done.stdout + done.stderr
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    # Its own word on the argument: a function that it did not know would be called unsupported.
    (said,) = [item["text"] for item in items if item["type"] == "agent_message"]
    assert said.startswith("The tool answered:") and "nobody" in said and "unsupported" not in said


@needs_claude_code
@pytest.mark.parametrize("model", ["claude-demo", "demo-chat", "over-chat", "over-messages"])
def test_claude_code_completes_a_turn_with_a_tool_call(gateway, tmp_path, model):
    books = Books(gateway, "claude_code")
    done, result = claude_code(gateway, tmp_path, model, f"Use Bash to run `{COMMAND}`")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["subtype"], result["is_error"], result["num_turns"]) == ("success", False, 2)
    assert OUTPUT in result["result"] and result["permission_denials"] == []

    records = books.proven("messages", model)
    assert len(records) == 2
    assert result["usage"]["input_tokens"] == total(records, "input_tokens")
    assert result["usage"]["output_tokens"] == total(records, "output_tokens")


@needs_codex
def test_codex_says_why_it_was_refused(gateway, tmp_path):
    done, events = codex(gateway, tmp_path, "demo-chat", "Hello", key="poor")
    assert done.returncode != 0
    assert any("balance" in json.dumps(event) for event in events if event["type"] in ("error", "turn.failed")), events


@needs_claude_code
def test_claude_code_says_why_it_was_refused(gateway, tmp_path):
    done, result = claude_code(gateway, tmp_path, "claude-demo", "Hello", key="poor")
    assert done.returncode != 0 and result["is_error"]
    assert "balance" in result["result"], result
