"""The Containerfiles, as far as a machine without a container engine can try them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted(f for f in (REPOSITORY / "systemd" / "containers").iterdir() if f.suffix != ".dockerignore")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    """Every line is understood, and follows the linter's rules."""
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed; the dev extra has it for x86-64")
    result = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_image_takes_what_is_here_and_runs_as_nobody_special(file: Path) -> None:
    """Every path it copies exists, nothing that the copy leaves out is needed, and its user is not root."""
    text = file.read_text(encoding="utf-8")
    copied = [path for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", text) for path in line.split()[:-1]]
    left_out = file.with_name(f"{file.name}.dockerignore").read_text(encoding="utf-8")
    assert left_out == FILES[0].with_name(f"{FILES[0].name}.dockerignore").read_text(encoding="utf-8")
    assert [path for path in copied if not (REPOSITORY / path).exists() or path in left_out.split()] == []
    assert {"edge", "engines", "edge/demo", "pyproject.toml"} <= set(copied)
    [user] = re.findall(r"(?m)^USER (\d+)$", text)
    assert int(user) > 0
