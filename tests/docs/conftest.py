"""One gateway for the samples of the documentation; its launcher is the one of the SDK tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sdk"))

from gateway import Gateway  # noqa: E402


@pytest.fixture(scope="session")
def gateway():
    with Gateway() as gateway:
        yield gateway
