"""Sound, uploads and moderations through the official SDK, which writes its forms as it likes."""

import io
import json
from decimal import Decimal

import openai
import pytest
from books import record_of


def charged(client, answer, charge):
    record = record_of(client, answer.headers["x-request-id"])
    assert (record["outcome"], record["estimated"]) == ("ok", False), record
    assert Decimal(record["charge"]) == Decimal(charge), record


def spoken(client, text):
    answer = client.audio.speech.with_raw_response.create(model="demo-speech", input=text, voice="alloy")
    charged(client, answer, len(text) * Decimal("0.000015"))
    return answer.content


def test_speech_is_a_file_whole_or_piece_by_piece(client):
    sound = spoken(client, "Open the gate, 请!")
    assert sound[:4] == b"RIFF"
    streaming = client.audio.speech.with_streaming_response
    with streaming.create(model="demo-speech", input="Open the gate, 请!", voice="alloy") as answer:
        assert b"".join(answer.iter_bytes()) == sound


@pytest.mark.parametrize("name", ["gate.wav", "das Tor ist “auf”.wav", "门.wav"])
def test_a_recording_comes_back_as_text(client, name):
    recording = (name, io.BytesIO(spoken(client, "one two three four five six")))
    answer = client.audio.transcriptions.with_raw_response.create(model="demo-transcribe", file=recording)
    assert "2 seconds" in answer.parse().text
    charged(client, answer, "0.0002")


def test_a_transcript_may_be_plain_or_come_in_events(client):
    recording = spoken(client, "one two three four five six")
    create = client.audio.transcriptions.create
    subtitles = create(model="demo-transcribe", file=("a.wav", recording), response_format="vtt")
    assert subtitles.startswith("WEBVTT")
    verbose = create(
        model="demo-transcribe",
        file=("a.wav", recording),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert verbose.duration == 2
    events = list(create(model="demo-transcribe", file=("a.wav", recording), stream=True))
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == verbose.text


def test_pictures_are_edited(client):
    pictures = [("a.png", b"\x89PNG one", "image/png"), ("b.png", b"\x89PNG two", "image/png")]
    edit = client.images.with_raw_response.edit
    answer = edit(model="demo-image", image=pictures, prompt="a hat", n=2, size="1024x1024")
    assert len(answer.parse().data) == 2
    charged(client, answer, "0.08")


def test_moderations_are_free(client):
    answer = client.moderations.with_raw_response.create(model="demo-moderate", input=["kindness", "violence"])
    assert [result.flagged for result in answer.parse().results] == [False, True]
    charged(client, answer, "0")


def test_what_is_wrong_with_an_upload_is_said(client):
    with pytest.raises(openai.BadRequestError) as refusal:
        client.images.edit(model="demo-image", image=("a.png", b"x"), prompt="p", n=11)
    assert (refusal.value.code, refusal.value.param) == ("invalid_request", "n")
    with pytest.raises(openai.UnprocessableEntityError):
        client.audio.transcriptions.create(model="nobody", file=("a.wav", b"x"))
    text = client.models.with_raw_response.retrieve("demo-speech").text
    assert json.loads(text)["pricing"]["per_million_characters"] == "15"
