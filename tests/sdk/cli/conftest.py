"""One gateway for the command lines; its launcher is the one of the SDK tests, and so are its books."""

import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(SDK), str(SDK / "python")]

from gateway import Gateway  # noqa: E402


@pytest.fixture(scope="session")
def gateway():
    with Gateway() as gateway:
        yield gateway
