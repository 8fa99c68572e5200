"""Other people's networks that are known here: what their publishers say that they take, give and allow.

A preset fills in a manifest. Sizes and names of tensors are read from the file itself; what no file says (range,
colours, meaning, licence) is from the publisher's documents, named with each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.inference.manifest import TASK_KINDS
from edge.scene import TASKS, Task

Answer = Literal[
    "depth_metres", "inverse_depth_relative", "boundary_corners", "horizon_depth", "sh2_prescaled_irradiance"
]
Triple = tuple[float, float, float]

NONE: tuple[Triple, Triple] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Mean and std of a network that takes 0..1."""
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True)
class Sign:
    """An operator that tells a network from one of the same shape."""

    operator: str
    present: bool
    otherwise: str
    """What a file is that differs, and what to do."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One published network."""

    title: str
    answer: Answer
    size_wh: tuple[int, int]
    """px, where the file leaves it open."""
    licence: str
    source: str
    """The publisher's page."""
    said_in: str
    """Where below it input, output and licence are documented."""
    multiple_px: int = 1
    normalisation: tuple[Triple, Triple] = NONE
    colour: Literal["rgb", "bgr"] = "rgb"
    non_commercial: bool = False
    whole_size: bool = False
    """The answer has the input's size."""
    largest_m: float | None = None
    """No answer is farther."""
    least_bytes: int = 0
    most_bytes: int = 1 << 40
    other_size: str = ""
    """What a file outside these sizes is."""
    signs: tuple[Sign, ...] = ()

    @property
    def task(self) -> Task:
        """The noun that its answer is of."""
        return next(task for task in TASKS if self.answer in TASK_KINDS[task])

    @property
    def projection(self) -> Literal["perspective", "equirectangular"]:
        """What it looks at."""
        return "perspective" if self.task == "depth" else "equirectangular"


_DEPTH_ANYTHING = "https://github.com/DepthAnything/Depth-Anything-V2"
_SMALL_OR_BASE = 200_000_000
"""Bytes between the float32 files of 24.8 and 97.5 million parameters."""
_ATTENTION = Sign("Softmax", True, "it has no attention, which a vision transformer has: another network")
_METRIC = Sign("Sigmoid", True, "it does not end in a sigmoid times 20 m: it answers relative depth; use {relative}")
_RELATIVE = Sign("Sigmoid", False, "it ends in a sigmoid: it answers metres; use {metric}")


def _depth_anything(size: Literal["Small", "Base"], metric: bool) -> Preset:
    small = size == "Small"
    relative, metres = (f"depth-anything-v2{kind}-{size.lower()}" for kind in ("", "-metric-indoor"))
    sign = _METRIC if metric else _RELATIVE
    return Preset(
        title=f"Depth Anything V2 {'Metric Hypersim (indoor) ' if metric else ''}{size}",
        answer="depth_metres" if metric else "inverse_depth_relative",
        size_wh=(518, 392),
        multiple_px=14,
        normalisation=IMAGENET,
        licence="Apache-2.0" if small else "CC-BY-NC-4.0",
        non_commercial=not small,
        source=_DEPTH_ANYTHING,
        said_in="README.md (LICENSE), depth_anything_v2/dpt.py (image2tensor), metric_depth/README.md (max_depth)",
        whole_size=True,
        largest_m=20.0 if metric else None,
        least_bytes=0 if small else _SMALL_OR_BASE,
        most_bytes=_SMALL_OR_BASE if small else 1 << 40,
        other_size=f"Depth Anything V2 {'Base or Large, which are non-commercial' if small else 'Small'}",
        signs=(
            _ATTENTION,
            Sign(sign.operator, sign.present, sign.otherwise.format(relative=relative, metric=metres)),
        ),
    )


PRESETS: dict[str, Preset] = {
    "depth-anything-v2-small": _depth_anything("Small", metric=False),
    "depth-anything-v2-base": _depth_anything("Base", metric=False),
    "depth-anything-v2-metric-indoor-small": _depth_anything("Small", metric=True),
    "depth-anything-v2-metric-indoor-base": _depth_anything("Base", metric=True),
    "midas-v2.1-small": Preset(
        title="MiDaS 2.1 small",
        answer="inverse_depth_relative",
        size_wh=(256, 256),
        multiple_px=32,
        normalisation=IMAGENET,
        licence="MIT",
        source="https://github.com/isl-org/MiDaS",
        said_in="LICENSE, hubconf.py (small_transform), tf/make_onnx_model.py (its own ONNX normalise for themselves)",
        whole_size=True,
        most_bytes=120_000_000,
        other_size="MiDaS 2.1 large or DPT",
        signs=(Sign("Softmax", False, "it has attention, which MiDaS 2.1 has not; use midas-dpt"),),
    ),
    "midas-dpt": Preset(
        title="MiDaS 3 DPT (Large, Hybrid)",
        answer="inverse_depth_relative",
        size_wh=(384, 384),
        multiple_px=32,
        normalisation=HALF,
        licence="MIT",
        source="https://github.com/isl-org/MiDaS",
        said_in="LICENSE, hubconf.py (dpt_transform)",
        whole_size=True,
        signs=(_ATTENTION, Sign("Sigmoid", False, "it ends in a sigmoid: it is not MiDaS, whose depth is relative")),
    ),
    "fastdepth": Preset(
        title="FastDepth (MobileNet-NNConv5, NYU Depth v2)",
        answer="depth_metres",
        size_wh=(224, 224),
        multiple_px=32,
        licence="MIT",
        source="https://github.com/dwofk/fast-depth",
        said_in="LICENSE, README.md, dataloaders/nyu.py (val_transform: RGB / 255)",
        whole_size=True,
        most_bytes=60_000_000,
        other_size="a larger network",
        signs=(Sign("Softmax", False, "it has attention, which FastDepth has not"),),
    ),
    "horizonnet": Preset(
        title="HorizonNet",
        answer="boundary_corners",
        size_wh=(1024, 512),
        licence="MIT (code; the rooms that weights were trained on have terms of their own)",
        source="https://github.com/sunset1995/HorizonNet",
        said_in="LICENSE, model.py (_prepare_x normalises inside, 512x1024 alone)",
    ),
    "lgt-net": Preset(
        title="LGT-Net",
        answer="horizon_depth",
        size_wh=(1024, 512),
        licence="MIT (code; the rooms that weights were trained on have terms of their own)",
        source="https://github.com/zhigangjiang/LGT-Net",
        said_in="LICENSE, models/lgt_net.py (lgt_output), models/modules/horizon_net_feature_extractor.py (_prepare_x)",
    ),
    "spherical-harmonic-inference": Preset(
        title="SphericalHarmonicInference",
        answer="sh2_prescaled_irradiance",
        size_wh=(256, 128),
        normalisation=IMAGENET,
        colour="bgr",
        licence="none stated: no licence file; not to be passed on",
        non_commercial=True,
        source="https://github.com/Macleodsolutions/SphericalHarmonicInference",
        said_in="README.md, 5-infer (cv2.imread: BGR, ImageNet's mean and std)",
    ),
}
SH_ROOM_FROM_MODEL = ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0))
"""cmgen's axes, mirrored in x as it writes them unless told otherwise, to the room's."""
