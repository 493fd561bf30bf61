"""One gateway for the command lines; its launcher is the one of the SDK tests, and so are its books. What a reader is told
to write down for them comes from the documentation page."""

import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(SDK), str(SDK / "python"), str(SDK.parent / "docs")]

from gateway import Gateway  # noqa: E402


@pytest.fixture(scope="session")
def gateway():
    with Gateway() as gateway:
        yield gateway
