"""The section of config.yaml about models that are installed on this device, over those that came with the program."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from edge.config.values import ExistingFile, Section, StateFile, problem


def _https(value: str) -> str:
    if not value.startswith("https://") or value.count("/") < 3:
        raise problem("is no beginning of an https address", "Write for example https://models.example/edge/")
    return value


class ModelsConfig(Section):
    """Installed by `edge engines install`, or by the request engine/install where that is allowed."""

    folder: StateFile = Field(
        default="models",
        validate_default=True,
        description="private folder for them; a bare name lies in systemd's StateDirectory",
    )
    publishers: Annotated[tuple[ExistingFile, ...], Field(strict=False)] = Field(
        default=(), description="public keys (PEM, Ed25519); with any, only what one of them signed is installed"
    )
    sources: Annotated[tuple[Annotated[str, AfterValidator(_https)], ...], Field(strict=False)] = Field(
        default=(), description="what the addresses begin with that the request engine/install may fetch; none: refused"
    )
    largest_mib: int = Field(default=512, ge=1, le=1 << 16, description="a package may have so much, MiB")
    shadow_s: float = Field(
        default=600.0, ge=0, le=7 * 86400, description="a new model runs beside the old one so long before it serves, s"
    )
    most_depth_difference: float = Field(
        default=0.15, gt=0, description="median relative difference of depth to the old model that is taken"
    )
    most_layout_difference: float = Field(
        default=0.25, gt=0, le=1, description="1 - IoU of the two floor plans that is taken"
    )
    most_lighting_difference: float = Field(
        default=0.5, gt=0, description="relative difference of the light's coefficients that is taken"
    )
