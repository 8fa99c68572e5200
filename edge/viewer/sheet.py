"""How a camera hangs, from a sheet of paper on its floor whose corners somebody clicked in its picture in the page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.cameras.picture import decoded
from edge.derive.calibrate.mounting import as_yaml, mounting
from edge.errors import EdgeError, ImageError
from edge.mqtt.info_message import BridgeInfo
from edge.mqtt.messages import DepthMessage
from edge.subscribe.cameras import camera_model
from edge.viewer.relay import Relay

Fraction = Annotated[float, Field(ge=0, le=1)]


class Sheet(BaseModel):
    """What a page asks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    camera: str
    """As device/camera."""
    paper: Literal["a4", "letter", "a3"]
    corners: Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=4, max_length=4)]
    """In any order, in fractions of the picture's width and height from its top left."""


def hung_by(sheet: Sheet, relay: Relay) -> dict[str, Any]:
    """The lines that `edge calibrate --sheet --corners` prints of the picture that was published last.

    Returns:
        `lines` for config.yaml; `told`: what was found and by how much it misses, a sentence each; `doubts`.

    Raises:
        EdgeError: nothing is known of the camera, or the sheet cannot lie there.
    """
    device, _, name = sheet.camera.rpartition("/")
    picture, said, depth = (
        relay.latest(path) for path in (f"{sheet.camera}/picture", f"{device}/bridge/info", f"{sheet.camera}/depth")
    )
    if picture is None or said is None:
        raise EdgeError(f"no picture of {sheet.camera} was published yet; configure its `picture`")
    info = next((c for c in BridgeInfo.model_validate_json(said).cameras if c.name == name), None)
    if info is None:
        raise EdgeError(f"{device} says nothing of a camera {name}")
    try:
        image = decoded(picture)
    except ImageError as error:
        raise EdgeError(f"the picture of {sheet.camera} {error}") from error
    height, width = image.shape[:2]
    model = camera_model(info, None if depth is None else DepthMessage.model_validate_json(depth))
    told: list[str] = []
    corners = [(x * width, y * height) for x, y in sheet.corners]
    found = mounting([image], model, told.append, paper=sheet.paper, corners=corners)
    return {"lines": "\n".join(as_yaml(name, found)), "told": told, "doubts": found.doubts}
