"""Anthropic's official Python SDK against the real gateway: native, and where the upstream speaks another dialect."""

import asyncio
import time
from decimal import Decimal

import anthropic
import pytest

from books import cost, eventually, record_of, settled
from gateway import CREDIT
from upstream import WORDS, Chat, Messages

ASK = [{"role": "user", "content": "Say something about toll gates."}]
ASK_PARTS = [{"type": "text", "text": "Say something about toll gates."}]
# One transparent pixel.
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
MODELS = ["demo-chat", "over-chat", "over-messages"]


def message(client, model="demo-chat", ask=ASK, max_tokens=500, **more):
    return client.messages.create(model=model, messages=ask, max_tokens=max_tokens, **more)


def streamed(client, model="demo-chat", ask=ASK, max_tokens=500, **more):
    """The events that the SDK tells of a stream, the message that they make, and the id of its request."""
    with client.messages.stream(model=model, messages=ask, max_tokens=max_tokens, **more) as stream:
        events = list(stream)
        return events, stream.get_final_message(), stream.response.headers["request-id"]


def text_of(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


# What works


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_message(claude, model):
    answer = message(claude, model, system="Be brief.")
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert text_of(answer) and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
    assert answer._request_id


@pytest.mark.parametrize("key_as", ["auth_token", "api_key"])
@pytest.mark.parametrize("base", ["", "/api", "/v1"])
def test_the_key_comes_either_way_under_every_base_url(anthropic_of, key_as, base):
    assert text_of(message(anthropic_of("main", base=base, key_as=key_as)))


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_says_what_the_whole_message_says(claude, model):
    whole = message(claude, model)
    events, collected, _ = streamed(claude, model)
    assert text_of(collected) == text_of(whole) != ""
    assert "".join(event.text for event in events if event.type == "text") == text_of(whole)
    assert collected.stop_reason == "end_turn"
    for count in ("input_tokens", "output_tokens", "cache_read_input_tokens"):
        assert (getattr(collected.usage, count) or 0) == (getattr(whole.usage, count) or 0)
    kinds = [event.type for event in events if event.type != "text"]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("message_delta") == kinds.count("content_block_stop") == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_arrives_piece_by_piece(claude, model):
    with message(claude, model, stream=True) as stream:
        first = time.monotonic() if next(iter(stream)) else None
        rest = list(stream)
    # The demo model speaks a word every 25 ms: what was collected on the way would come all at once.
    assert time.monotonic() - first > 0.01 * len(rest)


@pytest.mark.parametrize("model", MODELS)
def test_limits_and_stop_sequences_end_an_answer(claude, model):
    short = message(claude, model, max_tokens=5)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 5)
    whole = text_of(message(claude, model))
    word = whole.split()[3]
    stopped = message(claude, model, stop_sequences=[word])
    assert text_of(stopped) == whole[: whole.index(word)]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_used_and_its_result_is_heard(claude, model, stream):
    turn = [{"role": "user", "content": "Use get_weather for `Bern`."}]

    def ask():
        return streamed(claude, model, turn, tools=[WEATHER])[1] if stream else message(claude, model, turn, tools=[WEATHER])

    called = ask()
    (use,) = [block for block in called.content if block.type == "tool_use"]
    assert (called.stop_reason, use.name, use.input) == ("tool_use", "get_weather", {"city": "Bern"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "11 degrees and fog"}
    turn += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    last = ask()
    assert last.stop_reason == "end_turn" and "11 degrees and fog" in text_of(last)


@pytest.mark.parametrize("model", ["demo-chat", "over-messages"])
def test_tokens_are_counted_as_they_are_charged(claude, model):
    ask = {"model": model, "messages": ASK, "system": "Be brief.", "tools": [WEATHER]}
    counted = claude.messages.count_tokens(**ask)
    assert counted.input_tokens == claude.messages.create(**ask, max_tokens=5).usage.input_tokens


def test_tokens_are_estimated_where_no_upstream_counts_them(claude, client):
    before = eventually(lambda: settled(client))
    counted = claude.messages.count_tokens(model="over-chat", messages=ASK)
    assert 0 < counted.input_tokens < 100
    assert eventually(lambda: settled(client)) == before


@pytest.mark.parametrize("model", MODELS)
def test_a_picture_is_seen(claude, model):
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    look = [{"role": "user", "content": [{"type": "image", "source": source}, *ASK_PARTS]}]
    plain = [{"role": "user", "content": ASK_PARTS}]
    seen, unseen = message(claude, model, look), message(claude, model, plain)
    # The demo model counts a picture like OpenAI at low detail.
    assert seen.usage.input_tokens == unseen.usage.input_tokens + 85


def test_hints_that_have_no_place_are_named(claude):
    raw = claude.messages.with_raw_response.create(
        model="over-chat", messages=ASK, max_tokens=5, metadata={"user_id": "someone"}, extra_body={"top_k": 40}
    )
    assert {"top_k", "metadata"} <= {name.strip() for name in raw.headers["x-tollgate-dropped"].split(",")}
    raw = claude.messages.with_raw_response.create(
        model="demo-chat", messages=ASK, max_tokens=5, extra_body={"top_k": 40}
    )
    assert "x-tollgate-dropped" not in raw.headers


def test_what_cannot_be_carried_is_refused_by_name(claude):
    search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError) as refused:
        message(claude, "over-chat", tools=[search])
    assert refused.value.type == "invalid_request_error" and "tools[0].type" in refused.value.message


def test_models_are_listed_and_retrieved(claude):
    listed = {model.id: model for model in claude.models.list(limit=1000)}
    assert {"demo-chat", "claude-demo"} <= set(listed)
    assert all(model.type == "model" and model.display_name for model in listed.values())
    assert claude.models.retrieve("claude-demo").id == "claude-demo"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("no-such-model")


def test_the_async_client_works(gateway):
    async def run():
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
        key = gateway.keys["main"]["key"]
        async with anthropic.AsyncAnthropic(auth_token=key, base_url=gateway.origin, http_client=http) as client:
            async with client.messages.stream(model="demo-chat", messages=ASK, max_tokens=50) as stream:
                return "".join([text async for text in stream.text_stream])

    assert asyncio.run(run())


def test_a_client_that_stops_reading_is_recorded_as_gone(claude, client):
    with message(claude, stream=True) as stream:
        request_id = stream.response.headers["request-id"]
        next(iter(stream))
    assert record_of(client, request_id)["outcome"] == "client_gone"


# What does not


REFUSALS = [
    ("sk-mistyped", anthropic.AuthenticationError, 401, "authentication_error"),
    ("expired", anthropic.AuthenticationError, 401, "authentication_error"),
    ("disabled", anthropic.PermissionDeniedError, 403, "permission_error"),
    ("elsewhere", anthropic.PermissionDeniedError, 403, "permission_error"),
    ("poor", anthropic.PaymentRequiredError, 402, "billing_error"),
    ("embeds_only", anthropic.UnprocessableEntityError, 422, "invalid_request_error"),
]


@pytest.mark.parametrize(("key", "kind", "status", "code"), REFUSALS, ids=lambda value: str(value))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_refusal_is_the_right_exception_and_is_not_tried_again(anthropic_of, key, kind, status, code, stream):
    client = anthropic_of(key, max_retries=2)
    with pytest.raises(kind) as refused:
        message(client, stream=stream)
    error = refused.value
    assert (error.status_code, error.type) == (status, code)
    assert error.body["type"] == "error" and error.body["error"]["message"]
    assert error.body["request_id"] == error.request_id and len(client.sent) == 1


@pytest.mark.parametrize("fault", [{"max_tokens": 0}, {"ask": "hello"}])
def test_a_faulty_request_is_a_bad_request(claude, fault):
    with pytest.raises(anthropic.BadRequestError) as refused:
        message(claude, **fault)
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize("model", ["rejects", "rejects-anthropic"])
def test_an_upstreams_judgement_of_the_request_passes_on(claude, model):
    with pytest.raises(anthropic.BadRequestError) as refused:
        message(claude, model)
    assert "Unsupported value for this model." in refused.value.message


@pytest.mark.parametrize("model", ["broken", "broken-anthropic", "refuses-key", "refuses-key-anthropic"])
def test_an_upstreams_failure_is_an_api_error_that_tells_nothing_of_it(claude, model):
    with pytest.raises(anthropic.InternalServerError) as failed:
        message(claude, model)
    assert (failed.value.status_code, failed.value.type) == (500, "api_error")
    for secret in ("gpu-7", "an-upstream-key", "127.0.0.1"):
        assert secret not in failed.value.response.text


def test_the_second_request_of_a_minute_is_a_rate_limit_error(anthropic_of):
    client = anthropic_of("one_message_a_minute")
    assert text_of(message(client))
    with pytest.raises(anthropic.RateLimitError) as refused:
        message(client)
    assert refused.value.type == "rate_limit_error"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("model", ["cut", "cut-anthropic", "error-event", "error-event-anthropic"])
def test_a_stream_that_breaks_off_raises_after_what_had_come(claude, model):
    heard = []
    with pytest.raises(anthropic.APIStatusError) as broken:
        for event in message(claude, model, stream=True):
            if event.type == "content_block_delta":
                heard.append(event.delta.text)
    assert "".join(heard) == "".join(WORDS)
    assert broken.value.type == "api_error" and "gpu-7" not in str(broken.value.body)


# What it costs


def test_the_books_balance_to_the_nano_with_the_usage_that_the_sdk_reported(gateway, anthropic_of, client_of):
    claude, client = anthropic_of("messages_books"), client_of("messages_books")
    expected = {}
    for model in [*MODELS, "counted", "counted-anthropic"]:
        plain = message(claude, model)
        expected[plain._request_id] = cost(model, plain.usage, "1.05")
        _, collected, request_id = streamed(claude, model)
        expected[request_id] = cost(model, collected.usage, "1.05")
        assert expected[request_id] == expected[plain._request_id]
    claude.messages.count_tokens(model="demo-chat", messages=ASK)
    for request_id, charge in expected.items():
        record = record_of(client, request_id)
        assert (record["endpoint"], record["outcome"], record["estimated"]) == ("messages", "ok", False)
        assert Decimal(record["charge"]) == charge, record
    left = Decimal(CREDIT) - sum(expected.values())
    assert Decimal(eventually(lambda: settled(client))["balance"]) == left
    assert Decimal(gateway.cli("account", "show", "messages_books")["balance"]) == left


@pytest.mark.parametrize(("model", "usage"), [("counted", Chat.USAGE), ("counted-anthropic", Messages.USAGE)])
def test_the_same_usage_costs_the_same_in_every_dialect(claude, client, model, usage):
    ask = "Say something."
    ids = [
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": ask}])._request_id,
        client.responses.create(model=model, input=ask)._request_id,
        message(claude, model)._request_id,
    ]
    assert {Decimal(record_of(client, request_id)["charge"]) for request_id in ids} == {cost(model, usage)}
