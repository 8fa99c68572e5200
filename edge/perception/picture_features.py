"""Numbers that say what a camera's picture is like, whatever is in it: light, sharpness, colour, noise.

The same code runs on the device and where a network's reference is written, on a picture of the same size.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.perception.preprocess import resize
from edge.scene import ImageArray

WIDTH_PX = 256
PICTURE_FEATURES = (
    "luminance",
    "contrast",
    "saturation",
    "sharpness",
    "dark",
    "clipped",
    "warmth",
    "edges",
    "noise",
)
FLOORS = {
    "luminance": 0.01,
    "contrast": 0.005,
    "saturation": 0.01,
    "sharpness": 0.1,
    "dark": 0.01,
    "clipped": 0.01,
    "warmth": 0.03,
    "edges": 0.005,
    "noise": 0.1,
}
"""The least standard deviation that each is taken to have from hour to hour: smaller changes mean nothing."""
AS_LOGARITHMS = {"luminance": 0.05, "contrast": 0.05, "saturation": 0.1, "dark": 0.5, "clipped": 0.5, "edges": 0.2}
"""Features from 0 to 1, of which factors count between rooms, with the least standard deviation of their logarithms."""
REMEDIES = {
    ("luminance", "below"): "dark: is the light off, the lens covered, the exposure fixed?",
    ("luminance", "above"): "bright: is the exposure fixed, does the sun shine in?",
    ("contrast", "below"): "flat: is the lens misted or dirty?",
    ("sharpness", "below"): "soft: is the lens dirty or out of focus?",
    ("sharpness", "above"): "hard: does the camera sharpen its pictures? Turn that off",
    ("dark", "above"): "black areas: is a part of the view covered, the light off?",
    ("clipped", "above"): "white areas: lower the exposure, or turn the camera away from windows",
    ("saturation", "below"): "without colour: does the camera see by infrared?",
    ("warmth", "below"): "blue: check the white balance",
    ("warmth", "above"): "red: check the white balance",
    ("noise", "above"): "noisy: more light, less gain",
    ("noise", "below"): "smoothed: lower the camera's compression or noise reduction",
}
"""What to look at when a feature lies on that side of what the network knows."""

_DARK, _CLIPPED = 10, 250
_SHARE = 0.01
_EDGE = 0.1
_MAD_TO_SIGMA = 1.4826
_SMALLEST = 1e-6


def picture_features(image: ImageArray) -> dict[str, float]:
    """The features of an RGB picture: sharpness, warmth and noise are logarithms, the others run from 0 to 1."""
    height, width = image.shape[:2]
    small = resize(image, WIDTH_PX, max(16, round(height * WIDTH_PX / width)))
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    scaled = grey.astype(np.float32) / 255.0
    laplacian = cv2.Laplacian(scaled, cv2.CV_32F)
    across, down = cv2.Sobel(scaled, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(scaled, cv2.CV_32F, 0, 1, scale=0.25)
    high = scaled - cv2.GaussianBlur(scaled, (3, 3), 0)
    red, _, blue = (float(c) + 1.0 for c in cv2.mean(small)[:3])
    brightest, darkest = small.max(axis=2).astype(np.float32), small.min(axis=2).astype(np.float32)
    values = {
        "luminance": scaled.mean(),
        "contrast": scaled.std(),
        "saturation": ((brightest - darkest) / np.maximum(brightest, 1.0)).mean(),
        "sharpness": np.log(laplacian.var() + _SMALLEST),
        "dark": (grey < _DARK).mean(),
        "clipped": (grey > _CLIPPED).mean(),
        "warmth": np.log(red / blue),
        "edges": (np.hypot(across, down) > _EDGE).mean(),
        "noise": np.log(_MAD_TO_SIGMA * np.median(np.abs(high)) + _SMALLEST),
    }
    return {name: float(value) for name, value in values.items()}


def unskewed(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A feature on the scale on which rooms are compared: from 0 to 1 as logarithms, so that no long tail decides."""
    of_it = np.asarray(values, dtype=np.float64)
    return np.log(np.maximum(of_it, 0.0) + _SHARE) if name in AS_LOGARITHMS else of_it


def unskewed_floor(name: str) -> float:
    """The least standard deviation of what `unskewed` gives."""
    return AS_LOGARITHMS.get(name) or FLOORS.get(name, _SMALLEST)
