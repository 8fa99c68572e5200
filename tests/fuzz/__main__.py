"""Feeds every place that reads what others wrote with nonsense, counts, and watches its memory.

    python -m tests.fuzz --inputs 1000000      # of all targets, by their shares, each in a process of its own
    python -m tests.fuzz --only pictures --inputs 10000 --seed 7

A finding (an exception that the place does not promise, a broken law, a crash, a hang) is kept in build/fuzz, and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import traceback
from itertools import islice
from pathlib import Path

import psutil

from tests.fuzz.targets import TARGETS, inputs_of

FOUND = Path(__file__).resolve().parents[2] / "build" / "fuzz"
_HANG_S = 30
_WARM = 0.2
"""The part of the inputs after which memory is first measured: caches have filled by then."""
_GROWTH_BYTES = 24 * 2**20
_MOST_FINDINGS = 20


def fed(name: str, count: int, seed: int) -> dict[str, object]:
    """Run one target in this process; what it came to."""
    process, target, findings = psutil.Process(), TARGETS[name], list[str]()
    FOUND.mkdir(parents=True, exist_ok=True)
    current = FOUND / f"{name.replace(' ', '-')}.current"
    begun_s, warm_bytes = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="edge-fuzz-") as folder:
        for number, data in enumerate(islice(inputs_of(name, seed), count)):
            if number == int(count * _WARM):
                warm_bytes = process.memory_info().rss
            if name in ("pictures", "networks"):
                current.write_bytes(data)  # what crashes the process is still there
            faulthandler.dump_traceback_later(_HANG_S, exit=True)
            try:
                target.run(data, Path(folder))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                findings.append(_kept(name, data, error))
                if len(findings) >= _MOST_FINDINGS:
                    break
    faulthandler.cancel_dump_traceback_later()
    grown_bytes = process.memory_info().rss - warm_bytes
    took_s = time.monotonic() - begun_s
    return {
        "inputs": number + 1,
        "per_s": round((number + 1) / took_s),
        "rss_mib": [round(warm_bytes / 2**20, 1), round((warm_bytes + grown_bytes) / 2**20, 1)],
        "grew": grown_bytes > _GROWTH_BYTES,
        "findings": findings,
    }


def _kept(name: str, data: bytes, error: Exception) -> str:
    path = FOUND / f"{name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{path.name}: {type(error).__name__} {str(error)[:200]!r} at {Path(last.filename).name}:{last.lineno}"


def main() -> int:
    """All targets, or one; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(TARGETS))
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(fed(asked.only, asked.inputs, asked.seed)))
        return 0
    total, bad = 0, 0
    for name, target in TARGETS.items():
        count = max(1, round(asked.inputs * target.share))
        command = [sys.executable, "-m", "tests.fuzz", "--only", name, "--inputs", str(count)]
        ended = subprocess.run([*command, "--seed", str(asked.seed)], capture_output=True, text=True, check=False)
        if ended.returncode:
            print(f"{name}: ended with {ended.returncode}; its last input is in {FOUND}\n{ended.stderr[-3000:]}")
            bad += 1
            continue
        came = json.loads(ended.stdout.splitlines()[-1])
        total += came["inputs"]
        bad += bool(came["grew"] or came["findings"])
        memory = " to ".join(str(mib) for mib in came["rss_mib"])
        print(f"{name}: {came['inputs']} inputs, {came['per_s']}/s, RSS {memory} MiB, {len(came['findings'])} findings")
        for finding in came["findings"]:
            print(f"  {finding}")
        sys.stdout.flush()
    print(f"{total} inputs in all; {bad} of {len(TARGETS)} targets with findings or growth")
    return 1 if bad or total < asked.inputs * 0.99 else 0


if __name__ == "__main__":
    raise SystemExit(main())
