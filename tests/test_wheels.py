"""`.ci/aarch64`: what it says when it cannot know, so that silence means that wheels were found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.brokers import unused_port

REPOSITORY = Path(__file__).parents[1]


def _run(python: str, **environment: str) -> subprocess.CompletedProcess[str]:
    call = [str(REPOSITORY / ".ci" / "aarch64"), python]
    return subprocess.run(
        call, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def test_a_registry_out_of_reach_is_no_success() -> None:
    """With nothing listening where the registry should be, it fails, says so, and names no missing wheel."""
    index = f"http://127.0.0.1:{unused_port()}/simple"
    done = _run(sys.executable, UV_DEFAULT_INDEX=index, UV_INDEX="", UV_NO_CACHE="1", UV_HTTP_RETRIES="0")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is the package registry reachable" in done.stderr
    assert "all with wheels" not in done.stdout


def test_a_requirement_without_a_wheel_fails_with_the_remedy(tmp_path: Path) -> None:
    """An index that has nothing has no wheel: exit 1 and what to do."""
    done = _run(sys.executable, UV_DEFAULT_INDEX=tmp_path.as_uri(), UV_INDEX="", UV_FIND_LINKS="", UV_NO_CACHE="1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "JetPack 6" in done.stderr
    assert "nothing is compiled on a device" in done.stderr


def test_an_interpreter_without_uv_is_named(tmp_path: Path) -> None:
    """Anything else than an interpreter with uv is refused before a word about wheels."""
    done = _run(str(tmp_path / "python"))
    assert done.returncode == 2
    assert "has no uv" in done.stderr
