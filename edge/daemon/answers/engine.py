"""`engine/build`, `engine/rollback`, `engine/install`: engines built, taken back, installed by a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.daemon.engine_jobs import EngineJobs
from edge.errors import EngineError
from edge.mqtt.verbs import (
    VERBS,
    BuildAnswer,
    BuildArguments,
    InstallAnswer,
    InstallArguments,
    RollbackAnswer,
    RollbackArguments,
)


def build(arguments: BuildArguments, *, jobs: EngineJobs) -> dict[str, Any]:
    """Begin; an event tells the end.

    Raises:
        EdgeError: a build is going on, or no process can be started.
    """
    options = [] if arguments.engine is None else [arguments.engine]
    options += [] if arguments.precision is None else ["--precision", arguments.precision]
    jobs.begin_build([*options, *(["--force"] if arguments.force else [])], arguments.engine)
    return BuildAnswer(engine=arguments.engine).model_dump(mode="json")


def rollback(arguments: RollbackArguments, *, jobs: EngineJobs) -> dict[str, Any]:
    """Reject the current plan; the one before it serves from the next start on.

    Raises:
        EdgeError: there is no such engine, or nothing to go back to.
    """
    said = jobs.rollback(arguments.engine, VERBS["engine/rollback"].within_s - 5.0)
    return RollbackAnswer(engine=arguments.engine, message=said).model_dump(mode="json")


def install(arguments: InstallArguments, *, jobs: EngineJobs, sources: Callable[[], tuple[str, ...]]) -> dict[str, Any]:
    """Begin to fetch and prove a package; events tell the end, and how its trial goes.

    Raises:
        EdgeError: nothing may be fetched from there, a build or installation is going on, or no process can be started.
    """
    inside = (s if s.endswith("/") else f"{s}/" for s in sources())
    if ".." in arguments.url or not any(arguments.url.startswith(source) for source in inside):
        raise EngineError("nothing may be fetched from there; models.sources in the device's configuration says whence")
    options = [arguments.url, "--digest", arguments.sha256]
    options += [] if arguments.signature is None else ["--signature", arguments.signature]
    jobs.begin_install(options)
    return InstallAnswer().model_dump(mode="json")
