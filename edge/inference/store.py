"""The model store: a folder of model folders, each verified before it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import ManifestError, UnknownModelError
from edge.inference.installed import InstalledModels
from edge.inference.manifest import (
    MANIFEST_FILE,
    FileRef,
    Manifest,
    read_manifest,
    sha256_of,
)
from edge.inference.onnx_file import check_whole


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model folder whose files have the sha256 that its manifest says."""

    folder: Path
    manifest: Manifest

    @property
    def onnx(self) -> Path:
        """Path of the ONNX file."""
        return self.folder / self.manifest.onnx.file


class ModelStore:
    """Finds models by name under one folder."""

    def __init__(self, root: Path, installed: InstalledModels | None = None) -> None:
        """`root`: the folder of model folders, e.g. `engines/`; `installed`: what serves instead of one of them."""
        self.root, self.installed = root, installed

    def names(self) -> list[str]:
        """Names of the folders that have a manifest."""
        installed = self.installed
        own = () if installed is None else (name for name in installed.names() if installed.serving(name) is not None)
        return sorted({*own, *(p.parent.name for p in self.root.glob(f"*/{MANIFEST_FILE}"))})

    def find(self, name: str) -> StoredModel:
        """The model of that name with its files verified.

        Raises:
            UnknownModelError: there is no such model.
            ManifestError: the manifest is wrong, a file is missing or not the one the manifest names, or an ONNX file
                is none or keeps weights elsewhere.
        """
        installed = None if self.installed is None else self.installed.serving(name)
        folder = installed or self.root / name
        if not (folder / MANIFEST_FILE).is_file():
            raise UnknownModelError(name, self.root, self.names())
        manifest = read_manifest(folder)
        for file in (manifest.onnx, *manifest.variants.values(), manifest.golden):
            if file is not None:
                self._verify(folder, file)
        for file in (manifest.onnx, *manifest.variants.values()):
            check_whole(folder / file.file)
        return StoredModel(folder, manifest)

    def _verify(self, folder: Path, ref: FileRef) -> None:
        path = folder / ref.file
        if not path.is_file():
            raise ManifestError(f"{path} is missing; restore it, or export the model again")
        try:
            actual = sha256_of(path)
        except OSError as e:
            raise ManifestError(f"{path}: cannot be read ({e.strerror}); let the daemon's user read it") from e
        if actual != ref.sha256:
            raise ManifestError(
                f"{path}: sha256 is {actual[:12]}…, the manifest says {ref.sha256[:12]}…: the file "
                "was changed or is incomplete; restore it, or export the model again"
            )
