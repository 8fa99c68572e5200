"""Rules of the repository that no other tool checks: what is there, how it is named, what it may weigh."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.sections import config_schema
from edge.inference.manifest import read_manifest

REPOSITORY = Path(__file__).resolve().parents[1]
NOUNS = ("depth", "layout", "lighting")
HEAVY = ("amqtt", "cv2", "mitsuba", "numpy", "onnxruntime", "paho", "pydantic", "scipy", "tensorrt", "torch", "trimesh")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
TOP_LEVEL = (
    *("pyproject.toml", "config.yaml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "LICENSE"),
    *(".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml", ".editorconfig", ".gitignore"),
    *("edge", "training", "engines", "systemd", "tests", "docs"),
)
# Split, so that this file does not break its own rule.
UNSPOKEN = {
    "a path of the machine it was written on": r"(?<![\w.])/wo" + r"rk/|(?<![\w.])/ro" + r"ot/|\.lib" + r"rary/",
    "a package registry's address": r"py"
    + r"pi\.org|files\.python"
    + r"hosted|download\.py"
    + r"torch|registry\.np"
    + r"mjs",
    "the number of a task": r"(?i)\b(iss" + r"ue|tick" + r"et) ?#?\d|\(#" + r"\d+\)",
    "work that is left over": r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
    "who wrote it": r"(?i)co-auth" + r"ored-by|as an a" + r"i\b",
}
MEBIBYTE = 2**20


def tracked() -> list[Path]:
    """Every file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in result.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def sources() -> list[Path]:
    """Every Python file that is or would be committed."""
    return [path for path in tracked() if path.suffix == ".py"]


def named(paths: list[Path]) -> list[str]:
    """Paths as they are written from the repository's root."""
    return sorted(str(path.relative_to(REPOSITORY)) for path in paths)


def text_lines() -> Iterator[tuple[str, int, str]]:
    """File, line number and line of every committed text."""
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = str(path.relative_to(REPOSITORY))
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), 1))


def test_every_part_is_there() -> None:
    """What the README and a newcomer count on exists."""
    assert [name for name in TOP_LEVEL if not (REPOSITORY / name).exists()] == []


def test_no_source_is_too_long() -> None:
    """A file of more than 500 lines has more than one subject."""
    assert named([path for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > 500]) == []


def test_no_module_has_an_empty_name() -> None:
    """A module is named after what it is about; these names fit anything."""
    paths = [path for path in sources() if FORBIDDEN_NAMES & {part.removesuffix(".py") for part in path.parts[-4:]}]
    assert named(paths) == []


@pytest.mark.parametrize("what", UNSPOKEN)
def test_no_line_speaks_of(what: str) -> None:
    """The repository does not mention where, by whom or under which number it was made."""
    pattern = re.compile(UNSPOKEN[what])
    assert [f"{name}:{number}: {line.strip()}" for name, number, line in text_lines() if pattern.search(line)] == []


def test_every_test_states_its_law() -> None:
    """Each test's docstring says what must hold, so a failure can be understood without its code."""
    silent = []
    for path in sources():
        if path.name.startswith("test_"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node):
                    silent.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}: {node.name}")
    assert silent == []


def test_importing_the_device_package_is_free() -> None:
    """`import edge` loads none of the heavy libraries: a command that only prints its version stays fast."""
    code = "import sys, edge; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(result.stdout.split()) == set()


def test_cameras_alone_open_video() -> None:
    """OpenCV's VideoCapture, which can hang, is used only where it is supervised."""
    users = [
        path for path in sources() if "VideoCapture(" in path.read_text(encoding="utf-8") and "tests" not in path.parts
    ]
    assert [name for name in named(users) if not name.startswith("edge/cameras/")] == []


def test_published_configuration_schema_is_current() -> None:
    """The committed JSON Schema of config.yaml is the one that the models give."""
    committed = json.loads((REPOSITORY / "edge" / "config" / "config.schema.json").read_text(encoding="utf-8"))
    assert committed == config_schema(), "run: make schema"


def test_readme_begins_with_commands_that_exist() -> None:
    """The two commands of the README's first screen are targets of the Makefile."""
    first_screen = "\n".join((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()[:60])
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in ("run", "test"):
        assert f"make {target}" in first_screen
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_pipeline_runs_what_the_makefile_runs() -> None:
    """What passes on a developer's machine is what is asked of a change."""
    assert re.search(r"^make check test$", (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)


def test_no_file_is_heavy() -> None:
    """A clone stays small: no committed file exceeds 16 MiB."""
    assert named([path for path in tracked() if path.stat().st_size > 16 * MEBIBYTE]) == []


def test_demo_clips_are_light() -> None:
    """Both clips together stay below 6 MB, and each holds pictures."""
    clips = REPOSITORY / "edge" / "demo"
    pictures = {name: sorted((clips / name).glob("*.jpg")) for name in ("panorama", "perspective")}
    assert all(pictures.values())
    assert sum(path.stat().st_size for path in clips.rglob("*") if path.is_file()) < 6_000_000


@pytest.mark.parametrize("noun", NOUNS)
def test_engine_is_complete_and_unaltered(noun: str) -> None:
    """Each shipped engine has its card, and its files are those that its manifest was written for."""
    folder = REPOSITORY / "engines" / noun
    manifest = read_manifest(folder)
    assert manifest.task == noun
    assert (folder / "card.md").stat().st_size > 0
    assert manifest.golden is not None
    for part in (manifest.onnx, manifest.golden):
        assert hashlib.sha256((folder / part.file).read_bytes()).hexdigest() == part.sha256
    assert (folder / manifest.onnx.file).stat().st_size <= 16_000_000


@pytest.mark.parametrize("noun", NOUNS)
def test_engine_says_where_it_comes_from(noun: str) -> None:
    """A shipped engine names its recipe, its data with licences, and metrics beside a baseline."""
    provenance = read_manifest(REPOSITORY / "engines" / noun).provenance
    assert (REPOSITORY / provenance.recipe).is_file()
    assert all(source.licence for source in provenance.data)
    assert provenance.data
    assert any(metric.baseline is not None for metric in provenance.metrics)


def test_required_packages_are_declared() -> None:
    """The packages that the device and the training need are all named in pyproject.toml."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    names = {name.lower() for name in re.findall(r'"([A-Za-z0-9_.-]+)[>=]', text)}
    device = {"numpy", "onnxruntime", "opencv-python-headless", "paho-mqtt", "pyyaml"}
    assert device | {"onnxruntime-gpu", "tensorrt", "pycuda", "torch"} <= names
