"""Recipes: one yaml per model that says everything `fit` needs but the data folders' places.

Unknown keys and wrong values are refused with the dotted key and the remedy.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import DataError
from edge.inference.manifest import InputSpec
from edge.scene import Task

Encoder = Literal["resnet18", "resnet50", "mobilenet_v2"]
Decoder = Literal["deconv2", "deconv3", "upconv", "upproj", "fast_upproj"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FcrnConfig(_Part):
    """A depth network: Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks" (2016)."""

    net: Literal["fcrn"]
    encoder: Encoder = "resnet50"
    width: Positive = 1.0
    decoder: Decoder = "upproj"
    channels: tuple[Count, Count, Count, Count, Count] | None = Field(
        default=None, description="channels entering the decoder and leaving each stage; None = the paper's halving"
    )
    skips: bool = Field(
        default=False, description="add encoder features to the decoder's stages through 1x1 convolutions"
    )
    activation: Literal["linear", "log"] = Field(default="linear", description="log: the last layer is ln(metres)")
    min_m: Positive = 0.1
    max_m: Positive = 20.0
    canonical_focal_px: Positive | None = Field(
        default=None, description="train for a lens of this focal length at the input size; other lenses rescale depth"
    )


class HorizonNetConfig(_Part):
    """A layout network: Sun et al., "HorizonNet: Learning Room Layout with 1D Representation" (2019)."""

    net: Literal["horizonnet"]
    encoder: Encoder = "resnet50"
    width: Positive = 1.0
    squeeze: Literal["published", "light"] = "published"
    hidden: Count = 512
    layers: Count = 2
    step_columns: Count = 4
    dropout: Share = 0.5


class MobileShConfig(_Part):
    """The plain lighting network: MobileNetV2 with 27 outputs."""

    net: Literal["mobilenet_sh"]
    width: Positive = 0.5


class CompletionConfig(_Part):
    """The edge lighting network: analytic projection, and a low-resolution map of what clipping and the frame hide."""

    net: Literal["completion"]
    width: Positive = 1.0
    blocks: Annotated[int, Field(ge=8, le=18)] = 11
    hidden: Count = 48


NetConfig = Annotated[FcrnConfig | HorizonNetConfig | MobileShConfig | CompletionConfig, Field(discriminator="net")]
_TASK_NETS: dict[str, set[str]] = {
    "depth": {"fcrn"},
    "layout": {"horizonnet"},
    "lighting": {"mobilenet_sh", "completion"},
}


class DataConfig(_Part):
    """What to train on. Folders come from the command line where they are not set here."""

    rooms: Path | None = Field(default=None, description="folder of rendered rooms (*.h5)")
    hdri: Path | None = Field(default=None, description="folder of .hdr environments")
    weights: Path | None = Field(default=None, description=".npz with the encoder's pretrained weights, or imagenet")
    rooms_share: Share = Field(default=1.0, description="share of samples from rendered rooms where HDRIs are used too")
    hold_out_hdri: tuple[str, ...] = Field(
        default=(), description="HDRI names (kind and ending left out) to validate on"
    )
    split_seed: int = 0
    max_rooms: Count | None = None


class AugmentConfig(_Part):
    """How samples are varied. Probabilities are 0..1; a strength of 0 switches a step off."""

    perspective_share: Share = Field(default=0.0, description="panoramas reduced to a random perspective camera's view")
    stretch: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest panorama stretch factor")
    zoom: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest crop-and-enlarge factor")
    flip: bool = True
    roll: bool = Field(default=True, description="turn panoramas about the vertical")
    photometric: Annotated[float, Field(ge=0, le=2)] = Field(default=1.0, description="strength of sensor variation")
    tilt_deg: Annotated[float, Field(ge=0, le=30)] = Field(default=0.0, description="standard deviation of camera tilt")
    blend_share: Share = Field(default=0.0, description="HDRIs mixed from two")


class OptimConfig(_Part):
    """The optimiser, its schedule and how long it runs."""

    steps: Count
    batch_size: Count = 16
    lr: Positive = 1e-3
    encoder_lr_factor: Positive = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    final_lr_factor: Share = 0.01
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    clip_norm: Positive = 5.0
    freeze_blocks: Annotated[int, Field(ge=0)] = Field(
        default=0, description="first blocks of the encoder kept as they are"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validate_every: Count = Field(default=500, description="steps between validations")
    seed: int = 0


class LossConfig(_Part):
    """Weights of the loss terms; each task reads its own."""

    berhu_on: Literal["log", "metres"] = "log"
    gradient: Annotated[float, Field(ge=0)] = 0.0
    boundary: Annotated[float, Field(ge=0)] = 1.0
    corners: Annotated[float, Field(ge=0)] = 1.0
    coefficients: Annotated[float, Field(ge=0)] = 1.0
    irradiance: Annotated[float, Field(ge=0)] = 1.0
    radiance: Annotated[float, Field(ge=0)] = 0.0


class Recipe(_Part):
    """One model: what it is, what it takes, what it learns from and how."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    task: Task
    licence: str = "Apache-2.0"
    net: NetConfig
    input: InputSpec
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.net.net not in _TASK_NETS[self.task]:
            raise ValueError(f"task {self.task} takes net: one of {sorted(_TASK_NETS[self.task])}, not {self.net.net}")
        if isinstance(self.net, CompletionConfig) and not self.input.mask_channel:
            raise ValueError("the completion network reads the mask: set input.mask_channel: true")
        return self


def _keys(model: Any) -> set[str]:
    """Every key that a recipe may hold anywhere, for suggestions."""
    found: set[str] = set()
    parts = (Recipe, FcrnConfig, HorizonNetConfig, MobileShConfig, CompletionConfig, DataConfig, AugmentConfig)
    for part in (*parts, OptimConfig, LossConfig, InputSpec):
        found.update(part.model_fields)
    return found


def _remedy(error: Any) -> str:
    """What to do about one pydantic error."""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), sorted(_keys(Recipe)), n=1)
        return f"did you mean {near[0]}?" if near else "remove it; training/config.py lists the keys"
    if error["type"] == "missing":
        return "add it; training/recipes/*.yaml show how"
    return "correct the value; training/config.py says what each key takes"


def recipe_from_mapping(data: Any, where: str) -> Recipe:
    """A validated recipe.

    Raises:
        DataError: every problem, each with its dotted key and remedy.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as e:
        lines = []
        for error in e.errors(include_url=False):
            key = ".".join(str(p) for p in error["loc"]) or "(whole recipe)"
            lines.append(f"{where}: {key}: {error['msg']}; {_remedy(error)}")
        raise DataError("\n".join(lines)) from e


def load_recipe(path: Path) -> Recipe:
    """Read and validate a recipe file.

    Raises:
        DataError: it cannot be read, is no YAML, or breaks the schema.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror}); the shipped recipes are in training/recipes") from e
    except yaml.YAMLError as e:
        raise DataError(f"{path}: is no YAML: {e}; correct the line named") from e
    return recipe_from_mapping(data, str(path))


def with_overrides(
    recipe: Recipe, *, data: dict[str, Any] | None = None, optim: dict[str, Any] | None = None
) -> Recipe:
    """The recipe with the given (not None) keys of `data` and `optim` replaced, validated again."""
    mapping = recipe.model_dump()
    for part, changes in (("data", data), ("optim", optim)):
        mapping[part].update({k: v for k, v in (changes or {}).items() if v is not None})
    return recipe_from_mapping(mapping, "command line")
