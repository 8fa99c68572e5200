"""A camera's lens and how it hangs, from what its device says of it."""

from __future__ import annotations

from math import radians

import numpy as np

from edge.derive.calibrate.verticals import angles_of_up
from edge.geometry.rigid import rotation_room_camera
from edge.mqtt.info_message import CameraInfo
from edge.mqtt.lens import FisheyeLens
from edge.mqtt.messages import DepthMessage
from edge.scene import CameraModel, Fisheye, Intrinsics


def camera_model(info: CameraInfo, depth: DepthMessage | None = None) -> CameraModel:
    """What a device says of a camera; masks and openings are not told.

    `depth`: has the lens of a fisheye that is not calibrated, which `info` has not.
    """
    rotation = np.array(info.pose.rotation)
    pitch_rad, roll_rad = angles_of_up(rotation[2])
    turn = rotation @ rotation_room_camera(0.0, pitch_rad, roll_rad).T
    lens = None if info.lens is None else Intrinsics(**info.lens.model_dump())
    around: Fisheye | None = None
    if info.fisheye is not None:
        around = _fisheye(info.fisheye, info.fisheye.width_px, info.fisheye.height_px)
    elif depth is not None and depth.fisheye is not None:
        around = _fisheye(depth.fisheye, depth.width_px, depth.height_px)
    return CameraModel(
        info.projection,
        lens,
        None if info.hfov_deg is None else radians(info.hfov_deg),
        around,
        camera_height_m=info.camera_height_m,
        yaw_rad=float(np.arctan2(turn[0, 1], turn[0, 0])),
        pitch_rad=pitch_rad,
        roll_rad=roll_rad,
    )


def _fisheye(said: FisheyeLens, width_px: int, height_px: int) -> Fisheye:
    values = said.model_dump(exclude={"width_px", "height_px", "fov_deg"})
    return Fisheye(width_px, height_px, **values, fov_rad=radians(said.fov_deg))
