"""The sections of config.yaml about objects: nothing is reconstructed unless an engine is named."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from edge.config.values import Name, Section, problem
from edge.geometry.polygon import is_simple
from edge.scene import Outline

_Share = Annotated[float, Field(ge=0, le=1)]
_Corner = Annotated[tuple[_Share, _Share], Field(strict=False)]


def _is_outline(corners: Outline | None) -> Outline | None:
    if corners is not None and not is_simple(corners):
        raise problem("crosses or touches itself, or has no area", "Give the corners in order around the object")
    return corners


class ObjectsConfig(Section):
    """Single things as meshes: on request (`objects`, see `requests.allow`), and of the cameras' `objects`."""

    engine: Name | None = Field(
        default=None, description="folder of the engine below inference.engines; null: no objects are reconstructed"
    )
    every_s: float = Field(
        default=600.0, ge=10, le=7 * 86400, description="time between two looks at the objects of a camera, s"
    )


class ObjectRegionConfig(Section):
    """Where an object is looked at again and again, by a box around it or by its outline."""

    name: Name = Field(description="its name in messages; unique among the camera's", examples=["armchair"])
    box: Annotated[tuple[_Share, _Share, _Share, _Share], Field(strict=False)] | None = Field(
        default=None,
        description="left, top, right, bottom in fractions of the picture's width and height",
        examples=[[0.2, 0.4, 0.45, 0.9]],
    )
    polygon: Annotated[
        Annotated[tuple[_Corner, ...], Field(min_length=3, max_length=64, strict=False)] | None,
        AfterValidator(_is_outline),
    ] = Field(default=None, description="its outline: corners in the same fractions; instead of box")
    label: str | None = Field(default=None, min_length=1, max_length=64, description="what it is called, its class")

    @model_validator(mode="after")
    def _one_of_them(self) -> ObjectRegionConfig:
        if (self.box is None) == (self.polygon is None):
            raise problem("needs exactly one of box and polygon", "Give one of them", "box")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise problem("has no area", "Give left, top, right, bottom, in this order", "box")
        return self
