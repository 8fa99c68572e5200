"""Kinds of values in config.yaml: paths that exist, names, ports; and the section that all sections are."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

_LONGEST_PATH = 1024
_LOOK = "Correct the path (a relative one counts from the folder of this file), or see that its disk is mounted"
_RIGHT = "Give the user that runs edge the right to read it (chmod, chgrp), and see that its disk is well"


def problem(what: str, remedy: str, *key: str | int) -> PydanticCustomError:
    """An error for a validator to raise; `key` is the path from the validated value to the culprit."""
    context = {"remedy": remedy, "key": list(key)}
    return PydanticCustomError("edge", "{problem}", context | {"problem": what})


def is_secret(field: FieldInfo | None, *kinds: object) -> bool:
    """Whether a key's value may not be shown: it is marked `writeOnly`, or `SecretStr` is among what it may be."""
    extra = None if field is None else field.json_schema_extra
    return SecretStr in kinds or (isinstance(extra, dict) and bool(extra.get("writeOnly")))


def host_name(value: str) -> str:
    """A name or an IP address; an address of more than that may hold a password, and is not repeated."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[\w.-]{1,253}", bare):
            remedy = "Write the broker's name or IP address alone; port, username and tls are keys of their own"
            raise problem("is more than a host's name", remedy) from None
    return bare


def not_there(what: str, remedy: str) -> PydanticCustomError:
    """The same for something outside the file that may come by itself: a disk, a secret."""
    return PydanticCustomError("edge_not_there", "{problem}", {"problem": what, "remedy": remedy, "key": []})


def _resolved(value: object, info: ValidationInfo) -> object:
    """Text as a path; a relative one counts from the configuration file's folder, `~` is the home folder."""
    if not isinstance(value, str):
        return value
    if not value.isprintable() or len(value) > _LONGEST_PATH:
        raise problem("is not a path", "Write the path of a file or folder, in one line")
    folder = (info.context or {}).get("folder", Path.cwd())
    try:
        return Path(os.path.normpath(folder / Path(value).expanduser()))
    except RuntimeError as error:
        raise problem("begins with the home folder of no known user", "Write the whole path") from error


def _credential(value: object, info: ValidationInfo) -> object:
    """Like `_resolved`, but a bare name is first looked for among systemd's credentials."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    path = _resolved(value, info)
    if isinstance(value, str) and credentials and os.path.isfile(os.path.join(credentials, value)):
        return Path(credentials) / value
    return path


def state_folder() -> Path | None:
    """The folder that systemd gives the service for what it keeps, where it gives one."""
    first = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None


def _state(value: object, info: ValidationInfo) -> object:
    """Like `_resolved`, but a bare name lies in the service's state folder, where there is one."""
    folder, path = state_folder(), _resolved(value, info)
    return folder / value if folder is not None and isinstance(value, str) and "/" not in value else path


def _existing(kind: Literal["file", "folder", "file or folder"], *, secret: bool = False) -> Callable[[Path], Path]:
    """Refuses what is not there. `secret`: what was written may be the secret itself, and is not repeated."""
    kinds = {"file": (stat.S_ISREG,), "folder": (stat.S_ISDIR,), "file or folder": (stat.S_ISREG, stat.S_ISDIR)}[kind]

    def check(path: Path) -> Path:
        shown = f"the {kind} of that name" if secret else str(path)
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            nothing = "nothing at" if len(kinds) > 1 else f"no {kind}"
            raise not_there(f"no {kind} of that name" if secret else f"{nothing} {path}", _LOOK) from error
        except OSError as error:
            raise not_there(f"may not look at {shown} ({error.strerror})", _RIGHT) from error
        if not any(is_kind(mode) for is_kind in kinds):
            raise problem(f"{shown} is no {kind}", f"Name a {kind}")
        if not os.access(path, os.R_OK):
            raise not_there(f"may not read {shown}", _RIGHT)
        return path

    return check


ExistingPath = Annotated[Path, AfterValidator(_existing("file or folder")), BeforeValidator(_resolved)]
ExistingFile = Annotated[Path, AfterValidator(_existing("file")), BeforeValidator(_resolved)]
StateFile = Annotated[Path, BeforeValidator(_state)]
PathToMake = Annotated[Path, BeforeValidator(_resolved)]
ExistingFolder = Annotated[Path, AfterValidator(_existing("folder")), BeforeValidator(_resolved)]
HOLDS_A_SECRET = "holds a secret"
"""Among a field's metadata: it names a file that nobody else may see into."""
SecretFile = Annotated[
    Path, AfterValidator(_existing("file", secret=True)), BeforeValidator(_credential), HOLDS_A_SECRET
]
HostName = Annotated[str, AfterValidator(host_name)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
SidePx = Annotated[int, Field(ge=16, le=16384)]
Rate = Annotated[float, Field(gt=0, le=1000)]


class Section(BaseModel):
    """A mapping of the file: unknown keys and wrong types are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
