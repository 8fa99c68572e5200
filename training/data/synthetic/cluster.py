"""Rooms rendered on a Ray cluster. The only file that speaks to Ray.

Rooms travel back as arrays, so the machines share no folder; a room whose machine is lost is rendered on another.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from typing import Any

from edge.errors import DataError, EdgeError
from training.data.synthetic.jobs import Job, render
from training.data.synthetic.shards import Item

WORKER_ROOMS = 64
"""Rooms after which a worker process is replaced, so that no renderer's memory grows for ever."""


def _remote_room(job: Job, about: dict[str, Any], index: int) -> Item:
    if job.about != about:
        raise DataError(
            f"a machine of the cluster would make other rooms ({job.about}) than this one ({about}); "
            "install the same version there and copy the same assets to the same path"
        )
    return render(job, index)


def _check_answers(address: str) -> None:
    """Ray itself goes on trying for minutes.

    Raises:
        OSError: nothing listens there.
        ValueError: it is no host:port.
    """
    if address in ("local", "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
        pass


def _connected(address: str, workers: int) -> Any:
    """The ray module, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise DataError("Ray is not installed; pip install 'ray>=2.40', or leave --ray out") from error
    local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    try:
        _check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level="error", **local)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise DataError(
            f"no Ray cluster answers at {address!r} ({error}); start one with `ray start --head` and give its "
            "host:port, or `local`"
        ) from error
    return ray


def rendered_on_cluster(job: Job, todo: list[int], address: str, workers: int) -> Iterator[Item]:
    """Those rooms as they get done, in any order.

    Args:
        job: what they share.
        todo: their indices.
        address: of the cluster, `auto`, or `local` to start one here for as long as this takes.
        workers: rendering processes of a local one; others use all their processors.

    Raises:
        DataError: Ray is missing, nothing answers, a machine holds other assets, or the cluster broke down.
    """
    if not todo:
        return
    about, queue = job.about, iter(todo)
    ray = _connected(address, workers)
    try:
        task = ray.remote(num_cpus=job.threads, max_calls=WORKER_ROOMS)(_remote_room)
        at_once = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)) // job.threads)
        waiting = [task.remote(job, about, i) for i in islice(queue, at_once)]
        while waiting:
            (done, *_), waiting = ray.wait(waiting)
            yield ray.get(done)
            waiting += [task.remote(job, about, i) for i in islice(queue, 1)]
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EdgeError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise DataError(f"the Ray cluster broke down ({error}); run again, finished rooms are kept") from error
    finally:
        ray.shutdown()
