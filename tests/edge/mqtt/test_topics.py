"""Topics: the table of the published contract, and names that cannot change a topic's meaning."""

from __future__ import annotations

import pytest

from edge.errors import PublishError
from edge.mqtt.topics import CHANNELS, Address, Topics, everything, home_topic, parse

CONTRACT = {
    "edge/dev/bridge/state": (True, 1),
    "edge/dev/bridge/info": (True, 1),
    "edge/dev/bridge/health": (True, 1),
    "edge/dev/bridge/event": (False, 1),
    "edge/dev/bridge/probe": (False, 1),
    "edge/dev/request/ping": (False, 1),
    "edge/dev/response/ping": (False, 1),
    "edge/dev/cam/state": (True, 1),
    "edge/dev/cam/depth": (False, 0),
    "edge/dev/cam/depth/image": (False, 0),
    "edge/dev/cam/layout": (True, 1),
    "edge/dev/cam/lighting": (True, 1),
    "edge/dev/cam/room": (True, 1),
    "edge/dev/cam/heat_loss": (True, 1),
    "edge/dev/cam/drift": (True, 1),
    "edge/dev/cam/objects": (True, 1),
    "edge/dev/cam/objects/model": (True, 1),
    "edge/dev/cam/depth/view": (False, 0),
    "edge/dev/cam/picture": (False, 0),
}
HOMES = {"edge/home/{home}": (True, 1)}
HOME_ASSISTANT = {"homeassistant/device/dev/cam/config": (True, 1), "homeassistant/status": (False, 1)}


def test_addresses_quality_and_retention_are_those_of_the_contract() -> None:
    """Every topic has the address, QoS and retention that integrators were promised."""
    topics = Topics("dev")
    table = {topics.of(k, camera="cam", verb="ping"): (c.retain, c.qos) for k, c in CHANNELS.items()}
    assert table == CONTRACT | HOME_ASSISTANT | HOMES


@pytest.mark.parametrize("topic", [*CONTRACT, "edge/dev/request/engine/build", "edge/dev/response/engine/build"])
@pytest.mark.parametrize("base", ["edge", "site/floor 2"])
def test_parsing_inverts_naming(topic: str, base: str) -> None:
    """A topic names the same kind, device, camera and verb when it is read as when it was made."""
    topic = topic.replace("edge", base, 1)
    address = parse(topic, base)
    assert address is not None
    assert Topics(address.device, base).of(address.kind, camera=address.camera, verb=address.verb) == topic


@pytest.mark.parametrize(
    "topic",
    ["edge", "edge/dev", "edge//cam/depth", "other/dev/cam/depth", "edge/dev/cam/x", "edge/dev/request/a/b/c", ""]
    + [*HOME_ASSISTANT],
)
def test_foreign_topics_are_nobodys(topic: str) -> None:
    """What is not ours is not taken for ours."""
    assert parse(topic) is None


def test_the_bridges_topics_are_not_a_cameras() -> None:
    """`bridge/state` is the daemon's state, not that of a camera called bridge."""
    assert parse("edge/dev/bridge/state") == Address("bridge_state", "dev")


@pytest.mark.parametrize("name", ["", "a+b", "#", "a/b", "a\0b", "a\nb"])
def test_names_with_a_meaning_of_their_own_are_refused(name: str) -> None:
    """Wildcards, separators, control characters and nothing are refused for device, base, camera and verb."""
    with pytest.raises(PublishError, match="use letters"):
        Topics(name)
    with pytest.raises(PublishError, match="use letters"):
        Topics("dev").of("depth", camera=name)
    if name != "a/b":
        with pytest.raises(PublishError, match="use letters"):
            Topics("dev").of("request", verb=name)
        with pytest.raises(PublishError, match="use letters"):
            everything(name)


@pytest.mark.parametrize("name", ["bridge", "request", "response"])
def test_a_camera_cannot_take_the_bridges_name(name: str) -> None:
    """A camera called like the bridge's topics would overwrite them."""
    with pytest.raises(PublishError, match="choose another name"):
        Topics("dev").of("camera_state", camera=name)


def test_brokers_own_topics_are_refused() -> None:
    """A base that starts with $ belongs to the broker."""
    with pytest.raises(PublishError, match=r"leave it out"):
        Topics("dev", "$SYS")


def test_a_home_has_a_topic_beside_those_of_devices() -> None:
    """It is read as named; a device that is called home keeps its topics; a name with another meaning is refused."""
    assert home_topic("flat 3") == "edge/home/flat 3"
    assert parse("edge/home/flat 3") == Address("home", "", home="flat 3")
    assert parse("edge/home/bridge/state") == Address("bridge_state", "home")
    assert parse("edge/home/") is None
    with pytest.raises(PublishError, match="home's name"):
        home_topic("a/b")
