"""Rendering on a Ray cluster gives the files that processes here give; what is wrong with it is told with a remedy."""

import sys
from pathlib import Path

import pytest

from edge.errors import DataError
from training.data.synthetic import synthesize
from training.data.synthetic.jobs import Job
from training.data.synthetic.tracer import mitsuba_started

SIZE, VIEW = (64, 32), (32, 24)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cluster_renders_what_processes_render(tmp_path: Path) -> None:
    """A real local cluster of two workers writes the same shard, byte for byte, as one process without Ray."""
    pytest.importorskip("ray")
    pytest.importorskip("mitsuba")
    try:
        mitsuba_started(1)
    except DataError as error:
        pytest.skip(str(error))
    written = [
        synthesize(tmp_path / name, 3, 9, workers, size_px=SIZE, samples=4, views=1, view_size_px=VIEW, ray=ray)
        for name, workers, ray in (("alone", 1, None), ("cluster", 2, "local"))
    ]
    assert [[p.name for p in shards] for shards in written] == [["rooms-00000.h5"]] * 2
    assert written[0][0].read_bytes() == written[1][0].read_bytes()
    assert sorted(p.name for p in (tmp_path / "cluster").iterdir()) == ["rooms-00000.h5"]


def test_other_assets_on_a_machine_are_refused() -> None:
    """A machine that would make other rooms says so instead of mixing them in."""
    from training.data.synthetic.cluster import _remote_room

    job = Job(Path(), 9, None, True, SIZE, VIEW, 4, 1, 1)
    with pytest.raises(DataError, match="same assets"):
        _remote_room(job, {**job.about, "assets": "2 models"}, 0)


def test_missing_ray_and_missing_cluster_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray, or with nothing at the address, the message names the remedy; nothing is written."""
    pytest.importorskip("ray")
    for nowhere in ("127.0.0.1:1", "ray://127.0.0.1:1", "no address"):
        with pytest.raises(DataError, match="ray start --head"):
            synthesize(tmp_path, 1, ray=nowhere, size_px=SIZE)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="pip install"):
        synthesize(tmp_path, 1, ray="local", size_px=SIZE)
    assert not list(tmp_path.iterdir())
