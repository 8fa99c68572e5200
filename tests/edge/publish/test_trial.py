"""A broker is tried for real: what it refuses or drops is found before anyone relies on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from edge.errors import PublishError
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.topics import Topics
from edge.publish import trial
from edge.publish.publisher import Publisher
from edge.publish.trial import ask_daemons, try_broker
from tests.strict_broker import StrictBroker

ACL = Path(__file__).parents[3] / "systemd" / "mosquitto" / "edge.acl"
Version = Literal["5", "3.1.1"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_that_works_gives_back_what_was_published(mosquitto: Any, version: Version) -> None:
    """Without an access list, and with the shipped one for the user that is called like the device."""
    port = mosquitto().port
    assert "read back" in try_broker(Endpoint("127.0.0.1", port, protocol=version), Topics("dev"), "x")
    port = mosquitto(settings=f"allow_anonymous true\nacl_file {ACL}\n").port
    endpoint = Endpoint("127.0.0.1", port, username="dev", password="p", protocol=version)
    assert "published, and read back" in try_broker(endpoint, Topics("dev"), "x")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_user_that_may_not_publish_is_found(mosquitto: Any, version: Version) -> None:
    """The shipped access list with a user called otherwise: confirmed or not, nothing arrives, and that is said."""
    port = mosquitto(settings=f"allow_anonymous true\nacl_file {ACL}\n").port
    endpoint = Endpoint("127.0.0.1", port, username="other", password="p", protocol=version)
    with pytest.raises(PublishError, match="access list"):
        try_broker(endpoint, Topics("dev"), "x")


def test_a_refusal_names_topic_reason_and_remedy() -> None:
    """PUBACK and SUBACK with a failure."""
    for options, words in (({"puback": 0x97}, "quota"), ({"suback": 0x87}, "not authorized")):
        broker = StrictBroker(**options)
        with pytest.raises(PublishError, match=words):
            try_broker(Endpoint("127.0.0.1", broker.port), Topics("dev"), "x")
        broker.close()


def test_a_broker_of_small_messages_is_warned_of(mosquitto: Any) -> None:
    """The limit that it states is told, where a room may be larger."""
    port = mosquitto(settings="allow_anonymous true\nmax_packet_size 20000\n").port
    assert "at most 20000 bytes" in try_broker(Endpoint("127.0.0.1", port), Topics("dev"), "x")


def test_the_daemons_of_this_name_are_asked(mosquitto: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """None answers, one does with what is degraded, and two are found to be two."""
    monkeypatch.setattr(trial, "_ANSWER_S", 0.6)
    endpoint = Endpoint("127.0.0.1", mosquitto().port)
    assert ask_daemons(endpoint, Topics("dev"), "x") == []
    running = []
    try:
        for name in ("one", "other"):
            handlers = {"health": lambda _: {"degraded": ["camera hall is offline"]}}
            running.append(Publisher(endpoint, Topics("dev"), client_id=name, handlers=handlers))
            running[-1].start()
            assert running[-1].wait_connected(10)
            assert running[-1].flush(5)
            answers = ask_daemons(endpoint, Topics("dev"), "x")
            assert answers == [("camera hall is offline",)] * len(running)
    finally:
        for publisher in running:
            publisher.stop()
