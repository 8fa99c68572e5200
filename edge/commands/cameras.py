"""`edge cameras`: which cameras are there, do they give pictures, and what to write into config.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.commands.log import log_to_stderr
from edge.commands.terminal import EXIT_NOT_THERE, err, errors_as_exit_codes
from edge.errors import CameraError, EdgeError

if TYPE_CHECKING:
    from edge.cameras.found import Found
    from edge.commands.camera_pictures import FirstPicture

_LOGIN = "USER:PASSWORD@"
_HEAD = """# Paste into config.yaml. The field of view is a guess: look it up, or calibrate the camera. Metres need the
# camera's height above the floor. Of network cameras write user and password instead of USER:PASSWORD.
"""


def cameras(
    stills: Annotated[Path | None, typer.Option(help="Folder for a picture of each; made if need be.")] = None,
    username: Annotated[str | None, typer.Option("--username", help="Of network cameras.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File with the password of network cameras.")
    ] = None,
    within_s: Annotated[
        float, typer.Option("--within", min=0.1, max=60, help="Wait so long for network cameras, s.")
    ] = 3.0,
    network: Annotated[bool, typer.Option("--network/--no-network", help="Also ask the network (ONVIF).")] = True,
) -> None:
    """Find cameras, try each, and print what to write into config.yaml.

    USB cameras by a path that survives restarts, CSI sensors of a Jetson, and network cameras that speak ONVIF. What is
    for people goes to stderr, the YAML to stdout. Exit code 69: none gave a picture.
    """
    log_to_stderr("CRITICAL", "%(message)s")
    with errors_as_exit_codes():
        if password_file is not None and not password_file.is_file():
            raise EdgeError("no such file; give --password-file the name of the file that holds the cameras' password")
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
        entries: list[dict[str, Any]] = []
        for found in _found(username, password, within_s, network=network):
            tried = _tried(found, username, password)
            err.print(f"{found.what}: {tried.said}", markup=False, highlight=False, soft_wrap=True)
            if tried.picture is None:
                continue
            name = _name(found.what, {entry["name"] for entry in entries})
            entries.append(_entry(name, found, tried.picture, login=username is not None))
            if stills is not None:
                _keep(tried.picture, stills / f"{name}.jpg")
    if not entries:
        err.print("no camera gave a picture", markup=False)
        raise typer.Exit(EXIT_NOT_THERE)
    import yaml

    print(_HEAD + yaml.safe_dump({"cameras": entries}, sort_keys=False, allow_unicode=True), end="")


@dataclass(frozen=True, slots=True)
class _Tried:
    said: str
    picture: FirstPicture | None = None


def _found(username: str | None, password: str | None, within_s: float, *, network: bool) -> Iterator[Found]:
    """What there is, with addresses that hold no login yet."""
    from edge.cameras.base import RtspSpec
    from edge.cameras.found import Found, local_cameras
    from edge.cameras.onvif import probe, stream_addresses

    yield from local_cameras()
    if not network:
        return
    try:
        answered = probe(within_s)
    except CameraError as error:
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return
    for camera in answered:
        label = camera.name if camera.name == camera.host else f"{camera.name} at {camera.host}"
        try:
            yield Found(label, RtspSpec(stream_addresses(camera, username, password)[0]))
        except CameraError as error:
            yield Found(label, None, str(error))


def _tried(found: Found, username: str | None, password: str | None) -> _Tried:
    """Whether it gives a picture."""
    from dataclasses import replace
    from urllib.parse import quote

    from edge.cameras.base import RtspSpec
    from edge.commands.camera_pictures import first_picture
    from edge.scene import CameraModel

    spec = found.spec
    if spec is None:
        return _Tried(found.hint or "its pictures cannot be asked for")
    if isinstance(spec, RtspSpec) and username is not None:
        login = f"{quote(username, safe='')}:{quote(password or '', safe='')}@"
        spec = replace(spec, url=spec.url.replace("://", f"://{login}", 1))
    try:
        got = first_picture("camera", spec, CameraModel("perspective"))
    except EdgeError as error:
        return _Tried(str(error))
    height, width = got.frame.image.shape[:2]
    return _Tried(
        f"a picture of {width}x{height} px after {got.after_s:.1f} s{''.join(f'; {why}' for why in got.degraded)}", got
    )


def _name(what: str, taken: set[str]) -> str:
    """A camera's name from what it is called, unlike all others."""
    plain = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")[:40].strip("-") or "camera"
    return next(name for n in range(1, 1000) if (name := plain if n == 1 else f"{plain}-{n}") not in taken)


def _entry(name: str, found: Found, picture: FirstPicture, *, login: bool) -> dict[str, Any]:
    """Its lines in config.yaml; `login`: it was asked with one."""
    from edge.cameras.base import CsiSpec, RtspSpec, V4l2Spec

    spec = found.spec
    height, width = picture.frame.image.shape[:2]
    if isinstance(spec, V4l2Spec):
        source = {"type": "v4l2", "device": str(spec.device), "width_px": width, "height_px": height}
    elif isinstance(spec, CsiSpec):
        source = {"type": "csi", **asdict(spec)}
    else:
        assert isinstance(spec, RtspSpec)
        source = {"type": "rtsp", "url": spec.url.replace("://", f"://{_LOGIN}", 1) if login else spec.url}
    lens = {"projection": "equirectangular"} if width == 2 * height else {"hfov_deg": 75.0}
    return {"name": name, "source": source, **lens}


def _keep(picture: FirstPicture, file: Path) -> None:
    import cv2

    data = cv2.imencode(".jpg", cv2.cvtColor(picture.frame.image, cv2.COLOR_RGB2BGR))[1].tobytes()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise EdgeError(f"{file}: cannot be written ({error.strerror}); choose another folder") from error
