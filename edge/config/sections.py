"""config.yaml as values: what may stand in it, what each key means, and where a mistake stands.

`load_config` reports every problem it finds, each with file, line, dotted key and remedy. Relative paths count from the
folder of the configuration file. Only `edge.daemon` and `edge.commands` read these classes; every other part takes
plain arguments.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from edge.config.file import ConfigFile
from edge.config.sources import SourceConfig
from edge.config.values import (
    ExistingFile,
    ExistingFolder,
    HostName,
    Name,
    PathToMake,
    Port,
    Positive,
    SecretFile,
    Section,
    SidePx,
    problem,
)
from edge.errors import ConfigError, ConfigErrors
from edge.inference.options import BackendName, BuildOptions, Compatibility, InferenceOptions, PrecisionChoice
from edge.mqtt.link import Endpoint, TlsOptions
from edge.mqtt.topics import RESERVED_CAMERA_NAMES
from edge.scene import TASKS, CameraModel, Intrinsics, Projection, Task

_LONGEST_PASSWORD_BYTES = 65535
"""MQTT's own limit."""


class DeviceConfig(Section):
    """Who this device is on the broker."""

    name: Name = Field(
        default_factory=lambda: re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname()).strip("-_")[:64] or "edge",
        description="name in every topic and message; unique on the broker; default: the host name",
    )
    base_topic: Name = Field(default="edge", description="first level of every topic: <base_topic>/<name>/...")


class IntrinsicsConfig(Section):
    """A calibrated lens, in px of the picture size it was calibrated at; distortion as OpenCV's."""

    width_px: SidePx
    height_px: SidePx
    fx_px: Positive
    fy_px: Positive
    cx_px: Positive
    cy_px: Positive
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


class CameraConfig(Section):
    """One camera: where its pictures come from, its lens, how it hangs, what is done with it."""

    name: Name = Field(description="name in its topics; unique on this device", examples=["hall"])
    source: SourceConfig = Field(description="where the pictures come from: type replay, v4l2, rtsp, http or csi")
    projection: Projection = Field(
        default="perspective", description="perspective: an ordinary lens; equirectangular: a 360 degree panorama"
    )
    hfov_deg: float | None = Field(
        default=None,
        gt=5,
        lt=170,
        description="horizontal field of view of a perspective camera, degrees",
        examples=[75.0],
    )
    intrinsics: IntrinsicsConfig | None = Field(default=None, description="a calibrated lens, instead of hfov_deg")
    camera_height_m: float | None = Field(
        default=None, gt=0.05, le=20, description="height of the lens above the floor, m; null: nothing is metric"
    )
    yaw_deg: float = Field(
        default=0.0, ge=-360, le=360, description="direction of view, degrees, positive to the right"
    )
    pitch_deg: float = Field(default=0.0, ge=-90, le=90, description="tilt, degrees, positive upwards")
    roll_deg: float = Field(
        default=0.0,
        ge=-180,
        le=180,
        description="degrees, positive: camera turned clockwise seen from behind, verticals lean left",
    )
    tasks: Annotated[tuple[Task, ...], Field(min_length=1, strict=False)] = Field(
        default=TASKS, description="what is inferred from its pictures"
    )
    stall_timeout_s: Positive = Field(default=10.0, description="no picture for so long: the capture is restarted, s")
    frozen_after_s: Positive | None = Field(
        default=None, description="the same picture for so long is reported as frozen, s; null: not checked"
    )

    @model_validator(mode="after")
    def _lens_is_known(self) -> CameraConfig:
        lenses = [key for key in ("hfov_deg", "intrinsics") if getattr(self, key) is not None]
        if self.name in RESERVED_CAMERA_NAMES:
            raise problem(f"{self.name!r} is a topic of the bridge itself", "Choose another name", "name")
        if len(set(self.tasks)) < len(self.tasks):
            raise problem("a task is listed twice", "List each of depth, layout, lighting once", "tasks")
        if self.projection == "equirectangular" and lenses:
            raise problem("a panorama has no lens", f"Remove {lenses[0]}, or say projection: perspective", lenses[0])
        if self.projection == "perspective" and not lenses:
            remedy = (
                "Add for example `hfov_deg: 75`, or `intrinsics` of a calibration, or say projection: equirectangular"
            )
            raise problem("the field of view of a perspective camera must be known", remedy)
        if len(lenses) > 1:
            raise problem("hfov_deg and intrinsics both describe the lens", "Remove hfov_deg", "hfov_deg")
        return self

    @property
    def model(self) -> CameraModel:
        """What the perception parts need to know of the lens and its place."""
        lens = self.intrinsics
        return CameraModel(
            projection=self.projection,
            intrinsics=Intrinsics(**lens.model_dump()) if lens else None,
            hfov_rad=None if self.hfov_deg is None else math.radians(self.hfov_deg),
            camera_height_m=self.camera_height_m,
            yaw_rad=math.radians(self.yaw_deg),
            pitch_rad=math.radians(self.pitch_deg),
            roll_rad=math.radians(self.roll_deg),
        )


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
    image: bool = Field(default=True, description="publish the depth picture too, not only its statistics")


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


class TlsConfig(Section):
    """Encryption to the broker; `tls: {}` alone trusts the system's certificate authorities."""

    ca: ExistingFile | None = Field(default=None, description="PEM file of the authority that signed the broker's key")
    cert: ExistingFile | None = Field(default=None, description="PEM file of this device's certificate")
    key: SecretFile | None = Field(
        default=None,
        description="PEM file of this device's private key, not encrypted; a bare name is looked for in "
        "$CREDENTIALS_DIRECTORY first",
    )
    insecure: bool = Field(default=False, description="do not check who the broker is (tests only)")

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            missing = "cert" if self.cert is None else "key"
            raise problem("cert and key belong together", f"Add {missing}, or remove the other")
        return self


class EmbeddedBrokerConfig(Section):
    """The broker that starts with the daemon when mqtt.host is null; loopback only."""

    port: Port = Field(default=1883, description="MQTT over TCP; the next free port if it is taken")
    websocket_port: Port = Field(default=8083, description="MQTT over WebSocket; the next free port if it is taken")


class MqttConfig(Section):
    """The broker that results go to."""

    host: HostName | None = Field(
        default=None, description="name or address of the broker; null: the embedded one, on this machine only"
    )
    port: Port = Field(default=1883, description="usual: 1883, with tls 8883")
    transport: Literal["tcp", "websockets"] = "tcp"
    protocol: Literal["auto", 5, "3.1.1"] = Field(default="auto", description="auto: 5, and 3.1.1 if it is refused")
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="unique on the broker; null: made from device.name"
    )
    username: str | None = Field(default=None, json_schema_extra={"writeOnly": True})
    password: SecretStr | None = Field(default=None, description="better: password_file")
    password_file: SecretFile | None = Field(
        default=None, description="file with the password; a bare name is looked for in $CREDENTIALS_DIRECTORY first"
    )
    tls: TlsConfig | None = Field(default=None, description="null: not encrypted; {}: the system's authorities")
    max_packet_bytes: int | None = Field(
        default=None, ge=1024, description="larger messages are not sent, and said; null: the broker's own limit alone"
    )
    response_prefix: Annotated[str, Field(min_length=1, pattern=r"^[^+#]*$")] | None = Field(
        default=None,
        description="what the response topic of a request must begin with; null: <base_topic>/<name>/response/",
        examples=["clients/"],
    )
    keepalive_s: int = Field(default=30, ge=5, le=65535, description="longest silence before the broker is probed, s")
    embedded: EmbeddedBrokerConfig = Field(default_factory=EmbeddedBrokerConfig)

    @model_validator(mode="after")
    def _consistent(self) -> MqttConfig:
        if self.password is not None and self.password_file is not None:
            raise problem("password and password_file are both given", "Remove password", "password")
        secret = "password" if self.password is not None else "password_file"
        if getattr(self, secret) is not None and self.username is None:
            raise problem("a password without username", "Add username", secret)
        for key in ("username", "tls"):
            if self.host is None and getattr(self, key) is not None:
                raise problem("has no effect on the embedded broker", f"Set mqtt.host, or remove {key}", key)
        return self

    def endpoint(self) -> Endpoint:
        """How to connect to the configured broker, with the password read anew.

        Raises:
            ConfigError: no broker is configured, or the password's file cannot be read any more.
        """
        if self.host is None:
            raise ConfigError("mqtt.host", "is null, so the embedded broker serves", "Set it to a broker's name")
        return Endpoint(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.read_password(),
            tls=None if self.tls is None else TlsOptions(self.tls.ca, self.tls.cert, self.tls.key, self.tls.insecure),
            transport=self.transport,
            keepalive_s=self.keepalive_s,
            protocol="5" if self.protocol == 5 else self.protocol,
        )

    @property
    def exposure(self) -> str | None:
        """Who else may learn the password, and what to do; None where nobody does."""
        if self.host is None or (self.password is None and self.password_file is None) or _is_this_machine(self.host):
            return None
        if self.tls is None:
            return (
                f"user name and password go to {self.host} unencrypted: whoever is in between reads them; set mqtt.tls"
            )
        if self.tls.insecure:
            return f"user name and password go to whoever answers as {self.host}: set mqtt.tls.ca instead of insecure"
        return None

    def read_password(self) -> str | None:
        """The password from wherever it stands, without the line end of a file.

        Raises:
            ConfigError: the file cannot be read any more.
        """
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else None
        try:
            with self.password_file.open("rb") as file:
                data = file.read(_LONGEST_PASSWORD_BYTES + 1)
            text = data.decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            what = f"cannot read {self.password_file} ({getattr(error, 'strerror', None) or 'it is not UTF-8'})"
            raise ConfigError("mqtt.password_file", what, "Make it a readable UTF-8 file with the password") from error
        if len(data) > _LONGEST_PASSWORD_BYTES:
            what = f"{self.password_file} is longer than a password can be"
            raise ConfigError("mqtt.password_file", what, "Put the password alone into it")
        return text


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    health: HealthConfig = Field(default_factory=HealthConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    def models(self) -> dict[Task, str]:
        """The model's folder of every task that a camera has."""
        return {task: self.tasks[task].engine for task in TASKS if any(task in c.tasks for c in self.cameras)}


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
