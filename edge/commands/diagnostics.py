"""`edge diagnostics`: one file for whoever helps, with no secret in it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.log import log_to_stderr
from edge.commands.terminal import ConfigPath, console, err, errors_as_exit_codes
from edge.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.config.sections import Config

_ENDING = ".tar.gz"
_ABOUT = """What `edge diagnostics` found on a device. Secrets were struck out (***): passwords, keys, users and paths
in addresses, and what of the environment sounds like a secret. Look through it before you send it: names of the device,
its cameras, hosts and files are in it. No picture is.
"""


def diagnostics(
    file: Annotated[Path, typer.Argument(help="Where to write it; ends in .tar.gz.")],
    config: ConfigPath = Path("config.yaml"),
    log: Annotated[
        Path | None, typer.Option(help="File with the daemon's log; default: the journal of the unit edge.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Also try everything as `edge check` does; takes a while.")
    ] = True,
) -> None:
    """Write a file to send to whoever helps: configuration, versions, log, health, metrics, states, checks.

    Passwords, keys and addresses' paths are struck out of all of it. A part that cannot be had says why.
    """
    from edge.commands.bundle import parts
    from edge.config.hidden import Secrets

    log_to_stderr("CRITICAL", "%(message)s")
    with errors_as_exit_codes():
        if not file.name.endswith(_ENDING):
            raise EdgeError(f"{file}: is no {_ENDING} file; name it so, that whoever gets it can open it")
        settings = _settings(config)
        secrets = Secrets(_raw(config) if isinstance(settings, str) else settings, os.environ)
        texts = {"README.txt": _ABOUT}
        for name, make in parts(
            settings, log, check=check, say=lambda text: err.print(text, style="dim", markup=False)
        ):
            try:
                text = make()
            except Exception as error:  # what is wrong with a part is what is looked for
                logging.getLogger(__name__).debug("%s", name, exc_info=True)
                text = f"could not be had: {type(error).__name__}: {error}"
            struck = secrets.strike_all(text)
            texts[name] = struck if isinstance(struck, str) else json.dumps(struck, indent=1, default=str)
        _write(file, texts)
    console.print(f"{file}: {len(texts)} files; look through it before you send it", markup=False, soft_wrap=True)


def _settings(path: Path) -> Config | str:
    """The configuration, or all that is wrong with it, which repeats no secret."""
    from edge.config.sections import load_config

    try:
        return load_config(path)
    except ConfigError as error:
        return str(error)


def _raw(path: Path) -> object:
    """What a configuration holds that is none."""
    import yaml

    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    return None


def _write(file: Path, texts: dict[str, str]) -> None:
    folder = file.name.removesuffix(_ENDING)
    try:
        private = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(private, "wb") as opened, tarfile.open(fileobj=opened, mode="w:gz") as archive:
            for name, text in texts.items():
                data = (text.rstrip("\n") + "\n").encode(errors="replace")
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o644
                archive.addfile(entry, io.BytesIO(data))
    except OSError as error:
        raise EdgeError(f"{file}: cannot be written ({error.strerror}); choose another place") from error
