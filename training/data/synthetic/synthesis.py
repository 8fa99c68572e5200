"""Making many rooms: in processes or on a cluster, resuming, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from edge.errors import DataError
from training.data.sets.hdr_files import environment_files, place_of
from training.data.synthetic.cluster import rendered_on_cluster
from training.data.synthetic.jobs import Job, render
from training.data.synthetic.processes import in_processes
from training.data.synthetic.shards import check_same_run, fill, write_part

SHARD_ROOMS = 32


def _render(job: Job, index: int) -> int:
    write_part(job.out, render(job, index), job.about)
    return index


def _held_out(assets: Path | None, places: tuple[str, ...]) -> tuple[str, ...]:
    """File names of the environments that show the places named."""
    if not places:
        return ()
    folder = assets / "hdri" if assets is not None else None
    names = [p.name for p in environment_files(folder)] if folder is not None else []
    for place in places:
        if place not in map(place_of, names):
            raise DataError(
                f"no environment in {folder} shows {place!r}, so it cannot be held out; "
                "give a file's name without its kind and ending"
            )
    return tuple(n for n in names if place_of(n) in places)


def _on_cluster(job: Job, todo: list[int], workers: int, address: str) -> Iterator[int]:
    for item in rendered_on_cluster(job, todo, address, workers):
        write_part(job.out, item, job.about)
        yield int(item["attributes"]["index"])


def synthesize(
    out: Path, rooms: int, seed: int = 1, workers: int = 1, assets: Path | None = None, *,
    size_px: tuple[int, int] = (512, 256), samples: int = 16, views: int = 3,
    view_size_px: tuple[int, int] = (256, 192), threads: int = 1, pictures: bool = True,
    hold_out_skies: tuple[str, ...] = (), ray: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Render rooms 0..rooms-1 of a series into a folder; what is there already is kept. Returns the shards.

    A room depends on the seed and its index alone, not on the workers: whoever renders, each shard is the same file,
    byte for byte on processors of one kind.

    Args:
        out: folder, made if need be; see `rendered` for its files.
        rooms: how many rooms the folder shall hold.
        seed: of the series.
        workers: rendering processes.
        assets: folder of models, textures, pictures and skies; None makes simple ones.
        size_px: width and height of the panorama, 2:1.
        samples: paths a pixel of the panorama; perspective views take half.
        views: perspective pictures a room.
        view_size_px: width and height of those.
        threads: of each process.
        pictures: whether pictures from the assets may hang on walls.
        hold_out_skies: places, as `place_of` names them, that stand behind no window.
        ray: address of a Ray cluster, or `local` for one of `workers` processes here; the machines need this package
            and the assets at the same path, and this process alone writes files.
        progress: called with (rooms finished, rooms in all), at first with those found.

    Raises:
        DataError: sizes or assets are wrong, `out` holds another run, a worker died, or no Ray cluster is there.
    """
    if size_px[0] != 2 * size_px[1] or min(*size_px, *view_size_px, rooms, workers, samples) < 1 or views < 0:
        raise DataError(
            f"panorama {size_px} must be twice as wide as high and all counts positive; correct the options"
        )
    out.mkdir(parents=True, exist_ok=True)
    job = Job(out, seed, assets, pictures, size_px, view_size_px, samples, views, threads,
              _held_out(assets, hold_out_skies))  # fmt: skip
    check_same_run(job.out, job.about)
    make = partial(in_processes, partial(_render, job), workers=workers)
    if ray is not None:
        make = partial(_on_cluster, job, workers=workers, address=ray)
    return fill(out, rooms, make, job.about, each=SHARD_ROOMS, stem="rooms", progress=progress)
