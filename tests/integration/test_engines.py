"""`edge engines`, run as a person runs it, with TensorRT-RTX where there is no GPU."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge.inference.manifest import read_manifest, write_manifest
from edge.inference.options import BuildOptions
from edge.inference.store import ModelStore
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.plans import PlanStore
from tests.integration.conftest import PERSPECTIVE, REPOSITORY
from tests.plans import here, needs_rtx

pytestmark = needs_rtx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of engines with the shipped lighting network in it, in float32 alone."""
    copy = tmp_path / "engines" / "lighting"
    shutil.copytree(REPOSITORY / "engines" / "lighting", copy, ignore=shutil.ignore_patterns("*.engine*", ".*"))
    write_manifest(copy, read_manifest(copy).model_copy(update={"variants": {}}))
    return copy.parent


def engines(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `edge engines` in the repository."""
    call = [sys.executable, "-m", "edge", "engines", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False)


def built(folder: Path) -> list[Path]:
    """The plans in a folder of engines."""
    return sorted(folder.glob("*/*.engine"))


def test_built_listed_verified_repaired_and_cleaned(folder: Path) -> None:
    """The life of an engine: what is built is listed and verifies; what was changed does not, until built anew."""
    done = engines("build", "lighting", "--precision", "fp32", "--engines", folder)
    assert done.returncode == 0, done.stderr
    assert "not proved: no GPU here" in done.stdout
    listed = json.loads(engines("list", "--engines", folder, "--json").stdout)
    assert [(e["engine"], e["role"], e["record"]["state"]) for e in listed] == [("lighting", "current", "built")]
    assert "lighting" in engines("list", "--engines", folder).stdout
    sound = engines("verify", "--engines", folder)
    assert (sound.returncode, sound.stdout.count(" ok")) == (0, 1)
    (plan,) = built(folder)
    plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    changed = engines("verify", "--engines", folder)
    assert changed.returncode == 1
    assert "tampered" in changed.stdout
    assert engines("build", "--precision", "fp32", "--engines", folder).returncode == 0
    assert engines("verify", "--engines", folder).returncode == 0
    assert "would remove" in engines("clean", "--all", "--dry-run", "--engines", folder).stdout
    assert built(folder) == [plan]
    assert engines("clean", "--all", "--engines", folder).returncode == 0
    assert built(folder) == []


def test_the_configuration_says_what_is_built_how_and_where(folder: Path, tmp_path: Path) -> None:
    """Engines of the cameras' tasks, options of `inference`, plans in its folder; float32 where int8 is not there."""
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "device": {"name": "test"},
                "cameras": [{**PERSPECTIVE, "tasks": ["lighting"]}],
                "inference": {
                    "engines": str(folder),
                    "precision": "int8",
                    "max_batch": 2,
                    "plans": "built",
                    "plan_key": "secret.key",
                    "build": {"level": 1, "workspace_mib": 64},
                },
            }
        )
    )
    done = engines("build", "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["engine"], told["precision"], told["proved"]) == ("lighting", "fp32", None)
    assert Path(told["path"]).parent == tmp_path / "built" / "lighting"
    assert (tmp_path / "secret.key").is_file()
    (entry,) = PlanStore(tmp_path / "built", tmp_path / "secret.key").list()
    assert entry.record is not None
    assert (entry.record.key.level, entry.record.key.max_batch) == (1, 2)
    again = json.loads(engines("build", "--config", config, "--json").stdout)
    assert again == json.loads(done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM while it builds: exit 1, in words, with no plan, no workshop and no child."""
    call = [sys.executable, "-m", "edge", "engines", "build", "--precision", "fp32", "--engines", str(folder)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stderr is not None
        assert "starting" in process.stderr.readline()
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "interrupted" in said
    assert "Traceback" not in said
    kinds = (".md", ".npz", ".json", ".onnx", ".safetensors")
    assert {p.name for p in (folder / "lighting").glob("*") if p.suffix not in kinds} == {".lock"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "lightning"], ["no model 'lightning'", "there: lighting"]),
        (["build", "lighting", "--precision", "int4"], ["int4", "fp32"]),
        (["build", "lighting", "--precision", "int8"], ["no int8 file", "it has fp32"]),
        (["rollback", "lighting"], ["no plan of 'lighting'", "plans of: none"]),
        (["bench", "depth"], ["no model 'depth'", "there: lighting"]),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(folder: Path, arguments: list[str], words: list[str]) -> None:
    """No traceback, an exit code that is not 0, and what there is instead."""
    done = engines(*arguments, "--engines", folder)
    assert done.returncode != 0
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_exits_78(tmp_path: Path) -> None:
    """As with every other command."""
    config = tmp_path / "config.yaml"
    config.write_text("inference: {build: {level: 9}}\n")
    assert engines("build", "--config", config).returncode == 78


def test_a_folder_without_engines_is_told(tmp_path: Path) -> None:
    """Neither a missing folder nor an empty one is a success."""
    assert "no folder" in engines("list", "--engines", tmp_path / "none").stderr
    assert "no engine in" in engines("build", "--engines", tmp_path).stderr


def test_without_tensorrt_building_says_where_it_comes_from(folder: Path) -> None:
    """The remedy for a Jetson and for a workstation; listing works all the same."""
    code = (
        "import sys; sys.modules['tensorrt'] = sys.modules['tensorrt_rtx_bindings'] = None; sys.argv[0] = 'edge'\n"
        "from edge.__main__ import main; main()"
    )
    call = [sys.executable, "-c", code, "engines"]
    done = subprocess.run(
        [*call, "build", "--engines", str(folder)], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 1
    assert "python3-libnvinfer" in done.stderr
    assert subprocess.run([*call, "list", "--engines", str(folder)], cwd=REPOSITORY, check=False).returncode == 0


def test_rolled_back_by_hand(folder: Path) -> None:
    """The accepted plan before becomes the current one; cleaning then removes the rejected one alone."""
    store, model = PlanStore(folder), ModelStore(folder).find("lighting")
    first = store.accept(ensure_plan(store, model, "fp32", here(), BuildOptions(level=1)), None)
    second = ensure_plan(store, model, "fp32", here(), BuildOptions(level=2))
    done = engines("rollback", "lighting", "--engines", folder)
    assert done.returncode == 0, done.stderr
    assert first.path.name[:8] in done.stdout
    assert "rejected" in engines("verify", "--engines", folder).stdout
    assert second.path.name in engines("clean", "--engines", folder).stdout.replace("\n", "")
    assert built(folder) == [first.path]


def test_bench_times_what_the_machine_has(folder: Path) -> None:
    """Every row names runtime and precision; p50 lies between the least and p99, and the first is its own measure."""
    done = engines("bench", "lighting", "--engines", folder, "--seconds", "0.5", "--batch", "2", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {(row["engine"], row["batch"]) for row in rows} == {("lighting", 2)}
    assert ("CPUExecutionProvider", "fp32") in {(row["runtime"], row["precision"]) for row in rows}
    assert all(0 < row["least_ms"] <= row["p50_ms"] <= row["p99_ms"] for row in rows)
    assert rows[0]["ratio"] == pytest.approx(1.0)
