"""The manifest: the only place that says what a model takes, what it gives and where it came from.

`engines/<name>/manifest.json` stands beside `model.onnx`. Nothing else in the code knows a model's size, colour order,
normalisation or output meaning, so another party's ONNX runs by writing one of these.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ManifestError, explain
from edge.inference.reference import Reference
from edge.scene import TASKS, Noun, Task

MANIFEST_FILE = "manifest.json"

_Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
_IDENTITY: _Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Size = Annotated[int, Field(ge=8, le=8192)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileRef(_Part):
    """A file beside the manifest and the sha256 of its bytes."""

    file: FileName
    sha256: Sha256


class InputSpec(_Part):
    """How a picture becomes the network's input tensor (1, C, H, W) float32."""

    name: str = Field(description="name of the ONNX input")
    width_px: Size
    height_px: Size
    colour: Literal["rgb", "bgr"] = Field(default="rgb", description="order of the first three channels")
    scale: float = Field(default=1 / 255, gt=0, description="factor from 0..255 to the range that mean and std are in")
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (
        1.0,
        1.0,
        1.0,
    )
    resize: Literal["stretch"] = Field(default="stretch", description="the whole picture, stretched to width x height")
    projection: Literal["perspective", "equirectangular"]
    mask_channel: bool = Field(
        default=False,
        description="a fourth channel, 1 where the camera sees and 0 elsewhere (where the colours are 0 too)",
    )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, C, H, W)."""
        return (1, 4 if self.mask_channel else 3, self.height_px, self.width_px)


LayoutSign = Literal[
    "agreement",
    "weakest",
    "roughness",
    "area",
    "nearest",
    "ceiling",
    "corners",
    "unfitted",
    "spread",
    "openings",
    "seen",
]
DepthSign = Literal["spread", "near", "far"]


class Doubt(_Part):
    """What a reader's signs of doubt have meant on held-out pictures: bias + sum of weight x sign."""

    bias: float
    pictures: int = Field(ge=1, description="how many it was learnt on, none of which the network learnt from")
    data: str = Field(description="which")


class LayoutConfidence(Doubt):
    """Expected 2D IoU of a layout with the true room: the logistic function of the sum."""

    weights: dict[LayoutSign, float] = Field(description="of the signs that `edge.perception.doubt` reads")


class DepthConfidence(Doubt):
    """Expected mean relative error of a depth map: the exponential function of the sum."""

    weights: dict[DepthSign, float] = Field(description="of the signs that `edge.perception.depth` reads")


class DepthMetres(_Part):
    """Depth in metres: z on a perspective input, range on an equirectangular one. Tensor (1, 1, h, w)."""

    kind: Literal["depth_metres"]
    depth: str = Field(description="name of the ONNX output")
    canonical_focal_px: float | None = Field(
        default=None,
        gt=0,
        description="if set, the output is for a lens of this focal length at input size: z = output x f / canonical",
    )
    spread: str | None = Field(
        default=None, description="name of the ONNX output with the error expected of ln(depth), as large as the depth"
    )
    confidence: DepthConfidence | None = None


class InverseDepthRelative(_Part):
    """Inverse depth up to an unknown scale and shift (MiDaS, Depth Anything). Tensor (1, h, w) or (1, 1, h, w)."""

    kind: Literal["inverse_depth_relative"]
    inverse_depth: str = Field(description="name of the ONNX output")


class BoundaryCorners(_Part):
    """HorizonNet's output: latitudes in rad, positive DOWN, (1, 2, W) ceiling then floor; corner logits (1, 1, W)."""

    kind: Literal["boundary_corners"]
    boundary: str = Field(description="name of the ONNX output with the latitudes")
    corners: str = Field(description="name of the ONNX output with the corner logits")
    openings: str | None = Field(
        default=None, description="name of the ONNX output with the logits of door, window and opening, (1, 3, W)"
    )
    extended: str | None = Field(
        default=None, description="name of the ONNX output with the boundary as seen through openings, (1, 2, W)"
    )
    spread: str | None = Field(
        default=None, description="name of the ONNX output with the error expected of the boundary, rad, (1, 2, W)"
    )
    confidence: LayoutConfidence | None = None


class HorizonDepth(_Part):
    """LGT-Net's output: how far each column's wall is on the floor, and how high the ceiling, in camera heights."""

    kind: Literal["horizon_depth"]
    distance: str = Field(description="name of the ONNX output with horizontal distances, (1, W) or (1, 1, W)")
    ratio: str = Field(description="name of the ONNX output with the ceiling's height above the camera, (1, 1)")


class Sh2PrescaledIrradiance(_Part):
    """27 numbers, 9 coefficients x (R, G, B) interleaved, as cmgen writes pre-scaled irradiance."""

    kind: Literal["sh2_prescaled_irradiance"]
    coefficients: str = Field(description="name of the ONNX output, (1, 27) or (1, 9, 3)")
    colour: Literal["rgb", "bgr"] = "rgb"
    room_from_model: _Matrix3 = Field(
        default=_IDENTITY,
        description="matrix from the model's axes to the room's (x right, y forward, z up); may mirror",
    )


class ObjectGrid(_Part):
    """One object as a grid over a cube: how likely each cell is filled, and its colour; axes x, y, z in that order.

    The input is the object's own square cut-out with its mask as fourth channel (`edge.perception.objects`).
    """

    kind: Literal["object_grid"]
    occupancy: str = Field(description="name of the ONNX output with the probabilities 0..1, (1, 1, N, N, N)")
    colour: str = Field(description="name of the ONNX output with sRGB colours 0..1, (1, 3, N, N, N)")
    level: float = Field(default=0.5, gt=0, lt=1, description="a cell that is likelier filled than this is")
    extent: float = Field(default=1.0, gt=0, description="side of the cube, whose centre is the origin")
    frame: Literal["canonical_y_up"] = Field(
        default="canonical_y_up", description="axes of the cube: y up, the object's front towards +z"
    )


NounOutput = DepthMetres | InverseDepthRelative | BoundaryCorners | HorizonDepth | Sh2PrescaledIrradiance | ObjectGrid


class JointOutputs(_Part):
    """A network that answers for several nouns at once; each part means what it would mean alone."""

    kind: Literal["joint"]
    depth: Annotated[DepthMetres | InverseDepthRelative, Field(discriminator="kind")] | None = None
    layout: Annotated[BoundaryCorners | HorizonDepth, Field(discriminator="kind")] | None = None
    lighting: Sh2PrescaledIrradiance | None = None

    @property
    def parts(self) -> dict[Task, NounOutput]:
        """By noun, in the order depth, layout, lighting."""
        return {t: part for t in TASKS if (part := getattr(self, t)) is not None}


Output = Annotated[NounOutput | JointOutputs, Field(discriminator="kind")]
TASK_KINDS = {
    "depth": {"depth_metres", "inverse_depth_relative"},
    "layout": {"boundary_corners", "horizon_depth"},
    "lighting": {"sh2_prescaled_irradiance"},
    "joint": {"joint"},
    "objects": {"object_grid"},
}
"""The kinds of output that each task's model may give."""
_NAME_FIELDS = {
    "depth_metres": ("depth", "spread"),
    "inverse_depth_relative": ("inverse_depth",),
    "boundary_corners": ("boundary", "corners", "openings", "extended", "spread"),
    "horizon_depth": ("distance", "ratio"),
    "sh2_prescaled_irradiance": ("coefficients",),
    "object_grid": ("occupancy", "colour"),
}
"""By kind, the fields that name an ONNX output."""


_Difference = Annotated[float, Field(ge=0)]


class Golden(FileRef):
    """A recorded input and the output that the exporter had (`.npz`, arrays `input:<name>`, `output:<name>`)."""

    tolerance: dict[str, _Difference] = Field(
        min_length=1, description="ONNX output name -> largest absolute difference allowed; every output that is read"
    )


Precision = Literal["fp32", "fp16", "int8", "int8-cpu"]
"""What a network's weights and activations are kept in; inputs and outputs are float32 in all.

`int8` is symmetric, as TensorRT takes it; `int8-cpu` has activations with a zero point, as CPUs run fastest.
"""


class Parity(_Part):
    """How far a file's answers are from those of the network it was exported from, in the task's own unit.

    Measured on real pictures through the device's own pre- and post-processing when the file was written.
    """

    quantity: str = Field(description="what is compared, e.g. depth, floor plan, irradiance")
    unit: str = Field(description="e.g. cm, 1 - IoU, radiance")
    difference: float = Field(ge=0, description="the worst of the pictures' means")
    tolerance: float = Field(gt=0, description="a file that differs by more is not written")
    pictures: int = Field(ge=1, description="how many were compared")


class Speed(_Part):
    """Time of this file against the float32 one, interleaved in one run."""

    provider: str = Field(description="what ran it, e.g. CPUExecutionProvider")
    machine: str = Field(description="e.g. x86_64, AVX512-VNNI, one thread")
    ratio: float = Field(gt=0, description="time of this file / time of the float32 file: below 1 this one is faster")


class Variant(FileRef):
    """The same network in another precision, in a file of its own; same input, same outputs."""

    tolerance: dict[str, _Difference] = Field(
        default_factory=dict,
        description="ONNX output name -> largest absolute difference from the golden output; else that of `golden`",
    )
    parity: tuple[Parity, ...] = ()
    speed: tuple[Speed, ...] = ()


class DataSource(_Part):
    """One source of training data or starting weights."""

    name: str
    licence: str
    used_for: str


class Metric(_Part):
    """One measured number with the data it was measured on and the trivial baseline beside it."""

    name: str
    value: float
    unit: str = ""
    data: str = Field(description="what it was measured on; never data that the model was trained on")
    baseline: float | None = Field(default=None, description="what the trivial baseline gets on the same data")
    baseline_name: str = ""


class Provenance(_Part):
    """Where the model came from: enough to make it again and to know what its numbers mean."""

    recipe: str = Field(description="path of the recipe in the repository, or a URL for another party's model")
    commit: str = Field(default="", description="git commit of the code that trained it")
    created: str = Field(description="ISO date")
    licence: str
    data: tuple[DataSource, ...] = ()
    metrics: tuple[Metric, ...] = ()


TestTimeAveraging = Literal["mirror", "mirror_and_turns"]
"""In how many ways a network is asked about one picture: 2, or 8 with quarter turns of a panorama."""

ModelTask = Noun | Literal["joint"]
"""What a model is for: one noun, or several (`joint`)."""


class Manifest(_Part):
    """`engines/<name>/manifest.json`."""

    schema_: Literal["edge.manifest/1"] = Field(default="edge.manifest/1", alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    task: ModelTask
    onnx: FileRef = Field(description="the network in float32")
    variants: dict[Literal["fp16", "int8", "int8-cpu"], Variant] = Field(
        default_factory=dict, description="the same network in other precisions"
    )
    input: InputSpec
    output: Output
    golden: Golden | None = None
    tta: TestTimeAveraging | None = Field(
        default=None,
        description="ask the network about each picture also mirrored (twice the time), or also turned by quarters (8 "
        "times; panoramas), and average its answers; of a depth or layout model",
    )
    weights: FileRef | None = Field(
        default=None, description="the trained network to learn on from; needed by nothing that serves"
    )
    parity: tuple[Parity, ...] = Field(default=(), description="of `onnx` with the network it was exported from")
    provenance: Provenance
    reference: Reference | None = Field(
        default=None, description="what the pictures it was proved on are like; none: nobody is told of unlike ones"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.output.kind not in TASK_KINDS[self.task]:
            raise ValueError(f"task {self.task} gives one of {sorted(TASK_KINDS[self.task])}, not {self.output.kind}")
        if isinstance(self.output, ObjectGrid):
            self._check_cut_out()
        elif self.task != "depth" and self.input.projection != "equirectangular":
            raise ValueError(
                f"task {self.task} takes an equirectangular picture: set input.projection to equirectangular"
            )
        if self.input.projection == "equirectangular" and self.input.width_px != 2 * self.input.height_px:
            raise ValueError("an equirectangular input is twice as wide as high")
        if isinstance(self.output, JointOutputs):
            if len(self.output.parts) < 2:
                raise ValueError(
                    "a joint model gives at least two of depth, layout and lighting; for one, set task and output to it"
                )
            if len(set(self.output_names)) < len(self.output_names):
                raise ValueError("two parts of a joint model name the same ONNX output; each has its own")
        if self.tta is not None and self.task not in ("depth", "layout"):
            raise ValueError(f"tta averages depth or layout, not {self.task}; leave it out")
        if self.tta == "mirror_and_turns" and self.input.projection == "perspective":
            raise ValueError("only panoramas can be turned; set tta to mirror")
        self._check_tolerances()
        return self

    def _check_cut_out(self) -> None:
        given = self.input
        if given.projection != "perspective" or given.width_px != given.height_px or not given.mask_channel:
            raise ValueError(
                "an object model takes a square cut-out and its mask: set input.projection to perspective, "
                "input.mask_channel to true, and input.width_px and height_px to the same"
            )
        if len(set(self.output_names)) < len(self.output_names):
            raise ValueError("output.occupancy and output.colour name the same ONNX output; each has its own")

    def _check_tolerances(self) -> None:
        """Every output that is read is compared, and nothing else: what is not compared is not proved."""
        outputs = set(self.output_names)
        if self.golden is not None and set(self.golden.tolerance) != outputs:
            raise ValueError(
                f"golden.tolerance is of {sorted(self.golden.tolerance)}, the model's outputs are {sorted(outputs)}; "
                "give each of them its own"
            )
        for precision, variant in self.variants.items():
            unknown = set(variant.tolerance) - outputs
            if unknown:
                raise ValueError(
                    f"variants.{precision}.tolerance is of {sorted(unknown)}, the model's outputs are "
                    f"{sorted(outputs)}; correct or remove it"
                )

    @property
    def parts(self) -> dict[Task, NounOutput]:
        """What the model gives of a camera's picture, by task: one, or several (`joint`).

        Empty for an object model, which is asked about cut-outs and not about pictures.
        """
        if isinstance(self.output, JointOutputs):
            return self.output.parts
        return {} if self.task == "joint" or self.task == "objects" else {self.task: self.output}

    @property
    def nouns(self) -> tuple[Noun, ...]:
        """What the model answers for; its only one is `objects` where it has no `parts`."""
        return tuple(self.parts) or ("objects",)

    def part(self, task: Task) -> Manifest:
        """The manifest as if the model gave this noun alone; `task` must be in `parts`."""
        return self.model_copy(update={"task": task, "output": self.parts[task]})

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those there are files of."""
        return ("fp32", *self.variants)

    def file_of(self, precision: Precision) -> FileRef:
        """The ONNX file in that precision, which must be in `precisions`."""
        return self.onnx if precision == "fp32" else self.variants[precision]

    def tolerance_of(self, precision: Precision) -> dict[str, float]:
        """By ONNX output, how far from the golden output that precision may be; empty without a golden pair."""
        if self.golden is None:
            return {}
        return dict(self.golden.tolerance) | ({} if precision == "fp32" else self.variants[precision].tolerance)

    def choose(self, provider: str) -> Precision:
        """The fastest precision for a provider that is known to be: a file measured faster there, else float32.

        TensorRT and CUDA are built for float16: there it needs no measurement, and only a file that was measured beside
        it comes before it.
        """
        measured = {
            precision: min(ratios)
            for precision, variant in self.variants.items()
            if (ratios := [s.ratio for s in variant.speed if s.provider == provider])
        }
        if "fp16" in self.variants and "fp16" not in measured and not provider.startswith("CPU"):
            return "fp16"
        best = min(measured, key=lambda precision: measured[precision], default=None)
        return "fp32" if best is None or measured[best] >= 1.0 else best

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the ONNX outputs that are read."""
        parts = self.output.parts.values() if isinstance(self.output, JointOutputs) else (self.output,)
        fields = [(part, name) for part in parts for name in _NAME_FIELDS[part.kind]]
        return tuple(value for part, name in fields if (value := getattr(part, name)) is not None)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as f:
        digest = hashlib.sha256()
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The validated manifest of a model folder.

    Raises:
        ManifestError: it is missing, is no JSON, or breaks the schema; the message names the key.
    """
    return read_manifest_file(folder / MANIFEST_FILE)


def read_manifest_file(path: Path) -> Manifest:
    """A validated manifest that need not stand beside its model.

    Raises:
        ManifestError: see `read_manifest`.
    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as e:
        raise ManifestError(f"{path}: cannot be read ({e.strerror}); every model needs a {MANIFEST_FILE}") from e
    except ValidationError as e:
        first = explain(e, "(whole file)")[0]
        raise ManifestError(f"{path}: {first}; see the schema printed by `edge schema manifest`") from e


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write the manifest into its folder, readable by people; returns the path."""
    path = folder / MANIFEST_FILE
    data: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
