"""Plans are trusted only if this device signed them and nobody else could touch them; all else is built anew."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import BuildError, EngineError, PlanError
from edge.inference.manifest import read_manifest, sha256_of, write_manifest
from edge.inference.options import BuildOptions
from edge.inference.proving import GoldenResult
from edge.inference.store import ModelStore, StoredModel
from edge.inference.trt.build_process import BuildProgress
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.plans import Plan, PlanStore
from edge.inference.trt.platform import Platform
from tests.edge.inference.conftest import made_model_folder, write_model
from tests.plans import REPOSITORY, here, needs_rtx

Maker = Callable[..., Path]
OPTIONS = BuildOptions(workspace_mib=64)
SLOWER = replace(OPTIONS, level=2)

pytestmark = needs_rtx


@pytest.fixture
def model(model_folder: Maker) -> StoredModel:
    """A tiny model with a free batch."""
    return ModelStore(model_folder(batch="batch").parent).find("depth")


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    """An empty store."""
    return PlanStore(tmp_path / "plans")


@pytest.fixture(scope="module")
def first_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the plan of the tiny model, and the key that signed it."""
    folder = tmp_path_factory.mktemp("first")
    made_model_folder(folder / "engines", batch="batch")
    build(PlanStore(folder / "plans"), ModelStore(folder / "engines").find("depth"))
    return folder / "plans"


@pytest.fixture
def plan(store: PlanStore, model: StoredModel, first_build: Path) -> Plan:
    """The plan of the tiny model, in the test's store as it was built: a copy, with its key and rights."""
    shutil.copytree(first_build, store.root)
    return store.find(model, "fp32", here(), OPTIONS)


def build(store: PlanStore, model: StoredModel, options: BuildOptions = OPTIONS) -> Plan:
    """Ensure the plan of this machine."""
    return ensure_plan(store, model, "fp32", here(), options)


def record_of(plan: Plan) -> Path:
    """Where the record of a plan lies."""
    return plan.path.with_name(plan.path.name + ".json")


def reason(store: PlanStore, model: StoredModel, platform: Platform | None = None) -> str:
    """Why the plan may not be loaded; empty if it may."""
    try:
        store.find(model, "fp32", platform or here(), OPTIONS)
    except PlanError as e:
        return e.reason
    return ""


def test_a_plan_is_built_once_and_found_again(store: PlanStore, model: StoredModel) -> None:
    """What was built is what is found, byte for byte, and nobody else may read anything of it."""
    assert reason(store, model) == "missing"
    plan = build(store, model)
    assert plan.record.state == "built"
    found = store.find(model, "fp32", here(), OPTIONS)
    assert found == plan
    assert found.data == plan.path.read_bytes()
    assert build(store, model).record.built_at == plan.record.built_at
    for path in (store.root, *store.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert {p.name for p in plan.path.parent.iterdir()} == {plan.path.name, record_of(plan).name, ".lock"}


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link(path: Path) -> None:
    """Put a symbolic link to the very same bytes in its place."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def fifo(path: Path) -> None:
    """Put a pipe in its place, which would block a careless reader."""
    path.unlink()
    os.mkfifo(path, 0o600)


def give_away(path: Path) -> None:
    """Make it another user's."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, -1)


def edit_record(path: Path) -> None:
    """Say that a plan was accepted which was not."""
    path.write_text(path.read_text().replace('"built"', '"accepted"'))


DAMAGE = [
    ("plan", flip, "tampered"),
    ("plan", lambda p: os.truncate(p, p.stat().st_size // 2), "truncated"),
    ("plan", lambda p: os.truncate(p, 0), "truncated"),
    ("plan", lambda p: p.write_bytes(p.read_bytes() + b"x"), "tampered"),
    ("plan", Path.unlink, "missing"),
    ("plan", link, "link"),
    ("plan", fifo, "link"),
    ("plan", lambda p: p.chmod(0o640), "mode"),
    ("plan", lambda p: p.chmod(0o602), "mode"),
    ("plan", give_away, "owner"),
    ("record", edit_record, "tampered"),
    ("record", lambda p: p.write_text("{}"), "tampered"),
    ("record", lambda p: os.truncate(p, p.stat().st_size // 2), "tampered"),
    ("record", lambda p: p.write_text("[" * 100_000), "tampered"),
    ("record", Path.unlink, "missing"),
    ("record", link, "link"),
    ("record", lambda p: p.chmod(0o604), "mode"),
    ("record", give_away, "owner"),
    ("key", lambda p: p.write_bytes(secrets.token_bytes(32)), "tampered"),
    ("key", Path.unlink, "key"),
]


@pytest.mark.parametrize(("what", "damage", "why"), DAMAGE, ids=[f"{d[0]}-{i}-{d[2]}" for i, d in enumerate(DAMAGE)])
def test_what_cannot_be_trusted_is_refused_and_built_anew(
    store: PlanStore, model: StoredModel, plan: Plan, what: str, damage: Callable[[Path], None], why: str
) -> None:
    """Each is refused with its reason; the next build puts a sound one in its place, and no link is followed."""
    damage({"plan": plan.path, "record": record_of(plan), "key": store.key_file}[what])
    assert reason(store, model) == why
    assert [e.role for e in store.list(here())] == [""]
    anew = build(store, model)
    assert reason(store, model) == ""
    assert anew.record.built_at > plan.record.built_at
    assert not anew.path.is_symlink()


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.chmod(0o640),
        lambda p: p.write_bytes(b"short"),
        link,
        fifo,
        give_away,
    ],
)
def test_a_key_that_others_may_know_signs_nothing(
    store: PlanStore, model: StoredModel, damage: Callable[[Path], None]
) -> None:
    """It is neither used nor replaced behind the owner's back: the message says to remove it."""
    damage(store.key_file)
    assert reason(store, model) == "key"
    with pytest.raises(PlanError, match="remove it and build all plans anew"):
        build(store, model)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path, model: StoredModel) -> None:
    """32 bytes, mode 0600, where the configuration says, and never made again."""
    store = PlanStore(tmp_path / "plans", tmp_path / "secret" / "plan.key")
    build(store, model)
    key = store.key_file.read_bytes()
    assert len(key) == 32
    assert store.key_file.stat().st_mode & 0o777 == 0o600
    build(store, model, SLOWER)
    assert store.key_file.read_bytes() == key


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "10.3.0"}, "version"),
        ({"sdk": "tensorrt", "version": "10.3.0"}, "version"),
        ({"device": "Orin", "compute_capability": "8.7"}, "device"),
        ({"driver": "13.0"}, "device"),
    ],
)
def test_a_plan_of_another_machine_is_not_this_ones(
    store: PlanStore, model: StoredModel, change: dict[str, str], why: str
) -> None:
    """Another TensorRT, GPU or driver: the message says which there is and which here."""
    assert reason(store, model, replace(here(), **change)) == why


def test_another_gpu_gets_a_plan_of_its_own(store: PlanStore, model: StoredModel, plan: Plan) -> None:
    """Building for another one leaves the first in place, and each machine finds its own."""
    ada = replace(here(), compute_capability="8.9", device="RTX 4090", driver="13.0")
    first, second = plan, ensure_plan(store, model, "fp32", ada, OPTIONS)
    assert store.find(model, "fp32", here(), OPTIONS) == first
    assert store.find(model, "fp32", ada, OPTIONS) == second
    assert {(e.path, e.problem.reason if e.problem else "") for e in store.list(ada)} == {
        (first.path, "device"),
        (second.path, ""),
    }


def test_a_plan_under_anothers_name_is_refused(store: PlanStore, model: StoredModel, plan: Plan) -> None:
    """Signed by this device, but renamed: the record tells what it is of."""
    other = build(store, model, SLOWER)
    shutil.copy2(other.path, plan.path)
    shutil.copy2(record_of(other), record_of(plan))
    assert reason(store, model) == "options"
    build(store, model)
    assert reason(store, model) == ""


@pytest.mark.usefixtures("plan")
def test_another_model_gets_another_plan(store: PlanStore, model: StoredModel) -> None:
    """A new ONNX file under the same name is built anew; the plan of the old one is not used for it."""
    newer = other_version(model, gain=3.0)
    assert reason(store, newer) == "changed-model"
    build(store, newer)
    assert reason(store, newer) == ""
    assert reason(store, model) == ""


def other_version(model: StoredModel, **change: float) -> StoredModel:
    """The same folder with another network in it."""
    folder = model.folder.parent.with_name("newer") / model.folder.name
    shutil.copytree(model.folder, folder)
    write_model(folder / "model.onnx", batch="batch", gain=change.get("gain", 2.0))
    manifest = read_manifest(folder)
    onnx = manifest.onnx.model_copy(update={"sha256": sha256_of(folder / "model.onnx")})
    write_manifest(folder, manifest.model_copy(update={"onnx": onnx, "version": "2"}))
    return StoredModel(folder, read_manifest(folder))


def golden(difference: float = 0.0) -> GoldenResult:
    """A comparison with the golden output."""
    return GoldenResult({"depth": difference}, {"depth": 1.0})


def test_a_rejected_plan_gives_way_to_the_accepted_one_before(store: PlanStore, model: StoredModel, plan: Plan) -> None:
    """It is rolled back to, though of another version of the model; the rejected one is not tried again by itself."""
    newer = other_version(model, gain=3.0)
    first = store.accept(plan, golden(0.25))
    assert first.record.golden == {"depth": 0.25}
    second = build(store, newer)
    assert store.previous(newer, "fp32", here(), OPTIONS) == first
    assert store.reject(second, "gives nonsense") == first
    assert reason(store, newer) == "rejected"
    with pytest.raises(PlanError, match=r"gives nonsense.*edge engines build depth --force"):
        build(store, newer)
    assert store.find(model, "fp32", here(), OPTIONS) == first
    third = ensure_plan(store, newer, "fp32", here(), OPTIONS, force=True)
    assert third.record.state == "built"
    assert reason(store, newer) == ""


def test_only_an_accepted_sound_plan_of_this_machine_and_interface_is_gone_back_to(
    store: PlanStore, model: StoredModel
) -> None:
    """One that was never proved, is damaged, of another GPU, or takes another input, is not."""
    old, asked = build(store, model, SLOWER), build(store, model)
    assert store.previous(model, "fp32", here(), OPTIONS) is None
    old = store.accept(old, None)
    assert store.previous(model, "fp32", here(), OPTIONS) == old
    assert store.previous(model, "fp32", replace(here(), driver="14"), OPTIONS) is None
    spec = model.manifest.input.model_copy(update={"mean": (0.5, 0.5, 0.5)})
    changed = StoredModel(model.folder, model.manifest.model_copy(update={"input": spec}))
    assert store.previous(changed, "fp32", here(), OPTIONS) is None
    flip(old.path)
    assert store.previous(model, "fp32", here(), OPTIONS) is None
    assert store.reject(asked, "fails") is None


def test_rolling_back_by_hand_needs_something_to_go_back_to(store: PlanStore, model: StoredModel, plan: Plan) -> None:
    """The current plan is rejected only if an accepted one takes over; an unknown name lists those there."""
    first = store.accept(plan, None)
    with pytest.raises(PlanError, match="no earlier accepted plan"):
        store.rollback("depth", here())
    assert reason(store, model) == ""
    build(store, model, SLOWER)
    assert [e.role for e in store.list(here())] == ["current", "previous"]
    assert store.rollback("depth", here()) == first
    assert [(e.role, e.record and e.record.state) for e in store.list(here())] == [
        ("", "rejected"),
        ("current", "accepted"),
    ]
    with pytest.raises(PlanError, match=r"no plan of 'depht'.*\(plans of: depth\)"):
        store.rollback("depht", here())


def test_what_is_rolled_back_is_what_the_configuration_asks_for(
    store: PlanStore, model: StoredModel, plan: Plan
) -> None:
    """With the options of the older of two plans, that one serves, and is rejected; the newer one takes over."""
    older = store.accept(plan, golden())
    newer = store.accept(build(store, model, SLOWER), golden())
    taken = store.rollback(model.folder.name, here(), older.record.key)
    assert taken.record.key == newer.record.key
    assert reason(store, model) == "rejected"


def test_cleaning_keeps_what_serves_and_what_it_goes_back_to(store: PlanStore, model: StoredModel) -> None:
    """Superseded, rejected, damaged plans and those of other GPUs go; a dry run only tells."""
    levels = [store.accept(build(store, model, replace(OPTIONS, level=level)), None) for level in (0, 1, 2, 3)]
    oldest, superseded, previous, current = levels
    flip(oldest.path)
    store.reject(build(store, model, replace(OPTIONS, level=4)), "fails")
    ensure_plan(store, model, "fp32", replace(here(), compute_capability="8.9", device="RTX 4090"), OPTIONS)
    before = {p for p in store.root.rglob("*") if p.is_file()}
    told = store.clean(here(), dry_run=True)
    assert {p for p in store.root.rglob("*") if p.is_file()} == before
    assert {e.path for e in store.clean(here())} == {e.path for e in told}
    assert len(told) == 4
    assert superseded.path in {e.path for e in told}
    assert {e.path: e.role for e in store.list(here())} == {current.path: "current", previous.path: "previous"}
    store.clean(here(), everything=True)
    assert store.list() == ()


RACE = """
import sys
from pathlib import Path
from edge.inference.options import BuildOptions
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.plans import PlanStore
from edge.inference.store import ModelStore
from tests.plans import here
root, engines = map(Path, sys.argv[1:3])
plan = ensure_plan(PlanStore(root), ModelStore(engines).find("depth"), "fp32", here(), BuildOptions(workspace_mib=64))
print(plan.record.built_at)
"""


def test_two_processes_build_one_plan(store: PlanStore, model: StoredModel) -> None:
    """Both ask at once; one builds, the other waits, and both have the same."""
    call = [sys.executable, "-c", RACE, str(store.root), str(model.folder.parent)]
    processes = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(2)]
    times = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(times) == 1
    assert len(store.list(here())) == 1


FULL = """
import resource, sys
from pathlib import Path
from edge.inference.options import BuildOptions
from edge.inference.trt.building import ensure_plan
from edge.inference.trt.plans import PlanStore
from edge.inference.store import ModelStore
from tests.plans import here
root, engines = map(Path, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
model = ModelStore(engines).find("depth")
ensure_plan(PlanStore(root), model, "fp32", here(), BuildOptions(workspace_mib=64), force=True)
"""


def test_no_room_on_the_disk_leaves_the_old_plan(store: PlanStore, model: StoredModel, plan: Plan) -> None:
    """Writing fails, the message says to make room, and what was there before is untouched."""
    assert len(plan.data) > 10_000
    call = [sys.executable, "-c", FULL, str(store.root), str(model.folder.parent)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=REPOSITORY, timeout=60, check=False)
    assert done.returncode == 1
    assert "make room" in done.stderr
    assert store.find(model, "fp32", here(), OPTIONS) == plan
    assert {p.name for p in plan.path.parent.iterdir()} == {plan.path.name, record_of(plan).name, ".lock"}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, model: StoredModel) -> None:
    """A store below a file cannot be made; the message says which key to set."""
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="set inference.plans"):
        build(PlanStore(tmp_path / "file" / "plans"), model)


@pytest.mark.parametrize("below", [".", "depth"])
def test_nothing_is_built_where_everybody_may_write(store: PlanStore, model: StoredModel, below: str) -> None:
    """Who can swap the folder under the builder's hands can have it write anywhere."""
    folder = store.root / below
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o1777)
    with pytest.raises(EngineError, match="chmod o-w"):
        build(store, model)


def test_who_may_not_look_is_told(store: PlanStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a user who may not enter the folder, it is not empty."""

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may look everywhere
    with pytest.raises(EngineError, match="as the user that runs edge"):
        store.list()


def test_root_does_not_build_for_another_user(store: PlanStore, model: StoredModel) -> None:
    """What `sudo edge engines build` makes the service could not read: the message says as whom to run it."""
    store.root.mkdir()
    give_away(store.root)
    with pytest.raises(EngineError, match="sudo -u edge"):
        build(store, model)
    assert list(store.root.iterdir()) == []


def test_giving_up_leaves_nothing_half_written(store: PlanStore, model: StoredModel) -> None:
    """A build that is stopped, or fails, leaves neither plan nor record nor workshop."""
    stop = threading.Event()
    with pytest.raises(BuildError, match="interrupted"):
        ensure_plan(store, model, "fp32", here(), OPTIONS, on_progress=lambda _: stop.set(), stop=stop)
    with pytest.raises(BuildError, match="no DLA core"):
        build(store, model, replace(OPTIONS, dla_core=0))
    assert [p.name for p in (store.root / "depth").iterdir()] == [".lock"]


@pytest.mark.usefixtures("plan")
def test_waiting_for_another_builder_can_be_given_up(store: PlanStore, model: StoredModel) -> None:
    """While another process holds the lock, progress is told, and the stop event ends the wait."""
    stop, said = threading.Event(), list[BuildProgress]()

    def wait(progress: BuildProgress) -> None:
        said.append(progress)
        stop.set()

    hold = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    call = [sys.executable, "-c", hold, str(store.root / "depth" / ".lock")]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BuildError, match="another process builds"):
            ensure_plan(store, model, "fp32", here(), SLOWER, on_progress=wait, stop=stop)
        holder.communicate(b"")
    assert "another process" in said[0].phase


def test_tensorrt_proper_needs_the_gpu_that_it_builds_for(store: PlanStore, model: StoredModel) -> None:
    """Unlike TensorRT-RTX; the message says what to look at."""
    jetpack = Platform("tensorrt", "10.3.0", "none", "none", "none")
    with pytest.raises(BuildError, match=r"TensorRT 10\.3\.0 builds on the GPU.*inference.backend: ort"):
        ensure_plan(store, model, "fp32", jetpack, OPTIONS)


def test_leftovers_of_a_power_cut_are_cleared_away(store: PlanStore, model: StoredModel) -> None:
    """A workshop whose builder died is gone after the next build, and a half record is no plan."""
    folder = store.root / "depth"
    (folder / ".build-dead").mkdir(parents=True)
    (folder / ".build-dead" / "plan").write_bytes(b"half")
    plan = build(store, model)
    assert {p.name for p in folder.iterdir()} == {plan.path.name, record_of(plan).name, ".lock"}


def test_the_record_says_all_that_the_plan_depends_on(model: StoredModel, plan: Plan) -> None:
    """Whoever reads the file learns model, machine, options, size and time; the digest of these is the file's name."""
    record = json.loads(record_of(plan).read_text())["record"]
    assert record["key"]["onnx_sha256"] == model.manifest.onnx.sha256
    assert record["key"]["sdk_version"] == here().version
    assert (record["key"]["max_batch"], record["key"]["level"]) == (OPTIONS.max_batch, OPTIONS.level)
    assert record["plan_bytes"] == plan.path.stat().st_size
    assert record["plan_sha256"] == sha256_of(plan.path)
    assert plan.record.key.digest == plan.path.stem
