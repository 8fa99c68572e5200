"""Kinds of values in config.yaml: paths that exist, names, ports; and the section that all sections are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError


def problem(what: str, remedy: str, *key: str | int) -> PydanticCustomError:
    """An error for a validator to raise; `key` is the path from the validated value to the culprit."""
    context = {"remedy": remedy, "key": list(key)}
    return PydanticCustomError("edge", "{problem}", context | {"problem": what})


def _resolved(value: object, info: ValidationInfo) -> object:
    """Text as a path; a relative one counts from the configuration file's folder, `~` is the home folder."""
    if not isinstance(value, str):
        return value
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(os.path.normpath(folder / Path(value).expanduser()))


def _credential(value: object, info: ValidationInfo) -> object:
    """Like `_resolved`, but a bare name is first looked for among systemd's credentials."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if isinstance(value, str) and credentials and (Path(credentials) / value).is_file():
        return Path(credentials) / value
    return _resolved(value, info)


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise problem(f"no file {path}", "Correct the path; a relative one counts from the folder of this file")
    if not os.access(path, os.R_OK):
        raise problem(f"may not read {path}", "Give the user that runs edge the right to read it (chmod, chgrp)")
    return path


def _existing(path: Path) -> Path:
    if not path.exists():
        raise problem(f"nothing at {path}", "Correct the path; a relative one counts from the folder of this file")
    return path


def _existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise problem(f"no folder {path}", "Correct the path; a relative one counts from the folder of this file")
    return path


ExistingPath = Annotated[Path, AfterValidator(_existing), BeforeValidator(_resolved)]
ExistingFile = Annotated[Path, AfterValidator(_existing_file), BeforeValidator(_resolved)]
PathToMake = Annotated[Path, BeforeValidator(_resolved)]
ExistingFolder = Annotated[Path, AfterValidator(_existing_folder), BeforeValidator(_resolved)]
SecretFile = Annotated[Path, AfterValidator(_existing_file), BeforeValidator(_credential)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
SidePx = Annotated[int, Field(ge=16, le=16384)]
Rate = Annotated[float, Field(gt=0, le=1000)]


class Section(BaseModel):
    """A mapping of the file: unknown keys and wrong types are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
