"""The plans that TensorRT built on this device, as files: found, accepted, rolled back, and never trusted unseen.

`<root>/<model>/<key>.engine` is a plan, `<key>.engine.json` its signed record. The key is a digest of all that a plan
depends on, so one of another model, GPU, driver, TensorRT or precision is simply not found, and a plan is loaded only
if the device's key signed it together with its record. What does not verify is built anew, by `ensure_plan`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edge.errors import BuildError, EngineError, PlanError
from edge.inference.manifest import Precision
from edge.inference.options import BuildOptions
from edge.inference.proving import GoldenResult
from edge.inference.store import StoredModel
from edge.inference.trt.plan_record import PlanKey, PlanRecord, interface_of, mismatch
from edge.inference.trt.platform import Platform
from edge.keep.files import device_key, make_private_folder, read_private, sign, verifies, write_private

PLAN_SUFFIX = ".engine"
RECORD_SUFFIX = ".engine.json"
KEY_FILE = "device.key"

_RETRY_LOCK_S = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was verified when it was read."""

    path: Path
    record: PlanRecord
    data: bytes


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A plan as it lies in the store."""

    model: str
    path: Path
    record: PlanRecord | None
    """None if it could not be verified."""
    problem: PlanError | None
    """Why it may not be loaded; None if it may."""
    role: Literal["current", "previous", ""] = ""
    """`current`: the newest of its model and precision that may be loaded; `previous`: the accepted one before it."""


class PlanStore:
    """The plans below one folder, signed with one key. Several processes may use it at once."""

    def __init__(self, root: Path, key_file: Path | None = None) -> None:
        """`key_file`: the device's key; default `device.key` in `root`. It is made with the first plan."""
        self.root = root
        self.key_file = key_file or root / KEY_FILE

    def path_of(self, name: str, key: PlanKey) -> Path:
        """Where the plan of a model's folder and this key is, or would be."""
        return self.root / name / (key.digest + PLAN_SUFFIX)

    def find(self, model: StoredModel, precision: Precision, platform: Platform, options: BuildOptions) -> Plan:
        """The plan of exactly this model, precision, machine and options.

        Raises:
            PlanError: there is none, or it may not be loaded. `missing`; `changed-model`, `version`, `device`,
                `options`: there is one of another; `rejected`; or what is wrong with the files: `link`, `owner`,
                `mode`, `truncated`, `tampered`, `key`.
        """
        name = model.folder.name
        asked = PlanKey.of(model.manifest, precision, platform, options)
        try:
            plan = self._read(name, asked.digest)
        except PlanError as e:
            if e.reason != "missing":
                raise
            raise self._missing(name, asked) from e
        if plan.record.key != asked:
            raise mismatch(name, plan.record.key, asked)
        if plan.record.state == "rejected":
            raise PlanError(
                "rejected",
                f"{name}: its plan was rejected ({plan.record.why}); `edge engines build {name} --force` makes another",
            )
        return plan

    def previous(
        self, model: StoredModel, precision: Precision, platform: Platform, options: BuildOptions
    ) -> Plan | None:
        """The newest accepted plan of another key that can serve in its place; None without one.

        It is of this very machine and precision, of a model that takes and gives the same, and was accepted against the
        golden output of its own model: a newer model's says nothing about it.
        """
        asked = PlanKey.of(model.manifest, precision, platform, options)
        return self._instead_of(model.folder.name, asked, interface_of(model.manifest))

    def accept(self, plan: Plan, golden: GoldenResult | None) -> Plan:
        """Mark a plan as proved against the golden output; the same plan with its new record.

        Raises:
            EngineError: the record cannot be written.
        """
        measured = None if golden is None else golden.difference
        record = plan.record.model_copy(update={"state": "accepted", "golden": measured, "why": ""})
        return plan if record == plan.record else self._signed(plan, record)

    def reject(self, plan: Plan, why: str) -> Plan | None:
        """Never load this plan again until it is built anew; the previous one that serves in its place, or None.

        Raises:
            EngineError: the record cannot be written.
        """
        self._signed(plan, plan.record.model_copy(update={"state": "rejected", "why": why}))
        return self._instead_of(plan.record.model, plan.record.key, plan.record.interface)

    def list(self, platform: Platform | None = None) -> tuple[PlanEntry, ...]:
        """Every plan, verified, by model, the newest first; with `platform`, whether this machine can load it.

        Raises:
            EngineError: this user may not look into the folder.
        """
        entries: list[PlanEntry] = []
        for folder in sorted(p for p in _inside(self.root) if p.is_dir()):
            entries += self._roles([self._entry(folder.name, digest, platform) for digest in _digests(folder)])
        return tuple(entries)

    def rollback(self, name: str, platform: Platform, asked: PlanKey | None = None) -> Plan:
        """Reject a model's plan by hand; the one that serves in its place from now on.

        Args:
            name: the model's folder.
            platform: this machine.
            asked: what the configuration asks for: that plan is rejected, where it may be loaded; else the newest.

        Raises:
            PlanError: there is no current one, or nothing to go back to.
        """
        mine = [e for e in self.list(platform) if e.model == name and e.problem is None]
        served = [e for e in mine if e.record is not None and e.record.key == asked]
        current = next(iter((*served, *mine)), None)
        if current is None or current.record is None:
            have = ", ".join(sorted({e.model for e in self.list()})) or "none"
            raise PlanError(
                "missing",
                f"no plan of {name!r} in {self.root} serves here (plans of: {have}); `edge engines list` says why",
            )
        record = current.record
        if self._instead_of(name, record.key, record.interface) is None:
            raise PlanError(
                "missing",
                f"{name}: no earlier accepted plan of this machine to go back to; with `inference.backend: ort` "
                "ONNX Runtime serves instead",
            )
        previous = self.reject(self._read(name, record.key.digest), "rolled back by hand")
        assert previous is not None
        return previous

    def clean(
        self, platform: Platform | None = None, *, keep: int = 1, everything: bool = False, dry_run: bool = False
    ) -> tuple[PlanEntry, ...]:
        """Remove what cannot be loaded, was rejected, or is older than the current plan and `keep` accepted ones.

        Args:
            platform: this machine: plans of other GPUs and versions go too; None leaves those.
            keep: how many plans to go back to are left of each model and precision.
            everything: remove every plan.
            dry_run: only tell.

        Returns:
            What was removed.
        """
        doomed, left = [], dict[tuple[str, str], int]()
        for entry in self.list(platform):
            if entry.record is not None and entry.problem is None and not everything:
                group = (entry.model, entry.record.key.precision)
                left[group] = left.get(group, 0) + 1
                if entry.role == "current" or (entry.record.state == "accepted" and left[group] <= keep + 1):
                    continue
            doomed.append(entry)
        for entry in () if dry_run else doomed:
            with self.locked(entry.model):
                for path in (entry.path, _record_path(entry.path)):
                    path.unlink(missing_ok=True)
        return tuple(doomed)

    def _read(self, name: str, digest: str) -> Plan:
        """A plan whose files and signature are in order, whatever it is of."""
        path = self.root / name / (digest + PLAN_SUFFIX)
        data, sealed = read_private(path), read_private(_record_path(path))
        try:
            signed = json.loads(sealed)
            record, signature = PlanRecord.model_validate(signed["record"]), bytes.fromhex(signed["hmac"])
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as e:
            raise PlanError("tampered", f"{_record_path(path)} is no record of a plan; build {name} anew") from e
        if len(data) < record.plan_bytes:
            raise PlanError(
                "truncated", f"{path}: {len(data)} of {record.plan_bytes} bytes are there; build {name} anew"
            )
        if not verifies(device_key(self.key_file), (record.canonical(), data), signature):
            raise PlanError(
                "tampered",
                f"{path} or its record was changed, or comes from another device: the signature is not of "
                f"{self.key_file}; build {name} anew",
            )
        return Plan(path, record, data)

    def _missing(self, name: str, asked: PlanKey) -> PlanError:
        """Why there is no plan of this key: perhaps there is one of something else."""
        for entry in self.list():
            if entry.model == name and entry.record is not None and entry.record.key.precision == asked.precision:
                return mismatch(name, entry.record.key, asked)
        return PlanError(
            "missing", f"{name}: no {asked.precision} plan for {asked.platform}; run `edge engines build {name}`"
        )

    def _instead_of(self, name: str, key: PlanKey, interface: str) -> Plan | None:
        for entry in self.list(key.platform):
            record = entry.record
            if entry.model != name or record is None or entry.problem is not None or record.state != "accepted":
                continue
            if record.key != key and record.key.precision == key.precision and record.interface == interface:
                with contextlib.suppress(PlanError):
                    return self._read(name, record.key.digest)
        return None

    def _entry(self, name: str, digest: str, platform: Platform | None) -> PlanEntry:
        path = self.root / name / (digest + PLAN_SUFFIX)
        try:
            record = self._read(name, digest).record
        except PlanError as e:
            return PlanEntry(name, path, None, e)
        problem = None
        if record.key.digest != digest or record.model != name:
            problem = PlanError("tampered", f"{path} is the plan of another model or key; remove it")
        elif record.state == "rejected":
            problem = PlanError("rejected", f"rejected: {record.why}")
        elif platform is not None and record.key.platform != platform:
            problem = mismatch(name, record.key, record.key.on(platform))
        return PlanEntry(name, path, record, problem)

    def _roles(self, entries: Iterable[PlanEntry]) -> Iterable[PlanEntry]:
        """Newest first, with what serves and what is gone back to, by precision."""
        entries = sorted(entries, key=lambda e: e.record.built_at if e.record else "", reverse=True)
        current, previous = set[str](), set[str]()
        told = []
        for entry in entries:
            role: Literal["current", "previous", ""] = ""
            if entry.record is not None and entry.problem is None:
                precision = entry.record.key.precision
                if precision not in current:
                    role = "current"
                    current.add(precision)
                elif precision not in previous and entry.record.state == "accepted":
                    role = "previous"
                    previous.add(precision)
            told.append(PlanEntry(entry.model, entry.path, entry.record, entry.problem, role))
        return told

    def write(self, plan: Plan) -> Plan:
        """Store a plan with its record, signed; the caller has it `locked`.

        Raises:
            EngineError: it cannot be written; the plan that was there stands.
        """
        write_private(plan.path, plan.data)
        return self._signed(plan, plan.record)

    def _signed(self, plan: Plan, record: PlanRecord) -> Plan:
        """The plan with this record, signed and written."""
        signature = sign(device_key(self.key_file), (record.canonical(), plan.data))
        text = json.dumps({"record": record.model_dump(mode="json"), "hmac": signature.hex()}, indent=2) + "\n"
        write_private(_record_path(plan.path), text.encode())
        return Plan(plan.path, record, plan.data)

    @contextmanager
    def locked(
        self, name: str, *, on_wait: Callable[[float], None] | None = None, stop: threading.Event | None = None
    ) -> Iterator[None]:
        """Alone with a model's plans, among all processes; the lock goes with the process that holds it.

        Args:
            name: the model's folder.
            on_wait: told a few times a second for how long another process has held it, s.
            stop: set it to give up waiting.

        Raises:
            BuildError: given up.
            EngineError: the folder cannot be written, or others may write there.
        """
        folder = self.root / name
        make_private_folder(self.root)
        owner = self.root.stat().st_uid
        if os.geteuid() == 0 != owner:  # `sudo edge engines build`: the service could not read what root makes
            raise EngineError(
                f"{self.root} belongs to user {owner}, who could not use what root puts there; run this as that user, "
                "e.g. `sudo -u edge /opt/edge/venv/bin/edge engines build --config /etc/edge/config.yaml`"
            )
        make_private_folder(folder)
        for path in (self.root, folder):
            if path.stat().st_mode & stat.S_IWOTH:
                raise EngineError(f"{path}: everybody may put files there, and plans are native code; chmod o-w {path}")
        try:
            fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise EngineError(
                f"{folder}: cannot be written ({e.strerror}); set inference.plans to a folder that the user who runs "
                "edge may write"
            ) from e
        try:
            begun_s = time.monotonic()
            while not _lock(fd):
                if on_wait is not None:
                    on_wait(time.monotonic() - begun_s)
                if stop is not None and stop.wait(_RETRY_LOCK_S):
                    raise BuildError(f"{name}: interrupted while another process builds its plan")
                if stop is None:
                    time.sleep(_RETRY_LOCK_S)
            yield
        finally:
            os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _record_path(plan: Path) -> Path:
    return plan.with_name(plan.name.removesuffix(PLAN_SUFFIX) + RECORD_SUFFIX)


def _inside(folder: Path) -> Iterable[Path]:
    """What is in a folder; nothing if there is none."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as e:
        raise EngineError(
            f"{folder}: cannot be read ({e.strerror}); run this as the user that runs edge, e.g. `sudo -u edge ...`"
        ) from e


def _digests(folder: Path) -> set[str]:
    """Keys of the plans and records in a model's folder."""
    names = {p.name for p in _inside(folder)}
    return {n.removesuffix(suffix) for suffix in (PLAN_SUFFIX, RECORD_SUFFIX) for n in names if n.endswith(suffix)}
