"""`engine/build` and `engine/rollback`: what TensorRT runs, built and taken back by a process of its own."""

from __future__ import annotations

from typing import Any

from edge.daemon.engine_jobs import EngineJobs
from edge.mqtt.verbs import VERBS, BuildAnswer, BuildArguments, RollbackAnswer, RollbackArguments


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
