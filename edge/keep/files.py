"""Files that nobody but this user can have written, and the device's key that signs them.

A TensorRT plan is native code: whoever can change it runs as the daemon. So a plan is read only from a regular file
that belongs to this user, that others may neither read nor write, and whose signature the device's own key gives.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edge.errors import EngineError, PlanError

KEY_BYTES = 32


def read_private(path: Path) -> bytes:
    """A file's bytes, after its owner, rights and kind were checked on the opened file itself.

    Raises:
        PlanError: `missing`, `link`, `owner` or `mode`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise PlanError("missing", f"no file {path}") from None
    except PermissionError as e:
        raise PlanError(
            "owner", f"{path}: user {os.geteuid()} may not read it; remove it, or build as the user that runs edge"
        ) from e
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise PlanError("link", f"{path} is a symbolic link, which is never followed; remove it") from e
        raise PlanError("missing", f"{path}: cannot be read ({e.strerror}); remove it") from e
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise PlanError("link", f"{path} is no regular file; remove it")
    with os.fdopen(fd, "rb") as file:
        if status.st_uid not in (os.geteuid(), 0):
            raise PlanError(
                "owner",
                f"{path} belongs to user {status.st_uid}, this runs as {os.geteuid()}; run it as that user, or remove "
                "the file if it should be this user's",
            )
        if status.st_mode & 0o077:
            raise PlanError(
                "mode", f"{path} has mode {status.st_mode & 0o777:o}, so others may read or change it; chmod 600 it"
            )
        try:
            return file.read()
        except OSError as e:
            raise PlanError("missing", f"{path}: cannot be read ({e.strerror}); remove it") from e


_MAKE_ROOM = "make room, or set inference.plans to a folder that the user who runs edge may write"


def make_private_folder(path: Path, *, remedy: str = _MAKE_ROOM) -> None:
    """Make a folder that only this user may enter; one that is there stays as it is.

    `remedy`: what to do if it cannot be made.

    Raises:
        EngineError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise _unwritable(path, e, remedy) from e


def write_private(path: Path, data: bytes, *, remedy: str = _MAKE_ROOM) -> None:
    """Replace a file by one of mode 0600 that is whole on the disk: the old one or the new one is there, never half.

    `remedy`: what to do if it cannot be written.

    Raises:
        EngineError: no space, or no right; the old file stands.
    """
    temporary = ""
    try:
        fd, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _unwritable(path, e, remedy) from e


def _unwritable(path: Path, error: OSError, remedy: str) -> EngineError:
    return EngineError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def device_key(path: Path, *, make: bool = False) -> bytes:
    """The key that signs this device's plans.

    Args:
        path: its file.
        make: make one where there is none.

    Raises:
        PlanError: `key`: there is none, it is too short, or others may have read it.
        EngineError: it cannot be made.
    """
    try:
        key = read_private(path)
    except PlanError as e:
        if e.reason != "missing":
            raise PlanError("key", f"the device's key is not used: {e}, or remove it and build all plans anew") from e
        if not make:
            raise PlanError(
                "key", f"no device key {path}, so no plan can be trusted; `edge engines build` makes one"
            ) from e
        return _make_key(path)
    if len(key) < KEY_BYTES:
        raise PlanError(
            "key", f"{path}: {len(key)} bytes are no key of {KEY_BYTES}; remove it and build all plans anew"
        )
    return key


def _make_key(path: Path) -> bytes:
    """A new key; if another process makes one at the same time, theirs."""
    make_private_folder(path.parent)
    temporary = ""
    try:
        fd, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as e:
        raise _unwritable(path, e, _MAKE_ROOM) from e
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return device_key(path)


def sign(key: bytes, parts: Iterable[bytes]) -> bytes:
    """HMAC-SHA256 of the parts, each with its length, so that no byte moves from one to the next unseen."""
    signature = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        signature.update(len(part).to_bytes(8, "big"))
        signature.update(part)
    return signature.digest()


def verifies(key: bytes, parts: Iterable[bytes], signature: bytes) -> bool:
    """Whether the signature is `sign`'s, in time that tells nothing."""
    return hmac.compare_digest(sign(key, parts), signature)
