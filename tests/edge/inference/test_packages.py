"""Packages of models: packed, checked, unpacked; and what is installed under a name."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import EngineError
from edge.inference.installed import InstalledModels
from edge.inference.packages import check_digest, check_publisher, pack, signature_beside, unpack
from edge.inference.store import ModelStore

Maker = Callable[..., Path]


def packed(folder: Path, to: Path) -> Path:
    """Its package."""
    with to.open("wb") as file:
        pack(folder, file)
    return to


def test_a_package_is_its_files_and_nothing_else(model_folder: Maker, tmp_path: Path) -> None:
    """Times, owners and rights do not change it; what is unpacked is what was packed."""
    folder = model_folder()
    one = packed(folder, tmp_path / "one.tar")
    (folder / "manifest.json").touch()
    (folder / "model.onnx").chmod(0o600)
    assert packed(folder, tmp_path / "two.tar").read_bytes() == one.read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    unpack(one, out, 1 << 20)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_another_file_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    """By its sha256, with or without its name before it."""
    package = tmp_path / "package"
    package.write_bytes(b"hello")
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (
        check_digest(package, digest)
        == check_digest(package, f"sha256:{digest}")
        == check_digest(package, "")
        == digest
    )
    with pytest.raises(EngineError, match="was changed or is incomplete"):
        check_digest(package, digest[::-1])


def test_only_a_publishers_own_signature_is_taken(tmp_path: Path) -> None:
    """Made by openssl as the documentation says; another's, a changed file's, or none, is refused."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    package = tmp_path / "model.tar"
    package.write_bytes(b"model" * 1000)
    for name in ("ours", "theirs"):
        key, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    ours, theirs = tmp_path / "ours.pub", tmp_path / "theirs.pub"
    with pytest.raises(EngineError, match="no signature"):
        check_publisher(package, signature_beside(package), [ours])
    sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", tmp_path / "ours.pem", "-in", package]
    subprocess.run([*sign, "-out", f"{package}.sig"], check=True)
    signature = signature_beside(package)
    assert check_publisher(package, signature, [theirs, ours]) == ours
    with pytest.raises(EngineError, match=r"none of models\.publishers"):
        check_publisher(package, signature, [theirs])
    package.write_bytes(b"Model" * 1000)
    with pytest.raises(EngineError, match=r"none of models\.publishers"):
        check_publisher(package, signature, [ours])
    with pytest.raises(EngineError, match="no public key"):
        check_publisher(package, signature, [package])


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3, link: str = "") -> tarfile.TarInfo:
    """A file of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, link
    return info


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("../out")], "plain files"),
        ([member("/etc/passwd")], "plain files"),
        ([member("a/b")], "plain files"),
        ([member(".hidden")], "plain files"),
        ([member("folder", tarfile.DIRTYPE)], "plain files"),
        ([member("link", tarfile.SYMTYPE, link="/etc/passwd")], "plain files"),
        ([member("hard", tarfile.LNKTYPE, link="model.onnx")], "plain files"),
        ([member("device", tarfile.CHRTYPE)], "plain files"),
        ([member("large", size=2000)], "is larger than"),
        ([member(f"f{n}", size=1) for n in range(65)], "is larger than"),
        ([member("twice"), member("twice")], "cannot be unpacked"),
    ],
)
def test_a_package_that_would_write_elsewhere_or_too_much_is_refused(
    tmp_path: Path, members: list[tarfile.TarInfo], why: str
) -> None:
    """No links, no folders, no paths, no devices, no more bytes or files than allowed."""
    package, out = tmp_path / "package.tar", tmp_path / "out"
    out.mkdir()
    with tarfile.open(package, "w") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    before = set(tmp_path.iterdir())
    with pytest.raises(EngineError, match=why):
        unpack(package, out, 1000)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("data", [b"", b"no tar" * 200, b"\x1f\x8b" + b"0" * 600])
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    """Compressed ones too: they may become anything."""
    package, out = tmp_path / "package.tar", tmp_path / "out"
    out.mkdir()
    package.write_bytes(data)
    with pytest.raises(EngineError, match="is no plain tar"):
        unpack(package, out, 1000)


def installed(models: InstalledModels, folder: Path, digest: str) -> None:
    """Put a copy of a model's folder in place as the candidate."""
    with models.staging() as work:
        shutil.copytree(folder, work / folder.name)
        models.add(work / folder.name, folder.name, digest)


def test_a_name_means_one_model_at_any_moment(model_folder: Maker, tmp_path: Path) -> None:
    """The one that came with the program, until another was promoted; taken back, the one before it, and the reason."""
    folder, models = model_folder(), InstalledModels(tmp_path / "models")
    store = ModelStore(folder.parent, models)
    assert store.find("depth").folder == folder
    for digest in ("1" * 64, "2" * 64):
        installed(models, folder, digest)
        assert models.candidate("depth") == tmp_path / "models" / digest[:16] / "depth"
        models.promote("depth")
        assert store.find("depth").folder == models.serving("depth") == models.root_of(digest) / "depth"
    models.take_back("depth", "it failed")
    assert store.find("depth").folder == models.root_of("1" * 64) / "depth"
    assert models.record("depth").rejected == {"2" * 16: "it failed"}
    models.take_back("depth", "so did that")
    assert store.find("depth").folder == folder
    assert {p.name for p in (tmp_path / "models").iterdir()} == {"depth.json"}


def test_a_rejected_candidate_is_removed_and_never_served(model_folder: Maker, tmp_path: Path) -> None:
    """What serves stays; a damaged record means what came with the program."""
    folder, models = model_folder(), InstalledModels(tmp_path / "models")
    installed(models, folder, "3" * 64)
    models.reject("depth", "unlike")
    assert models.candidate("depth") is None
    assert models.serving("depth") is None
    assert not models.root_of("3" * 64).exists()
    (tmp_path / "models" / "depth.json").write_text("{")
    assert ModelStore(folder.parent, models).find("depth").folder == folder
