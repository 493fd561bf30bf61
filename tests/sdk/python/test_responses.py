"""The official Python SDK's Responses against the real gateway: native, and where the upstream speaks another dialect."""

import asyncio
import time
from decimal import Decimal

import openai
import pydantic
import pytest

from books import cost, eventually, record_of, settled
from gateway import CREDIT
from upstream import WORDS

ASK = "Say something about toll gates."
# One transparent pixel.
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
MODELS = ["demo-chat", "over-chat", "over-messages"]


def respond(client, model="demo-chat", ask=ASK, **more):
    return client.responses.create(model=model, input=ask, **more)


def streamed(client, model="demo-chat", **more):
    """The stream's events, and the id of its request."""
    with respond(client, model, stream=True, **more) as stream:
        return list(stream), stream.response.headers["x-request-id"]


def heard(events):
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


# What works


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_response(client, model):
    answer = respond(client, model, instructions="Be brief.")
    assert (answer.object, answer.status) == ("response", "completed")
    assert answer.output_text and answer.output[0].role == "assistant"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


@pytest.mark.parametrize("base", ["/api/v1", "/v1/"])
def test_responses_are_under_every_base_url(client_of, base):
    assert respond(client_of("main", base=base)).output_text


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_says_what_the_whole_response_says(client, model):
    whole = respond(client, model)
    events, _ = streamed(client, model)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    last = events[-1].response
    assert heard(events) == last.output_text == whole.output_text
    assert last.usage == whole.usage
    kinds = {event.type for event in events}
    assert {"response.output_item.added", "response.output_text.done", "response.output_item.done"} <= kinds


@pytest.mark.parametrize("model", MODELS)
def test_the_stream_helper_collects_a_whole_response(client, model):
    with client.responses.stream(model=model, input=ASK) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        whole = stream.get_final_response()
    assert whole.output_text == text != ""


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_arrives_piece_by_piece(client, model):
    with respond(client, model, stream=True) as stream:
        first = time.monotonic() if next(iter(stream)) else None
        rest = list(stream)
    # The demo model speaks a word every 25 ms: what was collected on the way would come all at once.
    assert time.monotonic() - first > 0.01 * len(rest)


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_is_too_long_is_incomplete(client, model):
    answer = respond(client, model, max_output_tokens=16, ask="Who are you?")
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    events, _ = streamed(client, model, max_output_tokens=16, ask="Who are you?")
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.usage.output_tokens == answer.usage.output_tokens == 16


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_a_function_is_called_and_its_answer_is_heard(client, model, stream):
    turn = [{"role": "user", "content": "Use get_weather for `Bern`."}]

    def ask():
        if not stream:
            return respond(client, model, turn, tools=[WEATHER])
        events, _ = streamed(client, model, ask=turn, tools=[WEATHER])
        pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
        done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
        assert done in ([], [pieces])
        return events[-1].response

    (call,) = ask().output
    assert (call.type, call.name, call.arguments.replace(" ", "")) == ("function_call", "get_weather", '{"city":"Bern"}')
    turn += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "11 degrees and fog"}]
    last = ask()
    assert last.status == "completed" and "11 degrees and fog" in last.output_text


@pytest.mark.parametrize("model", ["demo-chat", "over-chat", "over-messages"])
def test_a_structured_response_is_parsed(client, model):
    class Gate(pydantic.BaseModel):
        name: str
        lanes: int

    answer = client.responses.parse(model=model, input=ASK, text_format=Gate)
    assert isinstance(answer.output_parsed, Gate)


@pytest.mark.parametrize("model", MODELS)
def test_a_picture_is_seen(client, model):
    text = {"type": "input_text", "text": ASK}
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}", "detail": "low"}
    seen, unseen = (respond(client, model, [{"role": "user", "content": content}]) for content in ([picture, text], [text]))
    # The demo model counts a picture like OpenAI at low detail.
    assert seen.usage.input_tokens == unseen.usage.input_tokens + 85


def test_what_cannot_be_carried_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError) as refused:
        respond(client, "over-chat", tools=[WEATHER, {"type": "web_search"}])
    assert (refused.value.code, refused.value.param) == ("invalid_request", "tools[1].type")


def test_the_async_client_works(gateway):
    async def run():
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        key = gateway.keys["main"]["key"]
        async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.origin}/v1", http_client=http) as client:
            stream = await client.responses.create(model="demo-chat", input=ASK, stream=True)
            return [event async for event in stream]

    assert heard(asyncio.run(run()))


def test_a_client_that_stops_reading_is_recorded_as_gone(client):
    with respond(client, stream=True) as stream:
        request_id = stream.response.headers["x-request-id"]
        next(iter(stream))
    assert record_of(client, request_id)["outcome"] == "client_gone"


# What does not


REFUSALS = [
    ("sk-mistyped", openai.AuthenticationError, 401, "invalid_api_key"),
    ("disabled", openai.PermissionDeniedError, 403, "key_disabled"),
    ("poor", openai.APIStatusError, 402, "insufficient_balance"),
    ("embeds_only", openai.UnprocessableEntityError, 422, "model_not_found"),
]


@pytest.mark.parametrize(("key", "kind", "status", "code"), REFUSALS, ids=lambda value: str(value))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_refusal_is_the_right_exception_and_is_not_tried_again(client_of, key, kind, status, code, stream):
    client = client_of(key, max_retries=2)
    with pytest.raises(kind) as refused:
        respond(client, stream=stream)
    error = refused.value
    assert (error.status_code, error.code, error.type) == (status, code, code)
    assert error.request_id and len(client.sent) == 1


def test_what_is_not_kept_is_refused_in_clear_words(client):
    with pytest.raises(openai.BadRequestError) as refused:
        respond(client, background=True)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "background")
    for call in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.APIStatusError) as refused:
            call("resp_1")
        assert refused.value.code == "invalid_request" and "not stored" in refused.value.message


@pytest.mark.parametrize("model", ["rejects", "rejects-anthropic"])
def test_an_upstreams_judgement_of_the_request_passes_on(client, model):
    with pytest.raises(openai.BadRequestError) as refused:
        respond(client, model)
    assert refused.value.code == "invalid_request"
    assert "Unsupported value for this model." in refused.value.message


@pytest.mark.parametrize("model", ["broken", "broken-anthropic", "refuses-key", "refuses-key-anthropic"])
def test_an_upstreams_failure_is_a_server_error_that_tells_nothing_of_it(client, model):
    with pytest.raises(openai.InternalServerError) as failed:
        respond(client, model)
    assert (failed.value.status_code, failed.value.code) == (500, "server_error")
    for secret in ("gpu-7", "an-upstream-key", "127.0.0.1"):
        assert secret not in failed.value.response.text


def test_the_second_request_of_a_minute_is_a_rate_limit_error(client_of):
    client = client_of("one_response_a_minute")
    assert respond(client).output_text
    with pytest.raises(openai.RateLimitError) as refused:
        respond(client)
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("model", ["cut", "cut-anthropic", "error-event", "error-event-anthropic"])
def test_a_stream_that_breaks_off_raises_after_what_had_come(client, model):
    events = []
    with pytest.raises(openai.APIError) as broken:
        for event in respond(client, model, stream=True):
            events.append(event)
    assert heard(events) == "".join(WORDS)
    assert broken.value.code == "server_error" and not isinstance(broken.value, openai.APIConnectionError)
    assert "gpu-7" not in str(broken.value.body)


# What it costs


def test_the_books_balance_to_the_nano_with_the_usage_that_the_sdk_reported(gateway, client_of):
    client = client_of("responses_books")
    expected = {}
    for model in [*MODELS, "counted"]:
        plain = respond(client, model)
        expected[plain._request_id] = cost(model, plain.usage)
        events, request_id = streamed(client, model)
        expected[request_id] = cost(model, events[-1].response.usage)
    for request_id, charge in expected.items():
        record = record_of(client, request_id)
        assert (record["endpoint"], record["outcome"], record["estimated"]) == ("responses", "ok", False)
        assert Decimal(record["charge"]) == charge, record
    left = Decimal(CREDIT) - sum(expected.values())
    assert Decimal(eventually(lambda: settled(client))["balance"]) == left
    assert Decimal(gateway.cli("account", "show", "responses_books")["balance"]) == left
