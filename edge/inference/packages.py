"""A model folder as one file to hand on: packed, its digest and its publisher's signature checked, then unpacked.

A package is a plain tar of the files of one model folder. Its digest is the sha256 of the whole file. A signature is
that of Ed25519 (RFC 8032) over the whole file, raw (64 bytes), as `openssl pkeyutl -sign -rawin` writes it. Both are
checked before anything of the file is interpreted. What is unpacked is regular files with plain
names, and no more than was allowed.
"""

from __future__ import annotations

import hmac
import mmap
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from edge.errors import EngineError
from edge.inference.manifest import MANIFEST_FILE, sha256_of

if TYPE_CHECKING:  # it is loaded where a key is configured
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_FILES = 64
_SIGNATURE_BYTES = 64
_BLOCK = 1 << 20


def pack(folder: Path, out: IO[bytes]) -> None:
    """Write the files of a model folder as a tar that depends on their names and bytes alone.

    Raises:
        EngineError: it has no manifest, or a file that no package may have, or cannot be read.
    """
    if not (folder / MANIFEST_FILE).is_file():
        raise EngineError(f"{folder} has no {MANIFEST_FILE}; name the folder of one model")
    try:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in sorted(folder.iterdir()):
                if path.is_symlink() or not path.is_file() or not _NAME.fullmatch(path.name):
                    raise EngineError(f"{path}: a model folder has plain files alone; remove it, or rename it")
                info = tarfile.TarInfo(path.name)
                info.size, info.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(info, file)
    except OSError as e:
        raise EngineError(f"{folder}: cannot be packed ({e.strerror}); see its rights, and the room on the disk") from e


def check_digest(package: Path, wanted: str) -> str:
    """The package's sha256, which is the wanted one.

    Raises:
        EngineError: it is another, or the file cannot be read.
    """
    try:
        found = sha256_of(package)
    except OSError as e:
        raise EngineError(f"{package}: cannot be read ({e.strerror}); name a package, or a model folder") from e
    if wanted and not hmac.compare_digest(found, wanted.lower().removeprefix("sha256:")):
        raise EngineError(
            f"{package}: its sha256 is {found[:12]}…, {wanted[:12]}… was asked for: it was changed or is incomplete; "
            "fetch it again"
        )
    return found


def check_publisher(package: Path, signature: bytes | None, publishers: Sequence[Path]) -> Path:
    """Which of the publishers' public keys (PEM, Ed25519) signed the package.

    Raises:
        EngineError: none did, there is no signature, or a key cannot be read.
    """
    if signature is None or len(signature) != _SIGNATURE_BYTES:
        what = "no signature" if signature is None else "the signature is not of 64 bytes"
        raise EngineError(
            f"{package}: {what}; models.publishers asks for one: "
            "openssl pkeyutl -sign -rawin -inkey KEY.pem -in PACKAGE.tar -out PACKAGE.tar.sig"
        )
    from cryptography.exceptions import InvalidSignature

    with (
        package.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as data,
    ):
        for publisher in publishers:
            try:
                _public_key(publisher).verify(signature, data)
            except InvalidSignature:
                continue
            return publisher
    raise EngineError(f"{package}: none of models.publishers signed it; do not use it, ask who sent it")


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as e:
        raise EngineError(f"{path}: no public key can be read; openssl pkey -in KEY.pem -pubout writes one") from e
    if not isinstance(key, Ed25519PublicKey):
        raise EngineError(f"{path}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519")
    return key


def unpack(package: Path, into: Path, largest_bytes: int) -> None:
    """Write the files of a checked package into a folder that is there and empty.

    Raises:
        EngineError: it is no tar, or has what no package has: folders, links, other names, more bytes than allowed.
    """
    left = largest_bytes
    try:
        with tarfile.open(package, "r:") as tar:
            for count, member in enumerate(tar):
                name = member.name.removeprefix("./")
                if not member.isreg() or not _NAME.fullmatch(name) or PurePosixPath(name).name != name:
                    raise EngineError(f"{package}: has {member.name!r}; a package has plain files of one folder alone")
                left -= member.size
                if left < 0 or count >= _MOST_FILES:
                    raise EngineError(
                        f"{package}: is larger than {largest_bytes >> 20} MiB or {_MOST_FILES} files; raise "
                        "models.largest_mib if it may be"
                    )
                source = tar.extractfile(member)
                assert source is not None
                _copy(source, into / name, member.size)
    except (tarfile.TarError, EOFError) as e:
        raise EngineError(f"{package}: is no plain tar ({e}); pack it with edge engines pack") from e
    except OSError as e:
        raise EngineError(f"{package}: cannot be unpacked ({e.strerror or e}); see the room on the disk") from e


def _copy(source: IO[bytes], target: Path, size: int) -> None:
    with target.open("xb") as file:
        target.chmod(0o644)
        while size > 0:
            block = source.read(min(size, _BLOCK))
            if not block:
                raise tarfile.ReadError("it ends early")
            file.write(block)
            size -= len(block)
        file.flush()


def signature_beside(package: Path) -> bytes | None:
    """What `<package>.sig` holds, if it is there."""
    path = package.with_name(package.name + ".sig")
    try:
        with path.open("rb") as file:
            return file.read(_SIGNATURE_BYTES + 1)
    except OSError:
        return None
