"""One gateway for all tests of a run, and clients of it."""

import sys
from pathlib import Path

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
        text = gateway.keys[key]["key"] if key in gateway.keys else key
        super().__init__(api_key=text, base_url=gateway.origin + base, max_retries=max_retries, http_client=http)


@pytest.fixture
def client_of(gateway):
    """`client_of("main")` speaks with that key; any other text is taken as a key itself."""
    clients = []

    def make(key, **more):
        clients.append(Client(gateway, key, **more))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(client_of):
    return client_of("main")
