"""Every exception this package raises on purpose.

    EdgeError
    ├── ConfigError        a key of config.yaml is unknown, missing or wrong       (exit code 78)
    │   ├── ConfigErrors   all that is wrong in it
    │   └── NotThereError  what it names is not there, or not yet: a disk, a secret (exit code 69)
    ├── CameraError        a source cannot be opened, timed out or sent no picture
    ├── ImageError         a picture that cannot be used (size, type, channels)
    ├── GeometryError      a shape that is not what the formula needs
    ├── CalibrationError   pictures that a camera cannot be calibrated by
    ├── EngineError        a model cannot be loaded, verified or run
    │   ├── UnknownModelError  no model of that name is in the folder
    │   ├── ManifestError  manifest.json is wrong, or the model does not match it
    │   ├── PlanError      a TensorRT plan that may not be loaded, with the reason in one word
    │   └── BuildError     TensorRT could not build a plan, or not in time
    ├── ObjectError        nothing in a picture can be told apart or reconstructed as one object
    ├── PublishError       a broker refused, or a payload is not what its schema says
    ├── SpoolError         messages cannot be kept on the disk, with the reason in one word
    └── DataError          a data set, recipe or checkpoint is not laid out as expected (training)

Messages end in the remedy. Data that a caller may want is kept as fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError  # capture processes come by without pydantic


class EdgeError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(EdgeError):
    """One thing wrong in config.yaml, with where it stands and what to do about it."""

    def __init__(
        self, key: str, problem: str, remedy: str, *, path: Path | None = None, line: int | None = None
    ) -> None:
        self.key, self.problem, self.remedy, self.path, self.line = key, problem, remedy, path, line
        where = f"{path or 'configuration'}" + (f", line {line}" if line else "")
        super().__init__(f"{where}: {key}: {problem}. {remedy}" if key else f"{where}: {problem}. {remedy}")


class NotThereError(ConfigError):
    """What config.yaml names, or itself, is not there: it may come, as a disk that is mounted late does."""


class ConfigErrors(ConfigError):
    """Everything wrong in a configuration file: itself the first problem by line, with all of them in `problems`."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        problems = sorted(problems, key=lambda problem: problem.line or 0)
        first = problems[0]
        super().__init__(first.key, first.problem, first.remedy, path=first.path, line=first.line)
        self.problems = tuple(problems)

    @property
    def not_there(self) -> bool:
        """Whether nothing is wrong but that something is not there."""
        return all(isinstance(problem, NotThereError) for problem in self.problems)

    def __str__(self) -> str:
        """One line per problem."""
        return "\n".join(str(problem) for problem in self.problems)


class CameraError(EdgeError):
    """A source cannot be opened, timed out or sent no picture."""


class ImageError(EdgeError):
    """A picture that cannot be used: size, type or channels."""


class GeometryError(EdgeError):
    """An array or shape that the formula cannot take."""


class CalibrationError(EdgeError):
    """Pictures, or what was said of them, by which a camera cannot be calibrated."""


class EngineError(EdgeError):
    """A model cannot be loaded, verified or run."""


class UnknownModelError(EngineError):
    """No model of that name is in the folder; `problem` and `remedy` are the parts of the message."""

    def __init__(self, name: str, root: Path, there: Sequence[str]) -> None:
        self.name, self.there = name, tuple(there)
        self.problem = f"no model {name!r} in {root}"
        self.remedy = f"Use one of those there: {', '.join(there) or 'none'}"
        super().__init__(f"{self.problem}. {self.remedy}")


class ManifestError(EngineError):
    """A manifest.json is wrong, or the model beside it does not match it."""


class PlanError(EngineError):
    """A TensorRT plan may not be loaded; `reason` says why in one word, e.g. missing, tampered, version."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class BuildError(EngineError):
    """TensorRT could not build a plan, or not in time."""


class ObjectError(EdgeError):
    """Nothing at that place of a picture can be told apart, or reconstructed, as one object."""


class PublishError(EdgeError):
    """A broker refused, or a payload does not fit its schema."""


class SpoolError(EdgeError):
    """Messages cannot be kept on the disk; `reason` says why in one word: in_use, damaged, full or unwritable."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class DataError(EdgeError):
    """A data set, recipe or checkpoint is not laid out as expected."""


def dotted(keys: Sequence[str | int]) -> str:
    """`cameras[0].source.path`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def plain(text: str) -> str:
    """Text that others may have written, with whatever would move a terminal's cursor or hide letters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def explain(error: ValidationError, whole: str) -> list[str]:
    """What pydantic found wrong, each as `key[0].key: what`, in its order; the value itself is called `whole`."""
    details = error.errors(include_url=False, include_input=False)
    return [f"{dotted(detail['loc']) or whole}: {detail['msg']}" for detail in details]
