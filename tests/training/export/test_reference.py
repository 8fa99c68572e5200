"""The manifest's reference: quantiles of pictures that were not learnt from, from the device's own code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from edge.daemon.drift import training_of
from edge.errors import DataError
from edge.inference.manifest import read_manifest
from edge.inference.reference import FeatureReference, JointReference, Reference
from edge.monitor.novelty import ALPHA, JOINT_ALPHA, novelty
from edge.perception.picture_features import PICTURE_FEATURES, picture_features, unskewed
from training.export.card import with_reference
from training.export.reference import FEWEST, Known, add_reference, reference_of, summed_up

SHIPPED = Path(__file__).resolve().parents[3] / "engines" / "depth"


def pictures(scenes: int, each: int = 1) -> list[Known]:
    """Grey ones of different brightness."""
    random = np.random.default_rng(0)
    shades = [int(random.integers(0, 255)) for _ in range(scenes * each)]
    return [Known(str(i % scenes), np.full((32, 64, 3), shade, np.uint8)) for i, shade in enumerate(shades)]


def test_reference_is_of_the_pictures() -> None:
    """Every feature's quantiles run from its least to its greatest value, with what the pictures are."""
    known = pictures(FEWEST, 2)
    found = reference_of(known, "grey ones")
    assert found is not None
    assert (found.pictures, found.scenes, found.data) == (2 * FEWEST, FEWEST, "grey ones")
    assert tuple(found.features) == PICTURE_FEATURES
    light = [picture_features(k.image)["luminance"] for k in known]
    of_light = found.features["luminance"].quantiles
    assert (of_light[0], of_light[50], of_light[100]) == pytest.approx(
        (min(light), float(np.median(light)), max(light)), abs=1e-6
    )
    assert Reference.model_validate_json(found.model_dump_json()) == found


def test_many_pictures_of_few_rooms_give_none() -> None:
    """A camera in another room would be unlike them: rooms are counted, not pictures."""
    assert reference_of(pictures(FEWEST - 1, 5), "") is None


def test_a_reference_is_added_to_a_model_that_is_there(tmp_path: Path) -> None:
    """Manifest and card say of what it is; all else stays; done again, it is replaced; too few change nothing."""
    for name in ("manifest.json", "card.md"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    before = read_manifest(tmp_path)
    with pytest.raises(DataError, match=f"3 scenes are too few .* give {FEWEST}"):
        add_reference(tmp_path, pictures(3), "few")
    assert json.loads((tmp_path / "manifest.json").read_text()) == json.loads((SHIPPED / "manifest.json").read_text())
    for data in ("rendered rooms of seed 5", "rendered rooms of seed 6"):
        added = add_reference(tmp_path, pictures(FEWEST), data)
        assert read_manifest(tmp_path) == before.model_copy(update={"reference": added})
    text = (tmp_path / "card.md").read_text()
    assert "20 pictures of 20 scenes: rendered rooms of seed 6." in text
    assert "seed 5" not in text
    assert text.count("## Pictures it knows") == 1
    assert text == with_reference((SHIPPED / "card.md").read_text(), added)


def test_falling_quantiles_are_refused() -> None:
    """They are no distribution."""
    with pytest.raises(ValidationError, match="do not fall"):
        FeatureReference(quantiles=tuple(np.linspace(1, 0, 101)), mean=0.5, std=0.3)


def test_rooms_are_held_against_each_other() -> None:
    """Between rooms the shades differ, within one they do not: that is told from what pictures differ by in all."""
    known = [Known(str(i), np.full((32, 64, 3), 5 * i + 10 * k, np.uint8)) for i in range(FEWEST) for k in (0, 5)]
    found = reference_of(known, "")
    assert found is not None
    light = found.features["luminance"]
    of_rooms = unskewed("luminance", (5 * np.arange(FEWEST) + 25) / 255)
    assert light.between_room_std == pytest.approx(np.std(of_rooms, ddof=1), rel=0.02)
    assert light.between_room_std < np.std(unskewed("luminance", light.quantiles))
    assert found.joint is not None
    assert found.joint.features == PICTURE_FEATURES
    assert Reference.model_validate_json(found.model_dump_json()) == found


def test_a_joint_that_is_none_is_refused() -> None:
    """A precision that inverts no covariance, sizes that differ, and rooms that are too few."""
    for precision in (((1.0, 2.0), (2.0, 1.0)), ((1.0, 0.5), (0.0, 1.0)), ((1.0,),)):
        with pytest.raises(ValidationError, match="write the reference anew"):
            JointReference(features=("a", "b"), mean=(0.0, 0.0), precision=precision)
    feature = FeatureReference(quantiles=tuple(range(101)), mean=50.0, std=29.0, between_room_std=29.0)
    joint = JointReference(features=("a", "b"), mean=(0.0, 0.0), precision=((1.0, 0.0), (0.0, 1.0)))
    for scenes, features, of_all, said in (
        (2, {"a": feature, "b": feature}, joint, "2 rooms do not say"),
        (30, {"a": feature}, joint, "all features"),
        (30, {"a": feature, "b": feature}, None, "go together"),
    ):
        with pytest.raises(ValidationError, match=said):
            Reference(pictures=30, scenes=scenes, data="", features=features, joint=of_all)


# How often a room that nobody has seen is called unknown --------------------------------------------------------------

Array = npt.NDArray[np.float64]
_CORRELATED = {
    ("sharpness", "edges"): 0.8,
    ("sharpness", "noise"): 0.6,
    ("edges", "noise"): 0.5,
    ("contrast", "edges"): 0.5,
}


_SKEWED = ("dark", "clipped", "edges")


def rooms(random: np.random.Generator, count: int, pictures_each: int, within: float) -> dict[str, Array]:
    """Features (count, pictures_each) of rooms: correlated, shares with a long tail, the others normal.

    `within`: share of the standard deviation that is not between rooms but between pictures of one.
    """
    correlation = np.eye(len(PICTURE_FEATURES))
    for (a, b), r in _CORRELATED.items():
        i, j = PICTURE_FEATURES.index(a), PICTURE_FEATURES.index(b)
        correlation[i, j] = correlation[j, i] = r
    room = random.standard_normal((count, len(correlation))) @ np.linalg.cholesky(correlation).T
    picture = random.standard_normal((count, pictures_each, len(correlation)))
    z = np.sqrt(1 - within**2) * room[:, None] + within * picture
    chi = 1.2533 * z  # |z| of a normal law has a mean of 0.8
    return {
        name: 0.03 * (chi[..., k] ** 2 / 2 if name in _SKEWED else 10 + z[..., k])
        for k, name in enumerate(PICTURE_FEATURES)
    }


def called_unknown(known_rooms: int, cameras: int, references: int) -> tuple[int, int, int]:
    """Of so many cameras in new rooms: called unknown by one feature, by all together, and if ranks alone decided."""
    random = np.random.default_rng(known_rooms)
    alone = together = by_ranks = 0
    for _ in range(references):
        pictures = rooms(random, known_rooms, 6, within=0.3)
        room = np.repeat(np.arange(known_rooms), 6)
        training = training_of(summed_up({name: v.ravel() for name, v in pictures.items()}, room, "simulated"))
        assert training is not None
        days = rooms(random, cameras // references, 144, within=0.2)
        for camera in range(cameras // references):
            day = {name: v[camera] for name, v in days.items()}
            found = novelty(day, training)
            alone, together = alone + bool(found.outside), together + bool(found.together)
            edges = {
                name: np.interp((0.005, 0.995), np.linspace(0, 1, 101), k.quantiles)
                for name, k in training.features.items()
            }
            by_ranks += any(
                max((day[n] < low).mean(), (day[n] > high).mean()) >= 0.2 for n, (low, high) in edges.items()
            )
    return alone, together, by_ranks


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("known_rooms", [21, 50, 200, 1000])
def test_a_new_room_is_hardly_ever_called_unknown(known_rooms: int) -> None:
    """Of few rooms that are known and of many: no more often than was asked for, and what chance adds (99.9 %)."""
    cameras = 10_000 if os.environ.get("DRIFT") == "long" else 1000
    alone, together, by_ranks = called_unknown(known_rooms, cameras, references=cameras // 50)
    print(known_rooms, cameras, alone, together, by_ranks)
    for told, alpha in ((alone, ALPHA), (together, JOINT_ALPHA)):
        assert told <= alpha * cameras + 3.1 * (alpha * cameras) ** 0.5 + 1
    assert by_ranks > 3 * (alone + together)
