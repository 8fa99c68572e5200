"""What a camera does to a picture: exposure, white balance, response, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry.colour import encode_srgb
from edge.scene import ImageArray

_Curve = npt.NDArray[np.float64]


def response_table(rng: np.random.Generator, levels: int = 4096) -> npt.NDArray[np.uint8]:
    """A camera's response: 8-bit values for linear 0..1 in `levels` steps.

    Half the time a plain gamma of 2.2, else sRGB or another gamma with a mild S curve.
    """
    x = np.linspace(0.0, 1.0, levels)
    kind = rng.random()
    if kind < 0.5:
        y = x ** (1 / 2.2)
    elif kind < 0.75:
        y = encode_srgb(x)
    else:
        y = x ** (1 / rng.uniform(1.9, 2.5))
        bend = rng.uniform(0.0, 0.35)
        y = (1 - bend) * y + bend * (y * y * (3 - 2 * y))
    return np.asarray(np.round(y * 255), dtype=np.uint8)


def _tone(rng: np.random.Generator, strength: float) -> npt.NDArray[np.uint8]:
    """(256, 3) table: exposure, white balance, gamma and contrast of an already encoded picture."""
    x = np.linspace(0.0, 1.0, 256)[:, None]
    gain = np.exp(rng.normal(0, 0.18 * strength)) * np.exp(rng.normal(0, 0.07 * strength, 3))
    gamma = np.exp(rng.normal(0, 0.18 * strength))
    bend = rng.uniform(-0.3, 0.4) * strength
    y = np.clip(x * gain, 0, 1) ** gamma
    y = (1 - bend) * y + bend * (y * y * (3 - 2 * y))
    lift = rng.uniform(0, 0.04) * strength
    return np.asarray(np.clip(np.round((lift + (1 - lift) * y) * 255), 0, 255), dtype=np.uint8)


def random_gamma(image: ImageArray, rng: np.random.Generator, largest: float) -> ImageArray:
    """The picture raised to a power between 1 and `largest`, or to its inverse (HorizonNet's `dataset.py`)."""
    if largest <= 1:
        return image
    power = rng.uniform(1.0, largest)
    table = (np.arange(256) / 255) ** (power if rng.random() < 0.5 else 1 / power)
    return np.asarray(np.round(table * 255).astype(np.uint8)[image])


def _saturation(image: ImageArray, factor: float) -> ImageArray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return np.asarray(np.clip(grey + (image - grey) * factor, 0, 255), dtype=np.uint8)


def _optics(image: ImageArray, rng: np.random.Generator, strength: float) -> ImageArray:
    """Blur or sharpening, noise and JPEG, each now and then."""
    if rng.random() < 0.25 * strength:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)), dtype=np.uint8)
    elif rng.random() < 0.2 * strength:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = np.asarray(cv2.addWeighted(image, 1.7, soft, -0.7, 0), dtype=np.uint8)
    if rng.random() < 0.4 * strength:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(1.0, 8.0)
        image = np.asarray(np.clip(image + noise, 0, 255), dtype=np.uint8)
    if rng.random() < 0.35 * strength:
        quality = int(rng.integers(30, 92))
        done, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done:
            image = np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])
    return image


def sensor(image: ImageArray, rng: np.random.Generator, strength: float, *, tone: bool = True) -> ImageArray:
    """The same picture through another camera.

    Args:
        image: (H, W, 3) uint8 RGB.
        rng: source of randomness.
        strength: 0 = unchanged, 1 = as cameras differ.
        tone: vary exposure, white balance and response too (not where the level is what is learnt).
    """
    if strength <= 0:
        return image
    if tone:
        table = _tone(rng, strength)
        image = np.stack([table[image[..., c], c] for c in range(3)], axis=-1)
        if rng.random() < 0.4:
            image = _saturation(image, float(rng.uniform(1 - 0.6 * strength, 1 + 0.4 * strength)))
    return _optics(image, rng, min(1.0, strength))
