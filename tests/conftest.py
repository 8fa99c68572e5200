"""Fixtures for all tests."""

import gc
import itertools
import os
from collections.abc import Iterator

import pytest

from tests.brokers import embedded, mosquitto, subscribe
from tests.strict_broker import strict

__all__ = ["embedded", "mosquitto", "strict", "subscribe"]

_TESTS = itertools.count()


def pytest_collection_finish() -> None:
    """What importing all tests left in memory stays there: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_state_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a daemon keeps, it keeps in no real user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
        yield


@pytest.fixture(autouse=True)
def _no_state_of_other_tests(_no_state_of_ours: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a test find what another left."""
    monkeypatch.setenv("XDG_STATE_HOME", f"{os.environ['XDG_STATE_HOME']}-{next(_TESTS)}")
