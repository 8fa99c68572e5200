"""The messages, as frozen models: what they carry, in which unit, and what is refused.

What depends on the scale stands under `metric` or under `relative`, and the other one is null: a relative result has no
field that ends in `_m`, so nobody reads it as metres by mistake. Axes are the room frame's (`edge.scene`).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.mqtt.discovery import DiscoveryMessage
from edge.mqtt.drift_message import DriftMessage
from edge.mqtt.heat_loss_message import HeatLossMessage
from edge.mqtt.home_message import HomeMessage
from edge.mqtt.info_message import BridgeInfo as BridgeInfo
from edge.mqtt.info_message import CameraInfo as CameraInfo
from edge.mqtt.info_message import EngineInfo as EngineInfo
from edge.mqtt.info_message import ReviewInfo as ReviewInfo
from edge.mqtt.info_message import TaskSettings as TaskSettings
from edge.mqtt.lens import FisheyeLens, Lens, Pose
from edge.mqtt.machine_message import MachineHealth
from edge.mqtt.objects_message import ObjectsMessage
from edge.mqtt.topics import Kind
from edge.mqtt.trial_message import ModelTrial
from edge.mqtt.values import (
    MAX_COLUMNS,
    Columns,
    Count,
    Fraction,
    Latitude,
    Name,
    NonNegative,
    Part,
    Plane,
    Positive,
    Timestamp,
    Vector2,
    Vector3,
)
from edge.mqtt.values import Message as Message
from edge.scene import Fit, OpeningKind, OpeningSource, Scale, Task


def timestamp(seconds: float) -> str:
    """Seconds since the Unix epoch as RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Model(Part):
    """The network that a result came from."""

    name: Name
    sha256: str = Field(pattern=r"^[0-9a-f]{12}$", description="First 12 digits of the ONNX file's SHA-256.")


class Result(Message):
    """What every result carries."""

    device: Name
    camera: Name
    frame: Count = Field(description="Sequence number of the camera's frame; results of one frame share it.")
    captured_at: Timestamp
    latency_ms: NonNegative = Field(description="From the capture of the frame until this message was made.")
    model: Model
    degraded: tuple[str, ...] = Field(
        default=(), description="Why this result is worse than configured; empty if it is not."
    )


def _check_scale(scale: Scale, metric: object, relative: object) -> None:
    if (metric is None) == (scale == "metric") or (relative is None) == (scale == "relative"):
        raise ValueError(f"scale is {scale!r}, so {scale!r} must be given and the other must be null")


# Depth ----------------------------------------------------------------------------------------------------------------


class MetricDepth(Part):
    """Statistics over the valid pixels, in metres."""

    min_m: NonNegative
    max_m: NonNegative
    mean_m: NonNegative
    median_m: NonNegative
    p05_m: NonNegative
    p95_m: NonNegative


class RelativeDepth(Part):
    """Statistics over the valid pixels, in an unknown unit that may change from frame to frame."""

    min: NonNegative
    max: NonNegative
    mean: NonNegative
    median: NonNegative
    p05: NonNegative
    p95: NonNegative


class DepthImage(Part):
    """Where the depth picture is and how to read it: depth = count x `value_per_count`, 0 = unknown."""

    topic: Name
    encoding: Literal["png16"] = "png16"
    unit: Literal["mm", "relative"]
    value_per_count: Positive = Field(description="In metres if unit is mm (then 0.001), else in the relative unit.")


class DepthMessage(Result):
    """Statistics of one depth map.

    `kind` z: along the optical axis (perspective); range: Euclidean, in the geometry of a fisheye where `fisheye` is
    given, else of a panorama.
    """

    schema_: Literal["edge.depth/1"] = Field(default="edge.depth/1", alias="schema")
    kind: Literal["z", "range"]
    scale: Scale
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    valid_fraction: Fraction
    metric: MetricDepth | None
    relative: RelativeDepth | None
    aligned_to_layout: Positive | None = Field(
        description="The factor by which the room's known size corrected the network's scale (for a network of "
        "relative depth: metres of its unit, at its median); null if it did not."
    )
    expected_error: float | None = Field(
        default=None,
        ge=0,
        description="Mean relative error of maps like this one on held-out pictures; null: the model does not say.",
    )
    image: DepthImage | None
    lens: Lens | None = Field(
        description="In px of the depth map, width_px x height_px; null for a panorama and a fisheye."
    )
    fisheye: FisheyeLens | None = Field(
        default=None, description="In px of the depth map; null for a perspective camera and a panorama."
    )
    pose: Pose

    @model_validator(mode="after")
    def _consistent(self) -> DepthMessage:
        if self.valid_fraction > 0:
            _check_scale(self.scale, self.metric, self.relative)
        return self


# Layout ---------------------------------------------------------------------------------------------------------------


class MetricWall(Part):
    """One wall, seen from inside. `plane` is [nx, ny, nz, d] with n inwards, n . p + d = 0 on the wall, d in metres."""

    start_m: Vector2
    end_m: Vector2
    length_m: Positive
    plane: Plane
    confidence: Fraction | None = Field(default=None, description="Mean of what shows it; null: seen by no column.")


class RelativeWall(Part):
    """One wall in camera heights. `plane` as for a metric wall."""

    start: Vector2
    end: Vector2
    length: Positive
    plane: Plane
    confidence: Fraction | None = Field(default=None, description="As for a metric wall.")


class MetricRoom(Part):
    """Sizes in metres. The polygon is counter-clockwise seen from above; walls leave out where the view is cut off."""

    ceiling_height_m: Positive
    camera_height_m: Positive
    area_m2: Positive
    volume_m3: Positive
    polygon_m: tuple[Vector2, ...] = Field(min_length=3)
    walls: tuple[MetricWall, ...]


class RelativeRoom(Part):
    """Sizes in heights of the camera above the floor, which is not known."""

    ceiling_height: Positive
    area: Positive
    volume: Positive
    polygon: tuple[Vector2, ...] = Field(min_length=3)
    walls: tuple[RelativeWall, ...]


class Boundary(Part):
    """What the network saw in each panorama column, left to right over 360 degrees, before any fitting."""

    ceiling_rad: tuple[Latitude | None, ...] = Field(
        min_length=1, max_length=MAX_COLUMNS, description="Latitude of the ceiling edge; null where it is not seen."
    )
    floor_rad: tuple[Latitude | None, ...] = Field(
        min_length=1, max_length=MAX_COLUMNS, description="Latitude of the floor edge; null where it is not seen."
    )
    corner_probability: tuple[Fraction, ...] = Columns
    confidence: tuple[Fraction, ...] = Columns

    @model_validator(mode="after")
    def _same_width(self) -> Boundary:
        widths = {len(self.ceiling_rad), len(self.floor_rad), len(self.corner_probability), len(self.confidence)}
        if len(widths) != 1:
            raise ValueError(f"the four lists of a boundary have one value per column, got lengths {sorted(widths)}")
        return self


class OpeningInWall(Part):
    """A door, a window, or an opening without a leaf. Azimuth: 0 = forward, positive to the right."""

    kind: OpeningKind
    left_deg: float = Field(ge=-180, le=180, description="Azimuth of its left end; it goes to the right from here.")
    right_deg: float = Field(ge=-180, le=180)
    wall: Count = Field(description="Which wall of the polygon it is in, from corner `wall` to the next.")
    width_m: Positive | None = Field(description="Null where the camera's height is not known.")
    sill_m: NonNegative | None = Field(default=None, description="Of its lower edge; null: not known.")
    height_m: Positive | None = Field(default=None, description="From its lower to its upper edge; null: not known.")
    confidence: Fraction
    source: OpeningSource = Field(default="found", description="By the model, or configured.")


class LayoutMessage(Result):
    """The room's shell. `extent` room: all of it; visible: what a perspective camera sees, closed at the camera."""

    schema_: Literal["edge.layout/1"] = Field(default="edge.layout/1", alias="schema")
    scale: Scale
    extent: Literal["room", "visible"]
    fit: Fit
    fit_reason: str
    confidence: Fraction
    corners: Count
    metric: MetricRoom | None
    relative: RelativeRoom | None
    boundary: Boundary
    openings: tuple[OpeningInWall, ...] | None = Field(
        default=None, description="From left to right; null: nobody looks for them."
    )

    @model_validator(mode="after")
    def _consistent(self) -> LayoutMessage:
        _check_scale(self.scale, self.metric, self.relative)
        return self


# Lighting -------------------------------------------------------------------------------------------------------------


class DominantLight(Part):
    """The direction most light comes from. Azimuth: 0 = forward, positive to the right; elevation: positive upwards."""

    direction: Vector3
    azimuth_deg: float = Field(ge=-180, le=180)
    elevation_deg: float = Field(ge=-90, le=90)
    strength: Fraction = Field(description="0: light from everywhere alike; 1: as directional as order 1 can say.")


class Ambient(Part):
    """Mean radiance over the sphere, linear, in units of the picture's white."""

    rgb: Vector3
    level: float = Field(description="Rec. 709 luminance of `rgb`.")
    colour_temperature_k: Positive | None = Field(
        description="Correlated colour temperature of `rgb`, as the camera's white balance left it; null where none is "
        "defined: no light, or a colour far from that of any glowing body."
    )


class LightingMessage(Result):
    """Ambient light: nine coefficients of three colours (rows as in `names`, columns R, G, B)."""

    schema_: Literal["edge.lighting/1"] = Field(default="edge.lighting/1", alias="schema")
    convention: Name = Field(description="Pre-scaled irradiance as filament's cmgen writes it, in the room's axes.")
    names: tuple[str, ...] = Field(min_length=9, max_length=9)
    coefficients: tuple[Vector3, ...] = Field(min_length=9, max_length=9)
    ambient: Ambient
    dominant: DominantLight

    @model_validator(mode="after")
    def _physical(self) -> LightingMessage:
        if min(self.coefficients[0]) < 0:
            raise ValueError(f"the mean light (L00) cannot be negative, got {self.coefficients[0]}")
        return self


# State and the bridge -------------------------------------------------------------------------------------------------


class CameraState(Message):
    """Whether a camera delivers: frozen means that its pictures stopped changing."""

    schema_: Literal["edge.camera_state/1"] = Field(default="edge.camera_state/1", alias="schema")
    device: Name
    camera: Name
    state: Literal["online", "stalled", "frozen", "offline"]
    since: Timestamp
    error: str | None = Field(default=None, description="The last error, also after it passed.")


class BridgeState(Message):
    """Whether the daemon is there."""

    state: Literal["online", "offline"]


class Percentiles(Part):
    """Median and 99th percentile."""

    p50: NonNegative
    p99: NonNegative


class TaskHealth(Part):
    """How one task of one camera went since the last health message."""

    camera: Name
    task: Task
    rate_hz: NonNegative
    latency_ms: Percentiles | None = Field(description="Capture to message; null if there was none.")


class BrokerHealth(Part):
    """How publishing goes, in messages since the start.

    Each has one fate: `offered` + `restored` = `confirmed` + `written` + the messages in `dropped` + `queued` +
    `spooled`. What is repeated on a new connection, and the probe, is not counted.
    """

    protocol: Literal["5", "3.1.1"] | None
    reconnects: Count
    offered: Count = Field(description="That were to be published, this message included.")
    restored: Count = Field(description="Of earlier runs, that waited on the disk.")
    confirmed: Count = Field(description="Taken by the broker (QoS 1).")
    written: Count = Field(description="Written to the network (QoS 0).")
    published: Count = Field(description="`confirmed` and `written` together.")
    published_bytes: Count
    queued: Count = Field(description="That wait in memory, or are on their way, this message included.")
    spooled: Count = Field(description="That wait on the disk alone.")
    spool_bytes: Count = Field(description="On the disk, copies of what is on its way included.")
    spool_oldest_s: NonNegative | None = Field(
        default=None, description="For how long the oldest there has waited, without the time that it was switched off."
    )


class BridgeHealth(Message):
    """How the daemon is. `dropped` counts since the start, by reason.

    Of messages: `superseded` (a newer one of its retained topic came first), `expired` (too old), `queue_full` and
    `spool_full` (the oldest beyond the bound in memory, on the disk), `spool_damaged`, `not_ours`, `connection_lost`
    (QoS 0, on its way), `refused` (by the broker), `too_large`, `held_back`, `invalid`, `unsendable`. Of frames:
    `stale` and `inference too slow`. Of pictures for review: `review_full` (the oldest, for a newer one),
    `review_expired`, `review_refused` (by the disk).
    """

    schema_: Literal["edge.health/1"] = Field(default="edge.health/1", alias="schema")
    device: Name
    at: Timestamp
    uptime_s: NonNegative
    tasks: tuple[TaskHealth, ...]
    broker: BrokerHealth
    dropped: dict[str, Count]
    memory_bytes: Count
    temperature_celsius: float | None = Field(description="The hottest zone's.")
    machine: MachineHealth | None = Field(default=None, description="Null from versions before 0.3.")
    degraded: tuple[str, ...]
    trial: ModelTrial | None = Field(default=None, description="Of a model that was newly installed, while it goes on.")


class BridgeEvent(Message):
    """Something that happened once. `type` is a stable word, `message` is for people."""

    schema_: Literal["edge.event/1"] = Field(default="edge.event/1", alias="schema")
    device: Name
    at: Timestamp
    type: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    camera: str | None = None
    message: str
    data: dict[str, Any] = Field(default_factory=dict)


class BridgeProbe(Message):
    """Says nothing: its confirmation tells the daemon that the broker is there."""

    schema_: Literal["edge.probe/1"] = Field(default="edge.probe/1", alias="schema")


class Request(BaseModel):
    """A request: an object whose members are the verb's arguments, or nothing at all."""

    model_config = ConfigDict(extra="allow", frozen=True, title="Request")

    transaction: Annotated[str, Field(max_length=256)] | Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        default=None, description="Returned unchanged in the response."
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """All members but `transaction`."""
        return dict(self.model_extra or {})


class Response(Message):
    """The answer to a request."""

    status: Literal["ok", "error"]
    data: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    transaction: str | int | None = None


MESSAGES: dict[Kind, type[Message] | type[Request]] = {
    "bridge_state": BridgeState,
    "bridge_info": BridgeInfo,
    "bridge_health": BridgeHealth,
    "bridge_event": BridgeEvent,
    "bridge_probe": BridgeProbe,
    "request": Request,
    "response": Response,
    "camera_state": CameraState,
    "depth": DepthMessage,
    "layout": LayoutMessage,
    "lighting": LightingMessage,
    "heat_loss": HeatLossMessage,
    "drift": DriftMessage,
    "objects": ObjectsMessage,
    "discovery": DiscoveryMessage,
    "home": HomeMessage,
}
"""The model of each kind of topic that carries JSON."""

_SCHEMA = re.compile(r"^edge\.[a-z_]+/\d+$")


def schema_name(message: Message) -> str | None:
    """The message's own name of its schema, such as "edge.depth/1"; None for those that have none."""
    name = getattr(message, "schema_", None)
    return name if isinstance(name, str) and _SCHEMA.match(name) else None
