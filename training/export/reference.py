"""The manifest's reference: what the pictures are like that a network was proved on, or could have been."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.inference.manifest import read_manifest, write_manifest
from edge.inference.reference import QUANTILES, FeatureReference, JointReference, Reference
from edge.perception.picture_features import PICTURE_FEATURES, picture_features, unskewed, unskewed_floor
from edge.scene import ImageArray
from training.config.recipe import Recipe
from training.data import evaluation
from training.data.mix.entries import Part, spread
from training.data.synthetic.shards import about_of
from training.export.card import CARD_FILE, with_reference
from training.export.proof.views import entries_of

Array = npt.NDArray[np.float64]

FEWEST = 20
"""Of fewer rooms quantiles say nothing."""


@dataclass(frozen=True)
class Known:
    """A picture that was not learnt from, and the scene that it shows."""

    scene: str
    image: ImageArray


def known_pictures(recipe: Recipe, parts: Collection[Part], count: int) -> Iterator[Known]:
    """About `count` pictures of those parts of the recipe's data, evenly from its sets.

    Panoramas come with what a perspective camera sees of them, where the network is told what is seen.
    """
    sets = [(place, entries) for part in parts for place, entries in enumerate(entries_of(recipe, part)) if entries]
    share = -(-count // max(1, len(sets) * (2 if recipe.input.mask_channel else 1)))
    for place, entries in sets:
        for entry in spread(entries, share):
            case, scene = entry.read(), f"{place} {entry.scene}"
            yield Known(scene, case.image)
            if recipe.input.mask_channel and case.camera.projection == "equirectangular":
                yield Known(scene, evaluation.view_of(case.image, case.camera.camera_height_m)[0])


def described(recipe: Recipe, parts: Sequence[Part]) -> str:
    """What those pictures are, for manifest and card."""
    data, said = recipe.data, []
    if data.rooms is not None:
        said.append(f"rendered rooms{_series(data.rooms)}")
    if data.hdri is not None and recipe.noun == "lighting":
        said.append("environments that were held out")
    said += [f"{source.kind} ({source.path.name})" for source in data.sources if source.path is not None]
    return f"{', '.join(said)}; {', '.join(parts)} split"


def _series(rooms: Path) -> str:
    """Seed and generator of rendered rooms; empty where their files do not say."""
    about = about_of(rooms)
    return f" of seed {int(about['seed'])} ({about.get('generator')})" if "seed" in about else ""


def reference_of(known: Sequence[Known], data: str) -> Reference | None:
    """What they are like, in numbers of the device's own code; None: they show too few scenes."""
    place = {scene: i for i, scene in enumerate(dict.fromkeys(picture.scene for picture in known))}
    if len(place) < FEWEST:
        return None
    rows = [picture_features(picture.image) for picture in known]
    values = {name: np.array([row[name] for row in rows]) for name in PICTURE_FEATURES}
    return summed_up(values, np.array([place[picture.scene] for picture in known]), data)


def summed_up(values: Mapping[str, Array], room: npt.NDArray[np.int64], data: str) -> Reference:
    """The reference of (N,) pictures' features and the number of the room, from 0, that each picture shows."""
    rooms = int(room.max()) + 1
    of_rooms = {name: [v[room == i] for i in range(rooms)] for name, v in values.items()}
    scaled = {name: unskewed(name, [np.median(of_room) for of_room in of]) for name, of in of_rooms.items()}
    return Reference(
        pictures=len(room),
        scenes=rooms,
        data=data,
        features={
            name: FeatureReference(
                quantiles=tuple(np.quantile(v, np.linspace(0, 1, QUANTILES)).round(6).tolist()),
                mean=round(float(np.mean([of_room.mean() for of_room in of_rooms[name]])), 6),
                std=round(float(v.std()), 6),
                between_room_std=round(float(np.std(scaled[name], ddof=1)), 6),
            )
            for name, v in values.items()
        },
        joint=_joint(scaled),
    )


def _joint(medians: Mapping[str, Array]) -> JointReference:
    """Mean and precision of (rooms,) medians of each feature, as `unskewed` gives them.

    To every variance that is added which a feature has by itself: so the covariance can be inverted, and nothing that
    hardly differs between rooms decides. It makes distances smaller, so that nothing more is told.
    """
    rooms = np.array(list(medians.values()))
    precision = np.linalg.inv(np.cov(rooms) + np.diag([unskewed_floor(name) ** 2 for name in medians]))
    return JointReference(
        features=tuple(medians),
        mean=tuple(rooms.mean(axis=1).round(6).tolist()),
        precision=tuple(tuple(row) for row in ((precision + precision.T) / 2).round(6).tolist()),
    )


def add_reference(folder: Path, known: Sequence[Known], data: str) -> Reference:
    """Write the reference into the manifest and the card of a model folder that is there already; nothing is trained.

    Raises:
        DataError: the pictures show too few scenes, or the folder cannot be written.
        ManifestError: the manifest is wrong.
    """
    manifest = read_manifest(folder)
    reference = reference_of(known, data)
    if reference is None:
        scenes = len({picture.scene for picture in known})
        raise DataError(f"{scenes} scenes are too few to say what pictures are like; give {FEWEST} or more")
    try:
        write_manifest(folder, manifest.model_copy(update={"reference": reference}))
        card = folder / CARD_FILE
        if card.is_file():
            card.write_text(with_reference(card.read_text(encoding="utf-8"), reference), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); give a folder that you may write") from error
    return reference
