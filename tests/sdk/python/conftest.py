"""One gateway for all tests of a run, and clients of it."""

import sys
from pathlib import Path

import anthropic
import openai
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway import Gateway  # noqa: E402


@pytest.fixture(scope="session")
def gateway():
    with Gateway() as gateway:
        yield gateway


class Client(openai.OpenAI):
    """The SDK's own client, which also counts what it sends: `sent` are the requests, retries among them."""

    def __init__(self, gateway, key, base="/v1", max_retries=0, on_answer=None):
        self.sent = []
        hooks = {"request": [self.sent.append], "response": [on_answer] if on_answer else []}
        # Loopback is nobody's business: no proxy of the machine's.
        http = openai.DefaultHttpxClient(event_hooks=hooks, trust_env=False)
        text = key_text(gateway, key)
        super().__init__(api_key=text, base_url=gateway.origin + base, max_retries=max_retries, http_client=http)


class AnthropicClient(anthropic.Anthropic):
    """The same for Anthropic's SDK, which adds the `/v1` itself. `key_as` says how it presents the key."""

    def __init__(self, gateway, key, base="", max_retries=0, key_as="auth_token"):
        self.sent = []
        http = anthropic.DefaultHttpxClient(event_hooks={"request": [self.sent.append]}, trust_env=False)
        text = {key_as: key_text(gateway, key)}
        super().__init__(base_url=gateway.origin + base, max_retries=max_retries, http_client=http, **text)


def key_text(gateway, key):
    return gateway.keys[key]["key"] if key in gateway.keys else key


def makers_of(kind):
    @pytest.fixture
    def make_clients(gateway):
        clients = []

        def make(key, **more):
            clients.append(kind(gateway, key, **more))
            return clients[-1]

        yield make
        for client in clients:
            client.close()

    return make_clients


# `client_of("main")` speaks with that key; any other text is taken as a key itself.
client_of = makers_of(Client)
anthropic_of = makers_of(AnthropicClient)


@pytest.fixture
def client(client_of):
    return client_of("main")


@pytest.fixture
def claude(anthropic_of):
    return anthropic_of("main")
