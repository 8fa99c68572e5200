"""The requests: what each verb does, what it takes, what it answers, and how soon.

The schemas and the AsyncAPI document are made from these models; `edge.publish.requests` checks arguments by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from edge.mqtt.messages import BridgeHealth, BridgeInfo, DepthMessage, LayoutMessage, LightingMessage, TaskSettings
from edge.mqtt.objects_message import Box, Class, ObjectInRoom, Polygon
from edge.mqtt.values import Count, Name, NonNegative, Part, Timestamp
from edge.scene import Task

CameraName = Annotated[str, Field(min_length=1, max_length=64, description="A camera of the configuration.")]
EngineName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Arguments(Part):
    """The members of a request beside `transaction`: all of a verb's, and no others."""

    model_config = ConfigDict(strict=True)


class NoArguments(Arguments):
    """There are none."""


class Nothing(Part):
    """The data of an error."""


class Pong(Part):
    """The daemon is there."""

    device: Name
    version: Name
    at: Timestamp
    uptime_s: NonNegative


class SnapshotArguments(Arguments):
    """Which camera, and how large its picture may be."""

    camera: CameraName
    picture: bool = Field(default=True, description="Whether the answer has the picture, and not only its results.")
    width_px: int = Field(default=960, ge=64, le=1920, description="Of the picture at most; its shape stays.")
    quality: int = Field(default=80, ge=10, le=95, description="Of the JPEG.")


class Picture(Part):
    """A JPEG, in base64."""

    content_type: Literal["image/jpeg"] = "image/jpeg"
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    data: str = Field(max_length=4 * 2**20, description="Base64.")


class Snapshot(Part):
    """One frame, taken and inferred after it was asked for. Its results also go on their own topics, as all do."""

    camera: Name
    frame: Count
    captured_at: Timestamp
    picture: Picture | None
    depth: DepthMessage | None = None
    layout: LayoutMessage | None = None
    lighting: LightingMessage | None = None
    failed: dict[Task, str] = Field(default_factory=dict, description="Why a task of the camera has no result.")


class SetArguments(Arguments):
    """What to change of one task of one camera; what is left out stays, null is the configuration's again."""

    camera: CameraName
    task: Task
    enabled: bool | None = Field(default=None, description="Whether the task runs.")
    every_s: float | None = Field(
        default=None,
        ge=0.02,
        le=86400,
        description="Shortest time between two results, also where the configuration counts frames.",
    )

    @model_validator(mode="after")
    def _something(self) -> SetArguments:
        if not self.model_fields_set & {"enabled", "every_s"}:
            raise ValueError("nothing to set; give enabled, every_s or both, null for what the configuration says")
        return self


class SetAnswer(Part):
    """How the task runs from now on, over restarts too."""

    camera: Name
    task: Task
    settings: TaskSettings


class ReloadAnswer(Part):
    """What came of reading the configuration again."""

    applied: tuple[str, ...] = Field(description="Keys whose new values hold from now on.")
    restart_required: tuple[str, ...] = Field(description="Keys that changed and hold after the next start.")


class CameraArguments(Arguments):
    """Which camera."""

    camera: CameraName


class CameraAnswer(Part):
    """Its capture was ended and starts again; `<camera>/state` tells the rest."""

    camera: Name


class BuildArguments(Arguments):
    """What to build; with nothing, what the cameras use and is not there."""

    engine: EngineName | None = Field(default=None, description="A folder of inference.engines.")
    precision: Literal["auto", "fp32", "fp16", "int8"] | None = Field(
        default=None, description="null: the configuration's."
    )
    force: bool = Field(default=False, description="Build also what is there, or was rejected.")


class BuildAnswer(Part):
    """It was begun; the event `engine_build_done` or `engine_build_failed` tells its end. The next start uses it."""

    accepted: Literal[True] = True
    engine: str | None


class RollbackArguments(Arguments):
    """Whose current plan is rejected."""

    engine: EngineName


class RollbackAnswer(Part):
    """What serves from the next start on."""

    engine: Name
    message: str


class InstallArguments(Arguments):
    """Which package, and what it must be."""

    url: str = Field(max_length=2048, pattern=r"^https://[^\s]+$", description="Below one of models.sources.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the whole file.")
    signature: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9+/]{86}==$", description="Ed25519, base64; null: `<url>.sig` is fetched."
    )


class InstallAnswer(Part):
    """It was begun; the event `engine_install_done` or `engine_install_failed` tells its end, `model_...` the rest."""

    accepted: Literal[True] = True


class FlagArguments(Arguments):
    """Which camera's current picture is kept for review, and why."""

    camera: CameraName
    note: str = Field(default="", max_length=500)


class FlagAnswer(Part):
    """Where it is kept, below the folder of the configuration."""

    camera: Name
    frame: Count
    entry: Name


class ObjectsArguments(Arguments):
    """Which thing: by a box around it, or by its outline; or that all of the camera's are forgotten."""

    camera: CameraName
    box: Box | None = Field(default=None, description="Left, top, right, bottom, in fractions of the picture's size.")
    polygon: Polygon | None = Field(default=None, description="Its outline, corners in the same fractions.")
    class_: Class | None = Field(default=None, alias="class", description="What to call it.")
    forget: bool = Field(default=False, description="Forget all that were reconstructed of this camera.")

    @model_validator(mode="after")
    def _one_of_them(self) -> ObjectsArguments:
        if (self.box is not None) + (self.polygon is not None) + self.forget != 1:
            raise ValueError("give exactly one of box, polygon and forget: true")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box is left, top, right, bottom: left is less than right, top less than bottom")
        return self


class ObjectsAnswer(Part):
    """What came of it; the list and the meshes are on `<camera>/objects` and `<camera>/objects/model`."""

    camera: Name
    object: ObjectInRoom | None = Field(description="null: all were forgotten.")
    count: Count = Field(description="How many of the camera's are kept.")


Lane = Literal["quick", "look", "change"]
"""Requests of one lane are carried out one after the other: those that wait for nothing; that wait for a picture; that
change something."""
LANES: tuple[Lane, ...] = get_args(Lane)


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be asked for."""

    summary: str
    arguments: type[Arguments]
    answer: type[Part]
    within_s: float
    """An answer comes in this time, if only an error."""
    lane: Lane = "quick"
    once: bool = False
    """It changes something: a request with the same transaction is answered again and not carried out again."""


VerbName = Literal[
    "ping",
    "info",
    "health",
    "snapshot",
    "set",
    "reload",
    "restart-camera",
    "engine/build",
    "engine/rollback",
    "engine/install",
    "flag",
    "baseline",
    "objects",
]
VERBS: Mapping[str, Verb] = {
    "ping": Verb("Is the daemon there?", NoArguments, Pong, 2.0),
    "info": Verb(
        "What it runs, as on bridge/info, with all that was measured of its models.", NoArguments, BridgeInfo, 5.0
    ),
    "health": Verb("How it is, as on bridge/health, without rates.", NoArguments, BridgeHealth, 5.0),
    "snapshot": Verb(
        "A camera's picture and everything inferred from it, now.", SnapshotArguments, Snapshot, 15.0, "look"
    ),
    "set": Verb(
        "Switch a task of a camera on or off, or change how often it runs.",
        SetArguments,
        SetAnswer,
        10.0,
        "change",
        True,
    ),
    "reload": Verb("Read the configuration again.", NoArguments, ReloadAnswer, 30.0, "change", True),
    "restart-camera": Verb(
        "End a camera's capture and start it again.", CameraArguments, CameraAnswer, 10.0, "change", True
    ),
    "engine/build": Verb(
        "Build what TensorRT runs; answered when it is begun.", BuildArguments, BuildAnswer, 10.0, "change", True
    ),
    "engine/rollback": Verb(
        "Reject an engine's current plan.", RollbackArguments, RollbackAnswer, 60.0, "change", True
    ),
    "engine/install": Verb(
        "Fetch a model's package and try it beside the one that serves; answered when it is begun.",
        InstallArguments,
        InstallAnswer,
        10.0,
        "change",
        True,
    ),
    "flag": Verb("Keep a camera's picture and results for review.", FlagArguments, FlagAnswer, 15.0, "look", True),
    "baseline": Verb(
        "Learn anew what is usual of a camera, to tell drift by.", CameraArguments, CameraAnswer, 5.0, "quick", True
    ),
    "objects": Verb(
        "Reconstruct one thing that a camera sees, from a box or an outline around it.",
        ObjectsArguments,
        ObjectsAnswer,
        30.0,
        "look",
        True,
    ),
}
"""Every request there is, by what follows `request/`."""

READ_ONLY: tuple[VerbName, ...] = ("ping", "info", "health", "snapshot")
"""Allowed unless the configuration says otherwise."""
