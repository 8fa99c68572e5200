"""What a run of the synthesizer shares, and one room of it rendered: the same in whatever process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.data.synthetic.assets import Catalog, read_catalog
from training.data.synthetic.rendered import render_room
from training.data.synthetic.rooms import GENERATOR, describe
from training.data.synthetic.shards import Item
from training.data.synthetic.tracer import Tracer


@dataclass(frozen=True)
class Job:
    """What every room of a run shares; sizes are (width, height), `without_skies` file names."""

    out: Path
    seed: int
    assets: Path | None
    pictures: bool
    size_px: tuple[int, int]
    view_size_px: tuple[int, int]
    samples: int
    views: int
    threads: int
    without_skies: tuple[str, ...] = ()

    @property
    def catalog(self) -> Catalog:
        """What the rooms are made of."""
        return read_catalog(self.assets, self.pictures, self.without_skies)

    @property
    def about(self) -> dict[str, Any]:
        """Attributes of every file of the run; rooms of different runs never mix."""
        return {
            "generator": GENERATOR, "seed": self.seed, "samples": self.samples, "size_px": list(self.size_px),
            "view_size_px": list(self.view_size_px), "views": self.views,
            "assets": self.catalog.summary, "without_skies": " ".join(self.without_skies),
        }  # fmt: skip


@lru_cache(maxsize=1)
def _tracer(job: Job) -> Tracer:
    return Tracer(job.catalog, job.threads, job.samples)


def render(job: Job, index: int) -> Item:
    """One room of a run as arrays; the renderer is made once a process."""
    catalog = job.catalog
    room = describe(job.seed, index, catalog, job.views)
    return render_room(_tracer(job), room, catalog, job.size_px, job.view_size_px)
