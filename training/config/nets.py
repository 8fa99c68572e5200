"""Networks: a recipe's `net` section, one class for each value of `net.net`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.config.values import Count, Positive, Section, Share

Colour = tuple[float, float, float]
Encoder = Literal["resnet18", "resnet34", "resnet50", "mobilenet_v2"]
Decoder = Literal["deconv2", "deconv3", "upconv", "upproj", "fast_upproj", "separable"]


class FcrnConfig(Section):
    """A depth network: Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks" (2016)."""

    net: Literal["fcrn"]
    encoder: Encoder = "resnet50"
    width: Positive = 1.0
    decoder: Decoder = Field(default="upproj", description="separable: FastDepth's stages, the others are the paper's")
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
    answer: Literal["half", "full"] = Field(
        default="half", description="size of what the last layer gives, of the picture's; full: four values a place"
    )
    spread: bool = Field(default=False, description="also say how far off ln(depth) may be; takes activation: log")

    @model_validator(mode="after")
    def _spread_of_logarithms(self) -> FcrnConfig:
        if self.spread and self.activation != "log":
            raise ValueError("spread: true is the error of ln(depth): set activation: log")
        if self.answer == "full" and self.enlarge:
            raise ValueError("answer: full has the picture's size: drop enlarge")
        return self


class FastDepthConfig(Section):
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


class Monodepth2Config(Section):
    """Monodepth2: Godard et al., "Digging into Self-Supervised Monocular Depth Estimation" (2019); and SC-Depth's."""

    net: Literal["monodepth2"]
    encoder: Literal["resnet18", "resnet50"] = "resnet18"
    enlarged_by: Literal["nearest", "bilinear"] = Field(default="nearest", description="bilinear: as SC-Depth does")
    scales: Annotated[int, Field(ge=1, le=4)] = Field(
        default=4, description="sizes at which depth is learnt, each half of the one before; the first is served"
    )
    min_m: Positive = 0.1
    max_m: Positive = 100.0
    canonical_focal_px: Positive | None = Field(default=None, description="as of fcrn")


class HorizonNetConfig(Section):
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
    openings: bool = Field(
        default=False,
        description="say more of each column: whether it shows a door, a window or an opening, the boundary as seen "
        "through those, and how far off the boundary may be",
    )

    @model_validator(mode="after")
    def _openings_of_a_boundary(self) -> HorizonNetConfig:
        if self.openings and self.head != "boundary":
            raise ValueError(f"openings: true is for head: boundary, not {self.head}")
        return self


class MobileShConfig(Section):
    """The plain lighting network: MobileNetV2 with 27 outputs."""

    net: Literal["mobilenet_sh"]
    width: Positive = 0.5


class CompletionConfig(Section):
    """The edge lighting network: analytic projection, and a low-resolution map of what clipping and the frame hide."""

    net: Literal["completion"]
    width: Positive = 1.0
    blocks: Annotated[int, Field(ge=8, le=18)] = 11
    hidden: Count = 48
    gate: bool = Field(
        default=False,
        description="multiply what clipping hides by a share that is 0 where the network sees no sign of it",
    )


class JointConfig(Section):
    """Depth, layout and light of one panorama canvas at once: one encoder, three heads."""

    net: Literal["joint"]
    layout: HorizonNetConfig = Field(description="the layout head, and the encoder that all heads read")
    depth_channels: tuple[Count, Count, Count, Count] = Field(
        default=(96, 64, 32, 24), description="outputs of the depth head's stages, at 1/16 to 1/2 of the picture"
    )
    depth_spread: bool = Field(default=False, description="also say how far off the range may be")
    light_hidden: Count = Field(default=48, description="as `hidden` of the completion network")
    light_gate: bool = Field(default=False, description="as `gate` of the completion network")
    mean: Colour = Field(default=(0.485, 0.456, 0.406), description="what the encoder's weights were trained with")
    std: Colour = (0.229, 0.224, 0.225)
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


class ObjectsConfig(Section):
    """One segmented picture of a thing to its occupancy and colours; see `training/nets/objects.py`."""

    net: Literal["objects"]
    encoder: Encoder = "mobilenet_v2"
    width: Positive = 1.0
    pooled: bool = Field(default=False, description="mean of the last feature map instead of all its places")
    latent: Count = Field(default=256, description="numbers that a picture becomes")
    decoder: Literal["slice", "triplane", "siren"] = Field(
        default="slice",
        description="slice: 2-D convolutions whose channels are layers of the grid; triplane: features on three planes "
        "and a small network for each point; siren: sines modulated by the picture (the paper's)",
    )
    channels: tuple[Count, ...] = Field(default=(256, 192, 128, 128), min_length=2, description="of 4, 8, 16, ... px")
    hidden: Count = Field(default=128, description="width of the network for each point (triplane, siren)")
    layers: Count = Field(default=5, description="modulated layers (siren)")
    plane_channels: Count = Field(default=32, description="of each plane (triplane)")
    field: Literal["occupancy", "density"] = Field(
        default="occupancy", description="what is learnt of a place: a probability, or the paper's density"
    )
    grid: Literal[32, 64] = Field(default=32, description="cells along each side of what is answered")

    @model_validator(mode="after")
    def _sizes_fit(self) -> ObjectsConfig:
        side = 4 * 2 ** (len(self.channels) - 1)
        if self.decoder == "slice" and side != self.grid:
            raise ValueError(f"channels: {len(self.channels)} numbers end at {side} px, and the grid has {self.grid}")
        if self.decoder == "triplane" and side not in (self.grid, 2 * self.grid):
            raise ValueError(f"channels: planes of {side} px, of a grid of {self.grid}; make them as large or twice")
        return self


NetConfig = Annotated[
    FcrnConfig
    | FastDepthConfig
    | Monodepth2Config
    | HorizonNetConfig
    | MobileShConfig
    | CompletionConfig
    | JointConfig
    | ObjectsConfig,
    Field(discriminator="net"),
]
