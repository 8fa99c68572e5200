"""What a device says of itself: its cameras and how they are read, its engines, what it keeps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edge.mqtt.lens import CalibratedFisheye, CalibratedLens, Pose
from edge.mqtt.values import Message, Name, Part, Positive, Timestamp
from edge.scene import Noun, Projection, Task


class TaskSettings(Part):
    """How a task of a camera runs now: what the configuration says, or what the request `set` changed."""

    enabled: bool
    every_s: Positive | None
    every_frames: Annotated[int, Field(ge=1)] | None
    overridden: tuple[Literal["enabled", "every_s"], ...] = Field(
        default=(), description="What is not as configured; `set` with null undoes it."
    )


class CameraInfo(Part):
    """A configured camera; never its address, which may hold a password."""

    name: Name
    source: Name
    projection: Projection
    camera_height_m: Positive | None
    hfov_deg: Positive | None = Field(description="Horizontal field of view as configured; null: see `lens`.")
    lens: CalibratedLens | None = Field(description="As calibrated; null for a panorama, or where hfov_deg is given.")
    fisheye: CalibratedFisheye | None = Field(
        default=None, description="A fisheye's lens as calibrated; null for another, or where it is not calibrated."
    )
    pose: Pose
    tasks: tuple[Task, ...]
    settings: dict[Task, TaskSettings] = Field(description="By task, how it runs now.")


class EngineInfo(Part):
    """The model that serves a task, on what, and where it comes from."""

    task: Noun
    name: Name
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    backend: Name
    provenance: dict[str, Any] = Field(
        description="Where the model comes from; on bridge/info with its first metrics alone, in the response to the "
        "request `info` with all."
    )


class ReviewInfo(Part):
    """Pictures that this device keeps for somebody to look at."""

    people: Literal["removed", "blurred", "kept", "no_picture"] = Field(
        description="removed: a picture is the median of an hour; blurred: all that stands in the room is; no_picture: "
        "numbers alone are kept."
    )
    automatic: bool = Field(description="Whether also without being asked.")
    by_request: bool = Field(description="Whether the request `flag` may be sent.")
    most_days: float = Field(gt=0, description="How long one waits at most; what was labelled stays until deleted.")


class BridgeInfo(Message):
    """What this device runs."""

    schema_: Literal["edge.info/1"] = Field(default="edge.info/1", alias="schema")
    device: Name
    version: Name
    started_at: Timestamp
    run: Name = Field(description="Differs with every start: two of them at a time are two daemons of one name.")
    cameras: tuple[CameraInfo, ...]
    tasks: tuple[Task, ...]
    engines: tuple[EngineInfo, ...]
    restart_required: tuple[str, ...] = Field(
        default=(), description="Keys that changed in the configuration file and hold after the next start."
    )
    objects_by_request: bool = Field(default=False, description="Whether the request `objects` may be sent.")
    review: ReviewInfo | None = Field(default=None, description="null: no picture is kept for review.")
    config_schema: dict[str, Any] | None = Field(
        description="The JSON Schema of its configuration file; null on bridge/info, given in the response to the "
        "request `info`."
    )
