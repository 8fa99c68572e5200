"""`edge engines add` and `edge engines presets`: other people's networks, in one command."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.terminal import ConfigPath, console, errors_as_exit_codes, loaded
from edge.errors import EngineError, ManifestError

if TYPE_CHECKING:
    from edge.inference.adding import Array
    from edge.inference.manifest import InputSpec
    from edge.inference.presets import Preset

_CLIPS = {"equirectangular": "panorama", "perspective": "perspective"}


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def presets(as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False) -> None:
    """The networks that `edge engines add` knows, with licence and publisher."""
    from edge.inference.presets import PRESETS

    if as_json:
        rows = [
            {
                "preset": name,
                "task": p.task,
                "licence": p.licence,
                "non_commercial": p.non_commercial,
                "source": p.source,
            }
            for name, p in PRESETS.items()
        ]
        print(json.dumps(rows, indent=2))
        return
    for name, preset in PRESETS.items():
        _say(f"{name}: {preset.task}, {_licence(preset)}, {preset.source}")


def _licence(preset: Preset) -> str:
    return f"licence {preset.licence}{' (NOT for commercial use)' if preset.non_commercial else ''}"


def add(
    name: Annotated[str, typer.Argument(help="Name of the new engine: its folder, and what `engine:` says.")],
    file: Annotated[Path, typer.Argument(help="The ONNX file.")],
    preset: Annotated[str | None, typer.Option(help="Which network it is; `edge engines presets` lists them.")] = None,
    config: ConfigPath = Path("config.yaml"),
    engines: Annotated[
        Path | None, typer.Option("--engines", help="Folder of engines; no configuration is read then.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT of its pictures, where the file leaves them open.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="What to prove it on; a picture of ours where left out.")] = None,
) -> None:
    """Add another party's network: its file is checked against what its publisher says, run, and recorded.

    What is another network than said is refused with the reason. Its licence is shown. Weights are not downloaded.
    """
    with errors_as_exit_codes():
        from edge.inference.adding import add as added
        from edge.inference.adding import fitting
        from edge.inference.presets import PRESETS

        root = engines or loaded(config).inference.engines
        if not file.is_file():
            raise EngineError(f"{file}: no such file; give the ONNX that you downloaded or exported")
        if preset is None:
            fits = fitting(file)
            raise EngineError(
                f"say with --preset which network it is: {file} "
                + (
                    f"may be {' or '.join(fits)}"
                    if fits
                    else "is none that is known; `edge-train import onnx` takes any with a manifest"
                )
            )
        if preset not in PRESETS:
            raise EngineError(f"no preset {preset!r}; choose one of {', '.join(PRESETS)}")
        known = PRESETS[preset]
        _say(f"{known.title}: {_licence(known)}, {known.source}")
        manifest = added(file, root / name, known, lambda spec: _tensor(spec, picture), size_wh=_size(size))
        spec = manifest.input
    _say(
        f"{root / name}: {spec.width_px}x{spec.height_px} px, {manifest.output.kind}, runs here and is recorded; to "
        f"use it, set tasks.{manifest.task}.engine to {name} in the configuration"
    )


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ManifestError(f"--size {text}: write WIDTHxHEIGHT in px, such as 518x392")
    return int(width), int(height)


def _tensor(spec: InputSpec, picture: Path | None) -> Array:
    """(1, C, H, W) of a picture, prepared as the device does."""
    from edge.cameras.picture import decoded
    from edge.perception.preprocess import resize, tensor_from_image

    clips = Path(str(files("edge"))) / "demo" / _CLIPS[spec.projection]
    path = picture or sorted(clips.glob("*.jpg"))[0]
    try:
        image = decoded(path.read_bytes())
    except OSError as e:
        raise EngineError(f"{path}: cannot be read ({e.strerror}); give another --picture") from e
    return tensor_from_image(resize(image, spec.width_px, spec.height_px), spec)[None]
