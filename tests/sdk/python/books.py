"""What the gateway's books say about a request, and what they have to say: worked out here a second time."""

import math
import time
from decimal import Decimal
from fractions import Fraction

import openai

WITHIN_S = 5
ENDS = {"ok", "client_gone", "upstream_cut", "upstream_failed", "rejected", "refused", "interrupted"}

DEMO = {"input": "0.15", "cached_input": "0.075", "output": "0.60"}
SCRIPTED = {
    "input": "0.123457",
    "cached_input": "0.061729",
    "cache_write": "0.154321",
    "cache_write_1h": "0.246913",
    "output": "0.987653",
}
PRICES = {
    "demo-chat": DEMO,
    "over-chat": DEMO,
    "over-messages": DEMO,
    "demo-embed": {"input": "0.02", "cached_input": "0.02", "output": "0"},
    "counted": SCRIPTED,
    "counted-anthropic": SCRIPTED,
}


def eventually(look):
    """Waits until `look()` gives something, which it does soon or the test fails."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s"
        time.sleep(0.02)
    return found


def record_of(client, request_id):
    """The gateway's own record of a finished request, by the id that the SDK showed."""

    def look():
        try:
            found = client.get(f"/requests/{request_id}", cast_to=object)
        except openai.NotFoundError:
            return None
        return found if found["outcome"] in ENDS else None

    return eventually(look)


def settled(client):
    """The account behind a key once nothing of it is held any more."""
    account = client.get("/key", cast_to=object)["account"]
    return account if Decimal(account["held"]) == 0 else None


def counts(usage):
    """The tokens by their prices, from a usage as an SDK shows it, in OpenAI's two shapes or in Anthropic's."""
    usage = usage if isinstance(usage, dict) else usage.to_dict()
    output = usage.get("completion_tokens", usage.get("output_tokens", 0))
    if "cache_read_input_tokens" in usage:
        write = usage.get("cache_creation_input_tokens") or 0
        long = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
        cached = usage["cache_read_input_tokens"] or 0
        return {
            "input": usage["input_tokens"],
            "cached_input": cached,
            "cache_write": write - long,
            "cache_write_1h": long,
            "output": output,
        }
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    cached = details.get("cached_tokens") or 0
    prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    return {"input": prompt - cached, "cached_input": cached, "output": output}


def cost(model, usage, markup="1"):
    """The charge for a usage: exact, and rounded once, up, to nine decimals."""
    prices = PRICES[model]
    exact = sum(Fraction(prices[kind]) * count for kind, count in counts(usage).items() if count)
    nanos = math.ceil(exact * Fraction(markup) * 1000)
    return Decimal(nanos).scaleb(-9)
