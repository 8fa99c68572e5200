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
from edge.inference.manifest import InputSpec, ModelTask

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
    port: Literal["pytorch", "tensorflow"] = Field(
        default="pytorch",
        description="tensorflow, for the authors' released weights: strides in the encoder's 1x1 convolutions, pooling "
        "padded at the far end, interleaved kernels that reach up and left, a bias and a ReLU at the end",
    )
    enlarge: bool = Field(default=False, description="enlarge the answer to the input's size, corners aligned")


class FastDepthConfig(_Part):
    """A small depth network: Wofk et al., "FastDepth: Fast Monocular Depth Estimation on Embedded Systems" (2019)."""

    net: Literal["fast_depth"]
    encoder_channels: tuple[Count, ...] = Field(
        default=(32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024),
        min_length=14,
        max_length=14,
        description="outputs of MobileNet's blocks; pruned networks have fewer",
    )
    decoder_channels: tuple[Count, Count, Count, Count, Count] = (512, 256, 128, 64, 32)
    min_m: Positive = 0.1
    max_m: Positive = 20.0

    @model_validator(mode="after")
    def _skips_fit(self) -> FastDepthConfig:
        encoder, decoder = self.encoder_channels, self.decoder_channels
        if decoder[1:4] != (encoder[5], encoder[3], encoder[1]):
            raise ValueError(
                "decoder_channels 2 to 4 are added to the encoder's 6th, 4th and 2nd: make them equal, "
                f"here {decoder[1:4]} and {(encoder[5], encoder[3], encoder[1])}"
            )
        return self


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
    head: Literal["boundary", "horizon_depth"] = Field(
        default="boundary",
        description="horizon_depth: the walls' distances and the ceiling's height above the camera, both in camera "
        "heights, as in LGT-Net (2022)",
    )


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


class JointConfig(_Part):
    """Depth, layout and light of one panorama canvas at once: one encoder, three heads."""

    net: Literal["joint"]
    layout: HorizonNetConfig = Field(description="the layout head, and the encoder that all heads read")
    depth_channels: tuple[Count, Count, Count, Count] = Field(
        default=(96, 64, 32, 24), description="outputs of the depth head's stages, at 1/16 to 1/2 of the picture"
    )
    light_hidden: Count = Field(default=48, description="as `hidden` of the completion network")
    min_m: Positive = 0.1
    max_m: Positive = 20.0

    @property
    def encoder(self) -> Encoder:
        """Name of the encoder."""
        return self.layout.encoder

    @model_validator(mode="after")
    def _one_kind_of_layout(self) -> JointConfig:
        if self.layout.head != "boundary":
            raise ValueError(f"the joint network's layout.head is boundary, not {self.layout.head}")
        return self


NetConfig = Annotated[
    FcrnConfig | FastDepthConfig | HorizonNetConfig | MobileShConfig | CompletionConfig | JointConfig,
    Field(discriminator="net"),
]
_TASK_NETS: dict[str, set[str]] = {
    "depth": {"fcrn", "fast_depth"},
    "layout": {"horizonnet"},
    "lighting": {"mobilenet_sh", "completion"},
    "joint": {"joint"},
}


class SourceConfig(_Part):
    """A data set in its publisher's format; `training/data/sets/readers.py` lists the kinds and their options."""

    kind: str
    path: Path | None = Field(default=None, description="its folder; None = given by `--source kind=path`")
    weight: Positive = Field(default=1.0, description="how often it is drawn, against the others and rendered rooms' 1")
    split: Literal["auto", "publisher", "scene"] = Field(
        default="auto", description="auto: the publisher's where it keeps scenes apart, else by scene"
    )
    options: dict[str, Any] = Field(default={}, description="keyword arguments of the kind's reader")


class DataConfig(_Part):
    """What to train on. Folders come from the command line where they are not set here."""

    sources: tuple[SourceConfig, ...] = Field(default=(), description="data sets, mixed by weight")
    rooms: Path | None = Field(default=None, description="folder of rendered rooms (*.h5)")
    hdri: Path | None = Field(default=None, description="folder of .hdr environments")
    weights: Path | None = Field(
        default=None, description="to start from: an encoder's .npz, imagenet, or a .ckpt of the same network"
    )
    rooms_share: Share = Field(default=1.0, description="share of samples from rendered rooms where HDRIs are used too")
    hold_out_hdri: tuple[str, ...] = Field(
        default=(), description="HDRI names (kind and ending left out) to validate on"
    )
    split_seed: int = 0
    max_rooms: Count | None = None
    pseudo: Path | None = Field(default=None, description="folder of pseudo-labels, from `edge-train distill label`")
    style: Path | None = Field(default=None, description="folder of real pictures whose look rendered ones are given")
    pseudo_share: Share = Field(default=0.25, description="share of samples from pseudo-labelled pictures, if any")


class AugmentConfig(_Part):
    """How samples are varied. Probabilities are 0..1; a strength of 0 switches a step off."""

    perspective_share: Share = Field(default=0.0, description="panoramas reduced to a random perspective camera's view")
    stretch: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest panorama stretch factor")
    zoom: Annotated[float, Field(ge=1, le=3)] = Field(default=1.0, description="largest crop-and-enlarge factor")
    flip: bool = True
    roll: bool = Field(default=True, description="turn panoramas about the vertical")
    photometric: Annotated[float, Field(ge=0, le=2)] = Field(default=1.0, description="strength of sensor variation")
    gamma: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.0, description="panoramas raised to a power up to this or its inverse (HorizonNet)"
    )
    tilt_deg: Annotated[float, Field(ge=0, le=30)] = Field(
        default=0.0, description="standard deviation of panoramas' tilt"
    )
    blend_share: Share = Field(default=0.0, description="HDRIs mixed from two")
    canvas_px: tuple[Count, Count] | None = Field(
        default=None, description="size that depth pictures are varied at; the input is its middle (FCRN)"
    )
    scale: Annotated[float, Field(ge=1, le=3)] = Field(
        default=1.0, description="depth pictures enlarged by s up to this, depth divided by s (FCRN)"
    )
    rotate_deg: Annotated[float, Field(ge=0, le=45)] = Field(
        default=0.0, description="depth pictures turned by up to this either way (FCRN)"
    )
    style_share: Share = Field(default=0.0, description="rendered pictures given the look of one of data.style")
    jitter: Share = Field(default=0.0, description="brightness, contrast and saturation of depth pictures, 1 +- this")


class OptimConfig(_Part):
    """The optimiser, its schedule and how long it runs."""

    steps: Count
    batch_size: Count = Field(default=16, description="samples of a step, of all devices together")
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="of sgd")
    lr: Positive = 1e-3
    encoder_lr_factor: Positive = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["cosine", "poly", "step", "plateau", "constant"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    final_lr_factor: Share = Field(default=0.01, description="where cosine and poly end; below this plateau never goes")
    poly_power: Positive = 0.9
    decay_factor: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.1, description="of one cut of step or plateau")
    decay_every: Count = Field(default=1000, description="steps between two cuts of step")
    plateau_patience: Annotated[int, Field(ge=0)] = Field(
        default=5, description="validations without a better error before plateau cuts"
    )
    patience: Count | None = Field(
        default=None, description="validations without a better error before the run ends; None = never"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    clip_norm: Positive = 5.0
    freeze_blocks: Annotated[int, Field(ge=0)] = Field(
        default=0, description="first blocks of the encoder kept as they are"
    )
    freeze_norm: bool = Field(
        default=False, description="batch normalisation keeps its statistics: for batches too small to measure them"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validate_every: Count = Field(default=500, description="steps between validations")
    seed: int = 0


class LossConfig(_Part):
    """Weights of the loss terms; each task reads its own."""

    depth: Literal["berhu", "silog"] = Field(
        default="berhu", description="silog looks at log depth alone; where a linear network is below min_m it is blind"
    )
    berhu_on: Literal["log", "metres"] = "log"
    gradient: Annotated[float, Field(ge=0)] = 0.0
    boundary: Annotated[float, Field(ge=0)] = 1.0
    corners: Annotated[float, Field(ge=0)] = 1.0
    distance: Annotated[float, Field(ge=0)] = Field(default=0.9, description="L1 of a horizon-depth head")
    ratio: Annotated[float, Field(ge=0)] = Field(default=0.1, description="L1 of its ceiling ratio")
    normals: Annotated[float, Field(ge=0)] = Field(default=0.1, description="its walls' directions and their steps")
    coefficients: Annotated[float, Field(ge=0)] = 1.0
    irradiance: Annotated[float, Field(ge=0)] = 1.0
    radiance: Annotated[float, Field(ge=0)] = 0.0
    depth_share: Annotated[float, Field(ge=0)] = Field(default=1.0, description="of depth's loss in a scene's")
    layout_share: Annotated[float, Field(ge=0)] = Field(default=1.0, description="of layout's")
    lighting_share: Annotated[float, Field(ge=0)] = Field(default=1.0, description="of lighting's")


class SearchRange(_Part):
    """Numbers that `tune` tries: whole ones where both ends are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> SearchRange:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be less than high, and more than 0 where log: true")
        return self


class SearchChoices(_Part):
    """Values that `tune` tries."""

    choices: Annotated[tuple[bool | int | float | str | None, ...], Field(min_length=1)]


class Recipe(_Part):
    """One model: what it is, what it takes, what it learns from and how."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    task: ModelTask
    licence: str = "Apache-2.0"
    source: str | None = Field(default=None, description="URL of published weights, in place of a recipe trained here")
    net: NetConfig
    input: InputSpec
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig
    tune: dict[str, SearchRange | SearchChoices] = Field(
        default={}, description="what `tune` varies: dotted key (optim.lr) -> low, high, log; or choices"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.net.net not in _TASK_NETS[self.task]:
            raise ValueError(f"task {self.task} takes net: one of {sorted(_TASK_NETS[self.task])}, not {self.net.net}")
        if isinstance(self.net, CompletionConfig | JointConfig) and not self.input.mask_channel:
            raise ValueError(f"the {self.net.net} network reads the mask: set input.mask_channel: true")
        if isinstance(self.net, JointConfig) and (
            any(self.input.mean) or min(self.input.std) != 1 or max(self.input.std) != 1
        ):
            raise ValueError("the joint network normalises its input itself: leave out input.mean and input.std")
        if self._halves_evenly and (self.input.width_px % 32 or self.input.height_px % 32):
            raise ValueError(
                f"the {self.net.net} network adds or joins maps of 1/2 to 1/32 of the picture: make input.width_px and "
                f"input.height_px multiples of 32, not {self.input.width_px}x{self.input.height_px}"
            )
        return self

    @property
    def _halves_evenly(self) -> bool:
        """Whether the picture's sides must be multiples of 32 px."""
        with_skips = isinstance(self.net, FcrnConfig) and self.net.skips
        return with_skips or isinstance(self.net, FastDepthConfig | HorizonNetConfig | JointConfig)


def _keys() -> set[str]:
    """Every key that a recipe may hold anywhere, for suggestions."""
    found: set[str] = set()
    nets = (FcrnConfig, FastDepthConfig, HorizonNetConfig, MobileShConfig, CompletionConfig, JointConfig)
    parts = (Recipe, *nets, DataConfig, SourceConfig, AugmentConfig)
    for part in (*parts, OptimConfig, LossConfig, InputSpec):
        found.update(part.model_fields)
    return found


def _remedy(error: Any) -> str:
    """What to do about one pydantic error."""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), sorted(_keys()), n=1)
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
