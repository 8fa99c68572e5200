"""Processes that training starts run no code that happens to lie in the current folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import multiprocessing
import training

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=print, args=("the child ran",))
    child.start()
    child.join()
    raise SystemExit(child.exitcode)
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no way to tell a spawned process")
def test_spawned_processes_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    """Started as the installed command is (a script elsewhere), in a folder where somebody left a module's namesake."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "script.py").write_text(_SCRIPT)
    (tmp_path / "here").mkdir()
    for name in ("runpy", "pickle", "multiprocessing"):
        (tmp_path / "here" / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "bin" / "script.py")],
        cwd=tmp_path / "here", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert not (tmp_path / "executed").exists()
    assert (done.returncode, done.stdout) == (0, "the child ran\n"), done.stderr
