"""The official Python SDK against the real gateway: what works with the provider works here, and "no" is understood."""

import asyncio
import base64
import threading
import time
from decimal import Decimal

import openai
import pydantic
import pytest

from books import WITHIN_S, cost, eventually, record_of, settled
from gateway import CREDIT
from upstream import WORDS

# The second speaks only Anthropic's Messages to its upstream.
MODELS = ["demo-chat", "over-messages"]
ASK = [{"role": "user", "content": "Say something about toll gates."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def chat(client, model="demo-chat", **more):
    return client.chat.completions.create(model=model, messages=ASK, **more)


def streamed(client, model="demo-chat", **more):
    return list(chat(client, model, stream=True, **more))


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def async_client(gateway):
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    key = gateway.keys["main"]["key"]
    return openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.origin}/v1", max_retries=0, http_client=http)


# What works


@pytest.mark.parametrize("base", ["/v1", "/api/v1", "/v1/"])
def test_a_chat_is_answered_under_every_base_url(client_of, base):
    answer = chat(client_of("main", base=base))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_models_alias_is_a_model(client):
    assert chat(client, "gpt-4o-mini").choices[0].message.content


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_without_usage_has_only_choices(client, model):
    chunks = streamed(client, model)
    assert len(chunks) > 2 and text_of(chunks)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_with_usage_ends_with_it(client, model):
    *chunks, last = streamed(client, model, stream_options={"include_usage": True})
    assert last.choices == [] and last.usage.completion_tokens > 0
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert text_of(chunks)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_arrives_piece_by_piece(client, model):
    with chat(client, model, stream=True) as stream:
        first = time.monotonic() if next(iter(stream)) else None
        rest = list(stream)
    # The demo model speaks a word every 25 ms: what was collected on the way would come all at once.
    assert time.monotonic() - first > 0.01 * len(rest)


@pytest.mark.parametrize("model", MODELS)
def test_the_stream_helper_collects_a_whole_answer(client, model):
    with client.chat.completions.stream(model=model, messages=ASK) as stream:
        kinds = {event.type for event in stream}
        whole = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert whole.choices[0].message.content and whole.choices[0].finish_reason == "stop"


def test_the_async_client_works_and_runs_many_at_a_time(gateway):
    async def run():
        async with async_client(gateway) as client:
            asks = [client.chat.completions.create(model="demo-chat", messages=ASK) for _ in range(10)]
            answers = await asyncio.gather(*asks)
            stream = await client.chat.completions.create(model="demo-chat", messages=ASK, stream=True)
            return answers, [chunk async for chunk in stream]

    answers, chunks = asyncio.run(run())
    assert all(answer.choices[0].message.content for answer in answers)
    assert len({answer._request_id for answer in answers}) == 10
    assert text_of(chunks)


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called_and_its_answer_is_heard(client, model):
    turn = [{"role": "user", "content": "Use get_weather for Bern."}]
    called = client.chat.completions.create(model=model, messages=turn, tools=[WEATHER]).choices[0]
    assert called.finish_reason == "tool_calls"
    (call,) = called.message.tool_calls
    assert call.function.name == "get_weather" and '"city"' in call.function.arguments
    turn += [called.message, {"role": "tool", "tool_call_id": call.id, "content": "11 degrees and fog"}]
    last = client.chat.completions.create(model=model, messages=turn, tools=[WEATHER]).choices[0]
    assert last.finish_reason == "stop" and "11 degrees and fog" in last.message.content


@pytest.mark.parametrize("model", MODELS)
def test_a_streamed_tool_call_is_put_together(client, model):
    force = {"type": "function", "function": {"name": "get_weather"}}
    chunks = streamed(client, model, tools=[WEATHER], tool_choice=force)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert calls[0].function.name == "get_weather"
    assert '"city"' in "".join(call.function.arguments or "" for call in calls)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("model", MODELS)
def test_a_structured_answer_is_parsed(client, model):
    class Gate(pydantic.BaseModel):
        name: str
        lanes: int

    answer = client.chat.completions.parse(model=model, messages=ASK, response_format=Gate)
    assert isinstance(answer.choices[0].message.parsed, Gate)


def test_several_choices_come_back(client):
    answer = chat(client, n=3, max_completion_tokens=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.finish_reason for choice in answer.choices} == {"length"}


def test_legacy_completions_work(client):
    answer = client.completions.create(model="demo-chat", prompt="Once upon a time", max_tokens=7)
    assert answer.choices[0].text and answer.usage.completion_tokens <= 7


def test_embeddings_are_the_same_in_both_encodings(client):
    ask = {"model": "text-embedding-3-small", "input": ["toll", "gate"]}
    packed = client.embeddings.create(**ask)
    plain = client.embeddings.create(**ask, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1] and packed.usage.prompt_tokens > 0
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)


def test_an_image_is_a_picture(client):
    answer = client.images.generate(model="gpt-image-1", prompt="a red barn", size="1024x1024")
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG\r\n")


def test_models_are_listed_and_retrieved(client):
    names = {model.id for model in client.models.list()}
    assert {"demo-chat", "gpt-4o-mini", "demo-embed", "demo-image"} <= names
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"


def test_a_key_sees_only_the_models_that_it_may_use(client_of):
    client = client_of("embeds_only")
    assert {model.id for model in client.models.list()} <= {"demo-embed", "text-embedding-3-small"}
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("demo-chat")


def test_every_answer_shows_its_request_id(client):
    answer = chat(client)
    record = record_of(client, answer._request_id)
    assert record["id"] == answer._request_id and record["model"] == "demo-chat"
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat(client, "no-such-model")
    assert refused.value.request_id and refused.value.request_id != answer._request_id


def test_rate_limit_headers_are_readable(client):
    raw = client.chat.completions.with_raw_response.create(model="demo-chat", messages=ASK)
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert raw.headers["x-ratelimit-limit-tokens"] == "10000000"
    assert int(raw.headers["x-ratelimit-remaining-requests"]) < 10000
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) < 10000000
    for which in ("requests", "tokens"):
        assert raw.headers[f"x-ratelimit-reset-{which}"].endswith("s")
    assert raw.parse().choices[0].message.content


def test_a_client_that_stops_reading_is_recorded_as_gone(client):
    with chat(client, "demo-chat", stream=True) as stream:
        request_id = stream.response.headers["x-request-id"]
        next(iter(stream))
    assert record_of(client, request_id)["outcome"] == "client_gone"


# What does not


REFUSALS = [
    ("sk-mistyped", openai.AuthenticationError, 401, "invalid_api_key"),
    ("deleted", openai.AuthenticationError, 401, "invalid_api_key"),
    ("expired", openai.AuthenticationError, 401, "key_expired"),
    ("disabled", openai.PermissionDeniedError, 403, "key_disabled"),
    ("suspended", openai.PermissionDeniedError, 403, "key_disabled"),
    ("elsewhere", openai.PermissionDeniedError, 403, "address_not_allowed"),
    ("poor", openai.APIStatusError, 402, "insufficient_balance"),
    ("embeds_only", openai.UnprocessableEntityError, 422, "model_not_found"),
]


@pytest.mark.parametrize(("key", "kind", "status", "code"), REFUSALS, ids=lambda value: str(value))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_refusal_is_the_right_exception_and_is_not_tried_again(client_of, key, kind, status, code, stream):
    client = client_of(key, max_retries=2)
    with pytest.raises(kind) as refused:
        chat(client, stream=stream)
    error = refused.value
    assert (error.status_code, error.code, error.type) == (status, code, code)
    assert error.request_id and len(client.sent) == 1


@pytest.mark.parametrize(
    ("fault", "param"), [({"n": 0}, "n"), ({"max_tokens": -1}, "max_tokens"), ({"messages": "hello"}, "messages")]
)
def test_a_faulty_request_is_a_bad_request(client, fault, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": "demo-chat", "messages": ASK, **fault})
    assert refused.value.code == "invalid_request" and refused.value.param == param


def test_an_upstreams_judgement_of_the_request_passes_on(client):
    with pytest.raises(openai.BadRequestError) as refused:
        chat(client, "rejects")
    assert refused.value.code == "invalid_request" and refused.value.param == "temperature"
    assert "Unsupported value for this model." in refused.value.message


def test_a_poor_account_is_told_what_is_needed_and_what_is_there(client_of):
    with pytest.raises(openai.APIStatusError) as refused:
        chat(client_of("poor"))
    assert refused.value.status_code == 402 and "0.000001" in refused.value.message
    assert "retry-after" not in refused.value.response.headers


def test_a_path_that_does_not_exist_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.post("/chat/incantations", cast_to=object, body={})
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("model", ["broken", "broken-anthropic", "refuses-key", "refuses-key-anthropic"])
def test_an_upstreams_failure_is_a_server_error_that_tells_nothing_of_it(client, model):
    with pytest.raises(openai.InternalServerError) as failed:
        chat(client, model)
    assert (failed.value.status_code, failed.value.code) == (500, "server_error")
    for secret in ("gpu-7", "an-upstream-key", "127.0.0.1"):
        assert secret not in failed.value.response.text


def test_a_server_error_is_tried_again(client_of):
    client = client_of("main", max_retries=1)
    with pytest.raises(openai.InternalServerError):
        chat(client, "broken")
    assert len(client.sent) == 2


def test_the_second_request_of_a_minute_is_a_rate_limit_error(client_of):
    client = client_of("one_a_minute")
    assert chat(client).choices
    with pytest.raises(openai.RateLimitError) as refused:
        chat(client)
    assert refused.value.code == "rate_limit"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_request_that_can_never_fit_is_not_tried_again(client_of):
    client = client_of("few_tokens", max_retries=2)
    with pytest.raises(openai.RateLimitError) as refused:
        chat(client)
    assert refused.value.response.headers["x-should-retry"] == "false" and len(client.sent) == 1


def test_a_rate_limited_request_waits_and_then_succeeds(client_of):
    refused = threading.Event()
    patient = client_of("one_at_a_time", max_retries=2, on_answer=lambda answer: answer.status_code == 429 and refused.set())
    with chat(client_of("one_at_a_time"), stream=True) as stream:
        next(iter(stream))
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(chat(patient)))
        waiting.start()
        assert refused.wait(WITHIN_S)
    waiting.join(4 * WITHIN_S)
    assert answers and answers[0].choices
    assert 2 <= len(patient.sent) <= 3


@pytest.mark.parametrize("model", ["cut", "cut-anthropic", "error-event", "error-event-anthropic"])
def test_a_stream_that_breaks_off_raises_after_what_had_come(client, model):
    heard = []
    with pytest.raises(openai.APIError) as broken:
        for chunk in chat(client, model, stream=True):
            heard.append(chunk)
    assert text_of(heard) == "".join(WORDS)
    assert broken.value.code == "server_error" and not isinstance(broken.value, openai.APIConnectionError)
    assert "gpu-7" not in str(broken.value.body)


def test_a_stream_that_breaks_off_raises_in_the_async_client_too(gateway):
    async def run():
        async with async_client(gateway) as client:
            stream = await client.chat.completions.create(model="error-event", messages=ASK, stream=True)
            with pytest.raises(openai.APIError):
                async for _ in stream:
                    pass

    asyncio.run(run())


def test_a_key_that_is_switched_off_and_on_while_serving_is_seen(gateway, client_of):
    client, key = client_of("switched"), gateway.keys["switched"]["id"]

    def status():
        try:
            client.get("/key", cast_to=object)
        except openai.APIStatusError as error:
            return error.status_code
        return 200

    assert status() == 200
    gateway.cli("key", "disable", key)
    eventually(lambda: status() == 403)
    gateway.cli("key", "enable", key)
    eventually(lambda: status() == 200)


# What it costs


@pytest.mark.parametrize(("key", "markup"), [("books", "1"), ("marked", "1.05")])
def test_the_books_balance_to_the_nano_with_the_usage_that_the_sdk_reported(gateway, client_of, key, markup):
    client = client_of(key)
    expected = {}
    for model in (*MODELS, "counted"):
        plain = chat(client, model)
        expected[plain._request_id] = cost(model, plain.usage, markup)
        with chat(client, model, stream=True, stream_options={"include_usage": True}) as stream:
            request_id, chunks = stream.response.headers["x-request-id"], list(stream)
        expected[request_id] = cost(model, chunks[-1].usage, markup)
    embedded = client.embeddings.with_raw_response.create(model="demo-embed", input="toll gate")
    expected[embedded.headers["x-request-id"]] = cost("demo-embed", embedded.parse().usage, markup)
    drawn = client.images.with_raw_response.generate(model="demo-image", prompt="a gate", n=2, size="1024x1024")
    expected[drawn.headers["x-request-id"]] = 2 * Decimal("0.04") * Decimal(markup)
    # Whoever does not ask for usage pays for it all the same.
    with chat(client, "counted", stream=True) as stream:
        request_id, _ = stream.response.headers["x-request-id"], list(stream)
    # Its answer is the same as the one before it, and so is its price.
    expected[request_id] = cost("counted", plain.usage, markup)

    for request_id, charge in expected.items():
        record = record_of(client, request_id)
        assert (record["outcome"], record["estimated"]) == ("ok", False)
        assert Decimal(record["charge"]) == charge, record
    left = Decimal(CREDIT) - sum(expected.values())
    account = eventually(lambda: settled(client))
    assert Decimal(account["balance"]) == Decimal(account["available"]) == left
    assert Decimal(gateway.cli("account", "show", key)["balance"]) == left
