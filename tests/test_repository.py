"""Rules of the repository that no other tool checks: what is there, how it is named, what its pages may say."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import edge
from edge.config.sections import config_schema
from edge.inference.manifest import read_manifest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
NOUNS = ("depth", "layout", "lighting", "objects")
HEAVY = ("amqtt", "cv2", "mitsuba", "numpy", "onnxruntime", "paho", "pydantic", "scipy", "tensorrt", "torch", "trimesh")
TRAINING_STACK = {"training", "torch", "torchvision", "lightning", "optuna", "mitsuba", "ray", "onnxslim", "scipy"}
NAMES_THAT_FIT_ANYTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
LOOSE_MODULES = {"__init__", "__main__", "errors", "processes", "scene"}
"""What may lie directly in edge/: all else has a folder that says what is done there."""
DISTRIBUTIONS = {
    "OpenEXR": "openexr",
    "PIL": "pillow",
    "cuda": "cuda-bindings",
    "cv2": "opencv-python-headless",
    "paho": "paho-mqtt",
    "prometheus_client": "prometheus-client",
    "tensorrt_rtx_bindings": "tensorrt-rtx-cu13-bindings",
    "yaml": "pyyaml",
}
"""Packages whose distribution has another name than what is imported."""
COME_WITH = {"drjit": "mitsuba", "google": "onnx", "pydantic_core": "pydantic", "sqlalchemy": "optuna"}
"""Packages that another one always brings along."""
FILE_ENDINGS = ("md", "py", "service", "sh", "toml", "yaml", "yml")
# Each is split, so that this file does not break its own rule.
UNSPOKEN = {
    "a path of the machine it was written on, which no reader has": r"(?<![\w.])/wo"
    + r"rk/|(?<![\w.])/ro"
    + r"ot/|\.lib"
    + r"rary/",
    "the address of a package registry: which one is used is the machine's choice": r"py"
    + r"pi\.org|files\.python"
    + r"hosted|download\.py"
    + r"torch|registry\.np"
    + r"mjs",
    "the number of a task, where the reason itself belongs": r"(?i)\b(iss" + r"ue|tick" + r"et) ?#?\d|\(#" + r"\d+\)",
    "work that is left over: do it, or say what does not work yet": r"\b(TO"
    + r"DO|FIX"
    + r"ME|X"
    + r"XX)\b|@"
    + r"@[A-Z]",
    "who wrote it: git knows": r"(?i)co-auth" + r"ored-by|as an a" + r"i\b",
}
MEBIBYTE = 2**20


@cache
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


def text_of(name: str) -> str:
    """A committed text."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def pages() -> list[str]:
    """The pages for people: those of the first folder, and docs/."""
    return named([p for p in tracked() if p.suffix == ".md" and p.parent in (REPOSITORY, REPOSITORY / "docs")])


def text_lines() -> Iterator[tuple[str, int, str]]:
    """File, line number and line of every committed text."""
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = str(path.relative_to(REPOSITORY))
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), 1))


def imported(path: Path) -> set[str]:
    """Names of the packages that a file imports, the standard library's left out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def declared(*extras: str) -> set[str]:
    """Distributions that pyproject.toml requires, with these extras, in small letters."""
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    required = [*project["dependencies"], *(r for extra in extras for r in project["optional-dependencies"][extra])]
    return {match.group().lower() for r in required if (match := re.match(r"[A-Za-z0-9_.-]+", r))}


def paths_in(text: str) -> Iterator[str]:
    """What a page names as a path of this repository: links, and names in backticks that look like one."""
    folders = {path.relative_to(REPOSITORY).parts[0] for path in tracked() if path.parent != REPOSITORY}
    for link in re.findall(r"\]\(([^)\s#]+)", text):
        if "://" not in link:
            yield link
    for name in re.findall(r"`([\w.<>*{},/-]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        first, *rest = name.split("/")
        if (rest and first in folders) or (not rest and name.rpartition(".")[2] in FILE_ENDINGS):
            yield name


def is_there(name: str, page: str) -> bool:
    """Whether a named path is one: from the root or from the page, as a module, or as the name of some file."""
    pattern = re.sub(r"<\w+>", "*", name.rstrip("/"))
    if "/" not in pattern and any(path.match(pattern) for path in tracked()):
        return True
    beside = (REPOSITORY / page).parent
    return (beside / name).exists() or any(list(REPOSITORY.glob(p)) for p in (pattern, f"{pattern}.py"))


# What a newcomer relies on


def test_readme_is_short() -> None:
    """The first page has at most 900 words: everything else has a page of its own."""
    assert len(text_of("README.md").split()) <= 900


def test_every_page_is_listed() -> None:
    """docs/README.md leads to every page beside it."""
    listed = text_of("docs/README.md")
    assert [page.name for page in (REPOSITORY / "docs").glob("*.md") if f"({page.name})" not in listed] == ["README.md"]


def test_every_path_named_in_the_pages_exists() -> None:
    """A page never sends anybody to a file that is not there."""
    today = [page for page in pages() if page != "CHANGELOG.md"]
    named_paths = {(page, name) for page in today for name in paths_in(text_of(page))}
    assert len(named_paths) > 100
    assert sorted(f"{page}: {name}" for page, name in named_paths if not is_there(name, page)) == []


def test_every_fault_in_the_table_is_made() -> None:
    """Each row of the table of faults is one that a test notes its figures under."""
    table = text_of("docs/reliability.md").split("## Faults, measured")[1]
    rows = set(re.findall(r"^\| (\d+[a-z]*) \|", table, re.MULTILINE))
    tests = "".join(path.read_text() for path in (REPOSITORY / "tests" / "faults").glob("test_*.py"))
    assert len(rows) >= 40
    assert not rows - set(re.findall(r'"(\d+[a-z]*)"', tests))


def test_every_make_target_named_exists() -> None:
    """Whatever a page, the pipeline or a workflow says to `make` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))
    places = [*pages(), ".ci/run", ".pre-commit-config.yaml", ".github/workflows/ci.yml"]
    asked = {
        (place, word)
        for place in places
        for words in re.findall(r"(?:`|^|run: )make((?: [a-z][a-z-]*)+)", text_of(place), re.MULTILINE)
        for word in words.split()
    }
    assert {target for _, target in asked} >= {"run", "test", "check", "test-device"}
    assert [(place, target) for place, target in sorted(asked) if target not in targets] == []


def test_architecture_knows_every_folder_of_code() -> None:
    """A folder that ARCHITECTURE.md does not name is one that nobody finds."""
    text = text_of("ARCHITECTURE.md")
    folders = {path.parent for path in sources() if path.relative_to(REPOSITORY).parts[0] in ("edge", "training")}
    assert [f for f in named(list(folders)) if "/" in f and f"{f}/" not in text] == []


def test_there_is_one_version_number() -> None:
    """The package's version stands in edge/__init__.py; the newest heading of CHANGELOG.md has the same number."""
    project = tomllib.loads(text_of("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "edge.__version__"}
    heading = re.search(
        r"^## \[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$", text_of("CHANGELOG.md"), re.MULTILINE
    )
    assert heading is not None
    version, date = heading.groups()
    assert edge.__version__ == (f"{version}.dev0" if date == "unreleased" else version)


# How the code is laid out


def test_the_device_package_has_no_loose_modules() -> None:
    """Whatever lies directly in edge/ is one of five files that everything else builds on."""
    assert {path.stem for path in sources() if path.parent == REPOSITORY / "edge"} == LOOSE_MODULES


def test_no_source_is_too_long() -> None:
    """A file of more than 500 lines has more than one subject."""
    assert named([path for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > 500]) == []


def test_no_module_has_a_name_that_fits_anything() -> None:
    """A module is named after what it is about."""
    parts = {path: path.relative_to(REPOSITORY).with_suffix("").parts for path in sources()}
    assert named([path for path in sources() if NAMES_THAT_FIT_ANYTHING & set(parts[path])]) == []


def test_importing_the_device_package_is_free() -> None:
    """`import edge` loads none of the heavy libraries: a command that only prints its version stays fast."""
    code = "import sys, edge; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(result.stdout.split()) == set()


def test_cameras_alone_open_video() -> None:
    """On a device OpenCV's VideoCapture, which can hang, is used only where it is supervised."""
    users = [
        path for path in sources() if "VideoCapture(" in path.read_text(encoding="utf-8") and "tests" not in path.parts
    ]
    assert [n for n in named(users) if n.startswith("edge/") and not n.startswith("edge/cameras/")] == []


@pytest.mark.parametrize(
    ("folder", "extras"), [("edge", ("tensorrt", "ifc", "test")), ("training", ("train", "ray", "tensorrt", "test"))]
)
def test_what_is_imported_is_required(folder: str, extras: tuple[str, ...]) -> None:
    """Each package that the code imports is named in pyproject.toml, so that nothing works only by chance."""
    required = declared(*extras)
    missing = {
        f"{name}: {path.relative_to(REPOSITORY)}"
        for path in sources()
        if path.relative_to(REPOSITORY).parts[0] == folder
        for name in imported(path) - {"edge", "training"}
        if DISTRIBUTIONS.get(name, COME_WITH.get(name, name)).lower() not in required
    }
    assert missing == set()


# Tests


def test_every_test_states_its_law() -> None:
    """Each test's docstring says what must hold, so a failure can be understood without its code."""
    silent = []
    for path in sources():
        if path.name.startswith("test_"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node):
                    silent.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}: {node.name}")
    assert silent == []


def test_device_tests_need_no_training_stack() -> None:
    """What `make test-device` runs imports neither torch nor the package `training`."""
    recipe = re.search(r"^DEVICE_TESTS := ((?:.*\\\n)*.*)$", text_of("Makefile"), re.MULTILINE)
    assert recipe is not None
    words = recipe.group(1).replace("\\\n", " ").split()
    left_out = {REPOSITORY / word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")}
    asked = [REPOSITORY / word for word in words if not word.startswith("--")]
    assert [path for path in [*asked, *left_out] if not path.exists()] == []
    run = [p for p in sources() if p not in left_out and any(p == a or a in p.parents for a in asked)]
    assert len(run) > 50
    assert named([path for path in run if TRAINING_STACK & imported(path)]) == []


@pytest.mark.parametrize("what", UNSPOKEN)
def test_no_line_speaks_of(what: str) -> None:
    """What is written here is for whoever reads it anywhere, later."""
    pattern = re.compile(UNSPOKEN[what])
    assert [f"{name}:{number}: {line.strip()}" for name, number, line in text_lines() if pattern.search(line)] == []


# What is shipped


def test_published_configuration_schema_is_current() -> None:
    """The committed JSON Schema of config.yaml is the one that the models give."""
    committed = json.loads((REPOSITORY / "edge" / "config" / "config.schema.json").read_text(encoding="utf-8"))
    assert committed == config_schema(), "run: make schema"


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
