"""config.yaml as values: what may stand in it, what each key means, and where a mistake stands.

`load_config` reports every problem it finds, each with file, line, dotted key and remedy. Relative paths count from the
folder of the configuration file. Only `edge.daemon` and `edge.commands` read these classes; every other part takes
plain arguments.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from edge.config.broker import MqttConfig
from edge.config.cameras import CameraConfig
from edge.config.drift import DriftConfig
from edge.config.file import ConfigFile
from edge.config.heat import HeatConfig
from edge.config.home_assistant import HomeAssistantConfig
from edge.config.http import HttpConfig
from edge.config.models import ModelsConfig
from edge.config.objects import ObjectsConfig
from edge.config.record import RecordConfig
from edge.config.requests import RequestsConfig
from edge.config.review import ReviewConfig
from edge.config.scene import SceneConfig
from edge.config.values import (
    ExistingFolder,
    Name,
    PathToMake,
    Positive,
    Section,
    problem,
)
from edge.errors import ConfigErrors
from edge.inference.installed import InstalledModels
from edge.inference.options import BackendName, BuildOptions, Compatibility, InferenceOptions, PrecisionChoice
from edge.inference.store import ModelStore
from edge.scene import TASKS, Task


class DeviceConfig(Section):
    """Who this device is on the broker."""

    name: Name = Field(
        default_factory=lambda: re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname()).strip("-_")[:64] or "edge",
        description="name in every topic and message; unique on the broker; default: the host name",
    )
    base_topic: Name = Field(default="edge", description="first level of every topic: <base_topic>/<name>/...")


class _TaskConfig(Section):
    engine: Name
    smoothing_s: float
    deadline_s: Positive = Field(default=5.0, description="a picture older than this is not inferred any more, s")
    every_s: Positive | None = None
    every_frames: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="run on every n-th picture; instead of every_s"
    )

    @model_validator(mode="before")
    @classmethod
    def _frames_replace_seconds(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("every_frames") is not None and "every_s" not in data:
            return {**data, "every_s": None}
        return data

    @model_validator(mode="after")
    def _one_cadence(self) -> _TaskConfig:
        if (self.every_s is None) == (self.every_frames is None):
            raise problem("needs exactly one of every_s and every_frames", "Remove one of them", "every_frames")
        return self

    def reader_options(self) -> dict[str, Any]:
        """What the noun's reader takes beside the model and the camera."""
        return {"smoothing_s": self.smoothing_s}


class DepthConfig(_TaskConfig):
    """Distance of every pixel."""

    engine: Name = Field(default="depth", description="folder of the engine below inference.engines")
    every_s: Positive | None = Field(default=0.5, description="shortest time between two results of a camera, s")
    smoothing_s: float = Field(default=0.0, ge=0, description="time constant of the smoothing, s; 0 = none")
    scale_smoothing_s: float = Field(
        default=10.0,
        ge=0,
        description="time constant of the smoothing of a whole map's scale, s, for a camera that stays; 0 = none",
    )
    image: bool = Field(default=True, description="publish the depth picture too, not only its statistics")

    def reader_options(self) -> dict[str, Any]:
        """Beside the smoothing of pixels, that of the scale."""
        return super().reader_options() | {"scale_smoothing_s": self.scale_smoothing_s}


class LayoutConfig(_TaskConfig):
    """Walls, floor and ceiling."""

    engine: Name = Field(default="layout", description="folder of the engine below inference.engines")
    every_s: Positive | None = Field(default=2.0, description="shortest time between two results of a camera, s")
    smoothing_s: float = Field(default=5.0, ge=0, description="time constant of the smoothing, s; 0 = none")
    fit: Literal["auto", "manhattan", "general", "raw"] = Field(
        default="auto", description="polygon: square corners where they fit (auto), always, never, or just the boundary"
    )

    def reader_options(self) -> dict[str, Any]:
        """Beside the smoothing, how walls are fitted."""
        return super().reader_options() | {"fit": self.fit}


class LightingConfig(_TaskConfig):
    """Ambient light and its main direction."""

    engine: Name = Field(default="lighting", description="folder of the engine below inference.engines")
    every_s: Positive | None = Field(default=0.5, description="shortest time between two results of a camera, s")
    smoothing_s: float = Field(default=1.0, ge=0, description="time constant of the smoothing, s; 0 = none")


class TasksConfig(Section):
    """How often each task runs and how it is smoothed."""

    depth: DepthConfig = Field(default_factory=DepthConfig)
    layout: LayoutConfig = Field(default_factory=LayoutConfig)
    lighting: LightingConfig = Field(default_factory=LightingConfig)

    objects: ObjectsConfig = Field(default_factory=ObjectsConfig)

    def __getitem__(self, task: Task) -> _TaskConfig:
        """The settings of one task."""
        settings: _TaskConfig = getattr(self, task)
        return settings


class SceneCutConfig(Section):
    """When the view changed so much that smoothing starts anew."""

    threshold: float = Field(
        default=0.15, gt=0, le=1, description="mean change of the picture, 0..1 of its range; 1 = never"
    )


class BuildConfig(Section):
    """How TensorRT builds engines on this device."""

    level: int = Field(default=3, ge=0, le=5, description="0..5: longer to build, faster to run")
    workspace_mib: int = Field(default=1024, ge=16, description="largest scratch memory of a layer, MiB")
    opt_batch: int = Field(default=1, ge=1, le=64, description="the batch that kernels are chosen for")
    dla_core: int | None = Field(
        default=None, ge=0, le=3, description="run what can on this deep-learning accelerator (Orin); null: the GPU"
    )
    compatibility: Compatibility = Field(
        default="none", description="other GPUs that an engine may run on; costs speed, not for Jetsons"
    )
    timeout_s: Positive = Field(default=1800.0, description="a build that takes longer is ended, s")


class InferenceConfig(Section):
    """What runs the networks."""

    backend: BackendName = Field(
        default="auto",
        description="auto: TensorRT, ONNX Runtime with TensorRT, with CUDA, on the CPU, the first that works; ort: the "
        "same without the first; or one of them, which falls back to those after it and says so",
    )
    precision: PrecisionChoice = Field(
        default="auto",
        description="auto: the fastest known for what serves; or fp32, fp16, int8, where the model has it",
    )
    max_batch: int = Field(
        default=8, ge=1, le=64, description="most pictures of several cameras in one inference on a GPU"
    )
    cuda_graph: bool = Field(default=True, description="replay captured GPU work where cuda-bindings is installed")
    plans: PathToMake | None = Field(
        default=None, description="folder of the engines that TensorRT built; null: beside the models"
    )
    plan_key: PathToMake | None = Field(
        default=None, description="file with this device's key, which signs them; null: device.key in that folder"
    )
    build: BuildConfig = Field(default_factory=BuildConfig)
    threads: int = Field(
        default=0, ge=0, le=256, description="CPU threads of a network; 0 = one per core, but one is left to all else"
    )
    engines: ExistingFolder = Field(
        default="engines", validate_default=True, description="folder with one folder per engine"
    )

    @model_validator(mode="after")
    def _opt_within(self) -> InferenceConfig:
        if self.build.opt_batch > self.max_batch:
            raise problem("build.opt_batch is above max_batch", "Lower it, or raise max_batch", "build", "opt_batch")
        return self

    def options(self) -> InferenceOptions:
        """The same as plain values for the inference parts."""
        build = BuildOptions(max_batch=self.max_batch, **self.build.model_dump())
        return InferenceOptions(
            backend=self.backend,
            precision=self.precision,
            threads=self.threads,
            plans=self.plans,
            plan_key=self.plan_key,
            cuda_graph=self.cuda_graph,
            build=build,
        )


class HealthConfig(Section):
    """The message on bridge/health."""

    every_s: float = Field(default=30.0, ge=1, le=3600, description="time between two messages, s")


class LogConfig(Section):
    """What is written to stderr (the journal under systemd)."""

    level: Literal["debug", "info", "warning", "error"] = "info"


def _names_differ(cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
    first: dict[str, int] = {}
    for index, camera in enumerate(cameras):
        if first.setdefault(camera.name, index) != index:
            taken = f"{camera.name!r} is already the name of cameras[{first[camera.name]}]"
            raise problem(taken, "Give each camera a name of its own", index, "name")
    return cameras


class Config(Section):
    """The whole of config.yaml."""

    device: DeviceConfig = Field(default_factory=DeviceConfig)
    cameras: Annotated[tuple[CameraConfig, ...], Field(min_length=1, strict=False), AfterValidator(_names_differ)] = (
        Field(description="the cameras of this device, at least one")
    )
    tasks: TasksConfig = Field(default_factory=TasksConfig)
    scene_cut: SceneCutConfig = Field(default_factory=SceneCutConfig)
    inference: InferenceConfig = Field(default={}, validate_default=True)
    models: ModelsConfig = Field(default={}, validate_default=True)
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    requests: RequestsConfig = Field(default={}, validate_default=True)
    review: ReviewConfig = Field(default_factory=ReviewConfig)
    record: RecordConfig = Field(default_factory=RecordConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)
    home_assistant: HomeAssistantConfig = Field(default_factory=HomeAssistantConfig)
    scene: SceneConfig = Field(default_factory=SceneConfig)
    health: HealthConfig = Field(default_factory=HealthConfig)
    http: HttpConfig = Field(default_factory=HttpConfig)
    heat: HeatConfig = Field(default_factory=HeatConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    @model_validator(mode="after")
    def _objects_have_an_engine(self) -> Config:
        named = next((i for i, camera in enumerate(self.cameras) if camera.objects), None)
        if named is not None and self.tasks.objects.engine is None:
            remedy = "Set tasks.objects.engine to a model of objects"
            raise problem("no engine reconstructs objects", remedy, "cameras", named, "objects")
        return self

    def model_store(self) -> ModelStore:
        """The models of this device: those installed on it come before those that came with the program."""
        return ModelStore(self.inference.engines, InstalledModels(self.models.folder))

    def engines(self) -> dict[Task, str]:
        """The model's folder of every task that a camera has."""
        return {task: self.tasks[task].engine for task in TASKS if any(task in c.tasks for c in self.cameras)}

    def engine_names(self) -> tuple[str, ...]:
        """Every model's folder that is in use, that of objects too; each once."""
        objects = self.tasks.objects.engine
        return tuple(dict.fromkeys([*self.engines().values(), *([] if objects is None else [objects])]))


def config_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of config.yaml; the committed copy is `edge/config/config.schema.json`."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | Config.model_json_schema() | {"title": "Configuration of the edge daemon"}


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigErrors: something is wrong with what it says; the message has one line per problem.
        ConfigError: it is missing, unreadable or not YAML.
    """
    path = path.absolute()
    file = ConfigFile.read(path, Config)
    try:
        config = Config.model_validate(file.data, context={"folder": path.parent})
    except ValidationError as error:
        raise ConfigErrors([*file.duplicates, *file.problems(error, Config)]) from error
    if file.duplicates:
        raise ConfigErrors(file.duplicates)
    return config
