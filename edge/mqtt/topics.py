"""Every topic of the daemon, with its quality of service, its retention and its content type.

The address of a topic is `<base>/<device>/...`; the table below is the only place that spells what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.errors import PublishError

Kind = Literal[
    "bridge_state",
    "bridge_info",
    "bridge_health",
    "bridge_event",
    "bridge_probe",
    "request",
    "response",
    "camera_state",
    "depth",
    "depth_image",
    "depth_view",
    "layout",
    "lighting",
    "room",
    "heat_loss",
    "drift",
    "objects",
    "objects_model",
    "picture",
    "discovery",
    "birth",
    "home",
]
Direction = Literal["send", "receive"]

JSON = "application/json"
PNG = "image/png"
JPEG = "image/jpeg"
TEXT = "text/plain"
DISCOVERY_PREFIX = "homeassistant"
"""Where Home Assistant looks, unless both are told otherwise."""
GLB = "model/gltf-binary"
LIVE_EXPIRY_S = 30
"""How long a live result is worth delivering; older ones are thrown away, here and (MQTT 5) by the broker."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What holds for every topic of one kind. `path` follows `<base>/<device>/` and may name {camera} or {verb}.

    Where `below` is "home_assistant" it follows Home Assistant's discovery prefix, and names {device} itself; where it
    is "base" it follows `<base>/`, and belongs to no device.
    """

    path: str
    qos: int
    retain: bool
    summary: str
    content_type: str = JSON
    direction: Direction = "send"
    below: Literal["device", "home_assistant", "base"] = "device"

    def address(self, base: str, discovery_prefix: str) -> str:
        """The whole topic, with {device} and what else it names still in it."""
        if self.below == "base":
            return f"{base}/{self.path}"
        return f"{base}/{{device}}/{self.path}" if self.below == "device" else f"{discovery_prefix}/{self.path}"

    @property
    def expiry_s(self) -> int | None:
        """Seconds after which an undelivered message is void; None for what is kept until replaced or delivered."""
        return LIVE_EXPIRY_S if self.qos == 0 and not self.retain else None


CHANNELS: dict[Kind, Channel] = {
    "bridge_state": Channel("bridge/state", 1, True, "Whether the daemon is there; also its last will."),
    "bridge_info": Channel("bridge/info", 1, True, "Version, cameras, tasks and engines."),
    "bridge_health": Channel("bridge/health", 1, True, "Rates, latencies, drops, memory and what is degraded."),
    "bridge_event": Channel("bridge/event", 1, False, "Something happened: a camera was lost, an engine was built."),
    "bridge_probe": Channel("bridge/probe", 1, False, "Nothing else was confirmed for a while: is the broker there?"),
    "request": Channel("request/{verb}", 1, False, "Ask the daemon to do something.", direction="receive"),
    "response": Channel("response/{verb}", 1, False, "The answer to a request that named no response topic."),
    "camera_state": Channel("{camera}/state", 1, True, "Whether a camera delivers pictures, and since when."),
    "depth": Channel("{camera}/depth", 0, False, "Statistics of a depth map, and where its picture is."),
    "depth_image": Channel("{camera}/depth/image", 0, False, "A depth map as a 16-bit grey PNG; 0 = unknown.", PNG),
    "depth_view": Channel("{camera}/depth/view", 0, False, "A depth map in colours, for people: red is near.", JPEG),
    "layout": Channel("{camera}/layout", 1, True, "The room's shell: raw boundary, floor polygon and sizes."),
    "lighting": Channel("{camera}/lighting", 1, True, "Ambient light as order-2 spherical harmonics."),
    "room": Channel("{camera}/room", 1, True, "The room as a 3-D model (GLB, metres, y up).", GLB),
    "heat_loss": Channel("{camera}/heat_loss", 1, True, "What the room loses at the coldest, and how sure that is."),
    "drift": Channel("{camera}/drift", 1, True, "Whether what the camera sees has changed since its first days."),
    "objects": Channel("{camera}/objects", 1, True, "Single things that were reconstructed on request: a list."),
    "objects_model": Channel("{camera}/objects/model", 1, True, "Those things as meshes (GLB, metres, y up).", GLB),
    "picture": Channel("{camera}/picture", 0, False, "What the camera sees, small; off by default.", JPEG),
    "discovery": Channel(
        "device/{device}/{camera}/config",
        1,
        True,
        "A camera, or `bridge`, for Home Assistant: its device discovery. Empty: removed.",
        below="home_assistant",
    ),
    "birth": Channel(
        "status",
        1,
        False,
        "Home Assistant says `online` when it has started; everything retained is said again then.",
        TEXT,
        "receive",
        "home_assistant",
    ),
    "home": Channel("home/{home}", 1, True, "Rooms placed beside each other as one home.", below="base"),
}
_VERB_LEVELS = 2
"""Of a verb at most: engine/build."""
BRIDGE = "bridge"
RESERVED_CAMERA_NAMES = frozenset({BRIDGE, "request", "response"})


@dataclass(frozen=True, slots=True)
class Address:
    """What a received topic names."""

    kind: Kind
    device: str
    """Empty where it belongs to none."""
    camera: str | None = None
    verb: str | None = None
    home: str | None = None


def check_segment(name: str, what: str) -> str:
    """Return `name` if it can stand between two slashes of a topic.

    Raises:
        PublishError: it is empty, or has a character that topics give another meaning.
    """
    bad = sorted({repr(c) for c in name if c in "+#/" or not c.isprintable()})
    if not name or bad:
        found = f"contains {', '.join(bad)}" if bad else "is empty"
        raise PublishError(f"{what} {name!r} {found}; use letters, digits, '-' and '_'")
    return name


def _checked_base(base: str) -> str:
    for segment in base.split("/"):
        check_segment(segment, "a part of the base topic")
    if base.startswith("$"):
        raise PublishError(f"the base topic {base!r} starts with '$', which brokers keep for themselves; leave it out")
    return base


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one device.

    Raises:
        PublishError: a name is empty or contains +, # or / (the base may have several parts).
    """

    device: str
    base: str = "edge"
    discovery_prefix: str = DISCOVERY_PREFIX

    def __post_init__(self) -> None:
        """Refuse names that would give a topic another meaning."""
        check_segment(self.device, "device name")
        _checked_base(self.base)
        _checked_base(self.discovery_prefix)

    def of(self, kind: Kind, *, camera: str | None = None, verb: str | None = None) -> str:
        """The topic of `kind`, with the camera or the verb that its path names; a verb may have two levels."""
        channel = CHANNELS[kind]
        path = channel.address(self.base, self.discovery_prefix).replace("{device}", self.device)
        if channel.below == "home_assistant" and camera is None:
            path = path.replace("{camera}", BRIDGE)
        if "{camera}" in path:
            path = path.replace("{camera}", self._camera(camera or ""))
        if "{verb}" in path:
            path = path.replace("{verb}", "/".join(check_segment(part, "verb") for part in (verb or "").split("/")))
        return path

    @property
    def own(self) -> tuple[str, str]:
        """What everything begins with that this device alone publishes."""
        return f"{self.base}/{self.device}/", self.discoveries.removesuffix("+/config")

    @property
    def discoveries(self) -> str:
        """Subscription that receives what Home Assistant is told of this device, all its cameras."""
        return self.of("discovery").removesuffix(f"{BRIDGE}/config") + "+/config"

    @property
    def requests(self) -> str:
        """Subscription that receives every request to this device."""
        return f"{self.base}/{self.device}/request/#"

    @property
    def responses(self) -> str:
        """What the topic of every response of this device begins with."""
        return f"{self.base}/{self.device}/response/"

    @property
    def everything(self) -> str:
        """Subscription that receives all that this device says, and all it is asked."""
        return f"{self.base}/{self.device}/#"

    def _camera(self, camera: str) -> str:
        if camera in RESERVED_CAMERA_NAMES:
            raise PublishError(
                f"a camera cannot be called {camera!r}, the bridge's own topics are; choose another name"
            )
        return check_segment(camera, "camera name")


def home_topic(home: str, base: str = "edge") -> str:
    """Where a home is.

    Raises:
        PublishError: its name cannot stand in a topic.
    """
    return CHANNELS["home"].address(_checked_base(base), "").replace("{home}", check_segment(home, "home's name"))


def homes(base: str = "edge") -> str:
    """Subscription that receives every home under `base`."""
    return CHANNELS["home"].address(_checked_base(base), "").replace("{home}", "+")


def everything(base: str = "edge") -> str:
    """Subscription that receives all devices under `base`."""
    return f"{_checked_base(base)}/+/#"


def parse(topic: str, base: str = "edge") -> Address | None:
    """What `topic` names, or None if it is not one of ours under `base`."""
    if not topic.startswith(f"{base}/"):
        return None
    device, _, path = topic[len(base) + 1 :].partition("/")
    parts = path.split("/")
    if device == "home" and len(parts) == 1:  # a device's topics have at least one level more
        return Address("home", "", home=path) if path and path.isprintable() else None
    if len(parts) == _VERB_LEVELS + 1 and parts[0] in ("request", "response"):
        parts = [parts[0], "/".join(parts[1:])]
        if not all(part and part.isprintable() for part in parts[1].split("/")):
            return None
    for kind, channel in CHANNELS.items():
        pattern = channel.path.split("/")
        if channel.below != "device" or len(pattern) != len(parts):
            continue
        found = {p: v for p, v in zip(pattern, parts, strict=True) if p.startswith("{")}
        same = all(p.startswith("{") or p == v for p, v in zip(pattern, parts, strict=True))
        if (
            device
            and same
            and all(v and v.isprintable() for v in found.values())
            and found.get("{camera}") not in RESERVED_CAMERA_NAMES
        ):
            return Address(kind, device, found.get("{camera}"), found.get("{verb}"))
    return None
