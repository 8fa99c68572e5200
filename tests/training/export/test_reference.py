"""The manifest's reference: quantiles of pictures that were not learnt from, from the device's own code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edge.errors import DataError
from edge.inference.manifest import read_manifest
from edge.inference.reference import FeatureReference, Reference
from edge.perception.picture_features import PICTURE_FEATURES, picture_features
from training.export.card import with_reference
from training.export.reference import FEWEST, Known, add_reference, reference_of

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
