"""`edge engines install` and `edge engines pack`: a newer model for a device, from its publisher, in one file."""

from __future__ import annotations

import base64
import binascii
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.signals import signals_end
from edge.commands.terminal import ConfigPath, console, errors_as_exit_codes, loaded
from edge.errors import EngineError

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.inference.installed import InstalledModels
    from edge.inference.store import StoredModel

_MOST_SIGNATURE = 1024


def pack(
    folder: Annotated[Path, typer.Argument(help="A model's folder, as `edge-train export` writes it.")],
    out: Annotated[Path, typer.Argument(help="The package, such as depth-2.tar.")],
) -> None:
    """Pack a model folder into one file, and print its digest. The same files give the same package.

    To sign it: openssl pkeyutl -sign -rawin -inkey KEY.pem -in PACKAGE.tar -out PACKAGE.tar.sig
    """
    with errors_as_exit_codes():
        from edge.inference.manifest import sha256_of
        from edge.inference.packages import pack as write

        try:
            with out.open("wb") as file:
                write(folder, file)
        except OSError as e:
            raise EngineError(f"{out}: cannot be written ({e.strerror}); choose another file") from e
        print(f"{sha256_of(out)}  {out}")


def install(
    what: Annotated[str, typer.Argument(metavar="FOLDER|FILE.tar", help="A model folder, or a package of one.")],
    config: ConfigPath = Path("config.yaml"),
    digest: Annotated[str, typer.Option(help="sha256 that the package must have.")] = "",
    signature: Annotated[
        str | None, typer.Option(help="File with the publisher's signature, or it in base64; default: FILE.tar.sig.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="Authorities that an https server's certificate is signed by; default: the system's."),
    ] = None,
) -> None:
    """Install a model in the place of the engine that is called as its manifest says.

    The package's digest and, where models.publishers is set, its signature are checked before anything of it is opened.
    Then it is unpacked, built, and proved by its golden pair. A running daemon tries it beside the one that serves for
    models.shadow_s, puts it in its place, and takes it back if it fails. An address (https://...) is fetched.
    """
    stop = signals_end()
    with errors_as_exit_codes():
        from edge.inference.installed import InstalledModels
        from edge.inference.packages import check_digest, check_publisher, unpack

        settings = loaded(config)
        own, installed = settings.models, InstalledModels(settings.models.folder)
        largest = own.largest_mib << 20
        with installed.staging() as work:
            package = work / "package.tar"
            signed = _fetched(what, signature, package, largest, needs_signature=bool(own.publishers), ca=ca, stop=stop)
            found = check_digest(package, digest)
            by = check_publisher(package, signed, own.publishers) if own.publishers else None
            (work / "unpacked").mkdir()
            unpack(package, work / "unpacked", largest)
            with _proved(work, settings, stop=stop) as (name, model, provider):
                text = _put_in_place(installed, settings, name, model, found)
            signer = "" if by is None else f", signed by {by.name}"
        console.print(f"{name}: {found[:16]}{signer}, proved on {provider}; {text}", markup=False, soft_wrap=True)


def _fetched(
    what: str,
    signature: str | None,
    package: Path,
    largest: int,
    *,
    needs_signature: bool,
    ca: Path | None,
    stop: threading.Event,
) -> bytes | None:
    """Write the package into a file of our own, that nobody changes between check and use; its signature, if any.

    Raises:
        EngineError: it cannot be had, or is too large.
    """
    from edge.inference.packages import pack as write
    from edge.inference.packages import signature_beside

    beside: bytes | None = None
    if what.startswith("http://"):
        raise EngineError(f"{what}: is not encrypted, so anybody on the way may change it; use https")
    if what.startswith("https://"):
        from edge.commands.download import download

        download(what, package, largest, ca=ca, stop=stop)
        if needs_signature and signature is None:
            download(f"{what}.sig", package.with_suffix(".sig"), _MOST_SIGNATURE, ca=ca, stop=stop)
            beside = package.with_suffix(".sig").read_bytes()
    else:
        path = Path(what)
        try:
            if path.is_dir():
                with package.open("wb") as file:
                    write(path, file)
            elif path.stat().st_size > largest:
                raise EngineError(f"{path}: is larger than {largest >> 20} MiB; raise models.largest_mib if it may be")
            else:
                shutil.copyfile(path, package)
        except OSError as e:
            raise EngineError(f"{path}: cannot be read ({e.strerror}); name a package, or a model folder") from e
        beside = signature_beside(path)
    return beside if signature is None else _given(signature)


def _given(signature: str) -> bytes:
    path = Path(signature)
    try:
        if path.is_file():
            return path.read_bytes()[:_MOST_SIGNATURE]
        return base64.b64decode(signature, validate=True)
    except (OSError, binascii.Error) as e:
        raise EngineError("--signature is no file, and no base64; name the file that openssl wrote") from e


@contextmanager
def _proved(work: Path, settings: Config, *, stop: threading.Event) -> Iterator[tuple[str, StoredModel, str]]:
    """The unpacked folder under its own name, verified, built where TensorRT is, and proved by its golden pair.

    Raises:
        EngineError: it is no model, has no golden pair, or does not reproduce it.
    """
    from edge.inference.manifest import read_manifest
    from edge.inference.serving import load, plans_of
    from edge.inference.store import ModelStore

    name = read_manifest(work / "unpacked").name
    (work / "unpacked").rename(work / name)
    model = ModelStore(work).find(name)
    if model.manifest.golden is None:
        raise EngineError(f"{name}: has no golden pair, so nothing proves it; export it again, or use edge engines add")
    options = settings.inference.options()
    with load(model, options, plans=plans_of(options, settings.inference.engines), stop=stop) as serving:
        yield name, model, f"{serving.provider} in {serving.precision}"


def _put_in_place(installed: InstalledModels, settings: Config, name: str, model: StoredModel, digest: str) -> str:
    """What happens with it next, in words.

    Raises:
        EngineError: it is for other tasks than the engine it would replace, or cannot be written.
    """
    tasks = [task for task, engine in settings.engines().items() if engine == name]
    missing = [task for task in tasks if task not in model.manifest.parts]
    if missing:
        raise EngineError(
            f"{name}: does not answer for {', '.join(missing)}, as the engine of that name does; rename it"
        )
    if installed.record(name).serving == digest[:16]:
        return "it serves already"
    installed.add(model.folder, name, digest)
    if not tasks:
        installed.promote(name)
        return f"no camera's task uses it: set tasks.<task>.engine to {name}"
    return f"the daemon tries it for {settings.models.shadow_s:g} s beside the one before it, then it serves"
