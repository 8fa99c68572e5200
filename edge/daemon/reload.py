"""What a configuration that was read again changes: what holds at once, and what needs a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from edge.config.sections import Config
from edge.config.values import Section
from edge.scene import Task

_AT_ONCE = ("cameras", "tasks", "scene_cut", "mqtt", "requests", "review", "home_assistant", "health", "log")
"""Sections that are applied to a running daemon; all others, also those that are yet to come, need a restart."""
_AFTER_RESTART = {
    "mqtt": {"client_id", "embedded", "spool"},
    "requests": {"overrides"},
    "home_assistant": {"discovery_prefix"},
}
"""Keys of those sections that are not."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one configuration to another."""

    effective: Config
    """The new one, with the old one's values where only a restart changes them."""
    applied: tuple[str, ...]
    restart_required: tuple[str, ...]


def difference(running: Config, new: Config, loaded: Collection[Task]) -> Difference:
    """What to apply of `new`.

    Args:
        running: what holds now.
        new: what the file says.
        loaded: tasks whose engine is loaded: it is another one after a restart.
    """
    effective = new.model_copy(
        update={name: _kept(getattr(running, name), getattr(new, name), name, loaded) for name in Config.model_fields}
    )
    changed, applied = set(_changed(running, new)), set(_changed(running, effective))
    return Difference(effective, tuple(sorted(applied)), tuple(sorted(changed - applied)))


def _kept(running: object, new: object, section: str, loaded: Collection[Task]) -> object:
    """A section of the new configuration, with what only a restart changes as it runs."""
    if section not in _AT_ONCE:
        return running
    if section == "mqtt" and (getattr(running, "host", None) is None) != (getattr(new, "host", None) is None):
        return running  # from the embedded broker to another, or back
    if section == "tasks":
        return _merged(running, new, {task: {"engine"} for task in (*loaded, "objects")})
    return _merged(running, new, _AFTER_RESTART.get(section, set()))


def _merged(running: object, new: object, kept: object) -> object:
    if not (isinstance(running, Section) and isinstance(new, Section)):
        return new
    if isinstance(kept, dict):
        update = {key: _merged(getattr(running, key), getattr(new, key), inner) for key, inner in kept.items()}
    else:
        assert isinstance(kept, set)
        update = {key: getattr(running, key) for key in kept if key in type(new).model_fields}
    return new.model_copy(update=update)


def _changed(one: BaseModel, other: BaseModel, before: str = "") -> Iterator[str]:
    """Dotted keys whose values differ; cameras by name."""
    for name in type(one).model_fields:
        key, a, b = f"{before}{name}", getattr(one, name), getattr(other, name)
        if a == b:
            continue
        if key == "cameras":
            old, new = {c.name: c for c in a}, {c.name: c for c in b}
            yield from (f"cameras.{n}" for n in {**old, **new} if old.get(n) != new.get(n))
        elif isinstance(a, Section) and type(a) is type(b):
            yield from _changed(a, b, f"{key}.")
        else:
            yield key
