"""Another party's ONNX serves by its manifest alone: the published lighting model (BGR, y-up, mirrored axes)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.geometry.harmonics import irradiance_over_pi, project_panorama
from edge.geometry.panorama import rays, solid_angles
from edge.inference.manifest import Manifest, sha256_of, write_manifest
from edge.inference.options import InferenceOptions
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.perception.lighting import LightingReader
from edge.scene import CameraModel
from tests.integration.conftest import PANORAMA, REPOSITORY, SHARED, Served

PEER = SHARED / "peers" / "spherical_harmonic_inference" / "model.onnx"
pytestmark = pytest.mark.skipif(
    not PEER.is_file(), reason=f'needs the published network {PEER} (docs/accuracy.md, "The evaluation data")'
)


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """The shipped engines, and the published model beside them with a manifest of a few lines."""
    root = tmp_path / "engines"
    shutil.copytree(REPOSITORY / "engines", root)
    folder = root / "published"
    folder.mkdir()
    shutil.copy(PEER, folder / "model.onnx")
    manifest = {
        "schema": "edge.manifest/1",
        "name": "published",
        "version": "1",
        "task": "lighting",
        "onnx": {"file": "model.onnx", "sha256": sha256_of(PEER)},
        "input": {
            "name": "input.1",
            "width_px": 256,
            "height_px": 128,
            "colour": "bgr",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "projection": "equirectangular",
        },
        "output": {
            "kind": "sh2_prescaled_irradiance",
            "coefficients": "466",
            "room_from_model": [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
        },
        "provenance": {"recipe": "published", "created": "2023-05-20", "licence": "for comparison only"},
    }
    write_manifest(folder, Manifest.model_validate_json(json.dumps(manifest)))
    return root


def test_it_serves_through_the_daemon(engines: Path, serve: Callable[..., Served]) -> None:
    """Naming it in the configuration is all it takes; the message says which model it came from."""
    served = serve(
        4,
        cameras=[{**PANORAMA, "tasks": ["lighting"]}],
        tasks={"lighting": {"engine": "published"}},
        inference={"engines": str(engines)},
    )
    assert served.last("panorama/lighting")["model"] == {"name": "published", "sha256": sha256_of(PEER)[:12]}


def test_it_reaches_its_measured_accuracy_through_the_manifest(engines: Path) -> None:
    """On the indoor environments it has the error measured for it elsewhere, .231: channels and axes are right.

    With channels or axes wrong the error is above .37.
    """
    stored = ModelStore(engines).find("published")
    reader = LightingReader(stored.manifest, CameraModel("equirectangular"), smoothing_s=0.0)
    normals, weights = rays(64, 32).reshape(-1, 3), solid_angles(64, 32).reshape(-1, 1)
    errors = []
    with load(stored, InferenceOptions(threads=1)) as backend:
        for path in sorted((SHARED / "eval" / "lighting").glob("indoor__*.hdr")):
            radiance = cv2.resize(cv2.imread(str(path), -1)[..., ::-1], (256, 128), interpolation=cv2.INTER_AREA)
            radiance = radiance / np.percentile(radiance, 99)
            for turn in range(8):
                turned = np.roll(radiance, turn * 32, axis=1)
                picture = np.round(np.clip(turned, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
                found = reader.read(backend.run(reader.prepare(picture)), 0.0).coefficients
                truth = irradiance_over_pi(project_panorama(turned), normals)
                guess = irradiance_over_pi(found, normals)
                scale = (weights * truth * guess).sum() / (weights * guess**2).sum()
                error = (weights * (truth - scale * guess) ** 2).sum() / (weights * truth**2).sum()
                errors.append(np.sqrt(error))
    assert np.mean(errors) == pytest.approx(0.231, abs=0.01)
