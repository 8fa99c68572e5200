"""In which precision a run learns, where the recipe asks for bfloat16."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.conftest import CPU
from training import fit
from training.fit import Hardware

ROOT = Path(__file__).parents[2]
SAYS = """
import torch
from training.fit import Hardware, _precision
print(_precision("bf16-mixed", Hardware("cpu")))
layer = torch.nn.LSTM(8, 8, num_layers=2, bidirectional=True)
try:
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(4, 2, 8))[0].sum().backward()
    print("runs")
except RuntimeError:
    print("does not run")
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["DEFAULT", "AVX2"])
def test_the_precision_is_one_in_which_the_layers_run(limit: str) -> None:
    """Where a network's recurrent layers run in bfloat16 it is taken, else float32, on whatever processor.

    A processor that has none is had from oneDNN, which can be told to use no newer instructions.
    """
    said = {**os.environ, "ONEDNN_MAX_CPU_ISA": limit}
    done = subprocess.run([sys.executable, "-c", SAYS], env=said, cwd=ROOT, capture_output=True, text=True, check=True)
    precision, runs = done.stdout.splitlines()
    assert (precision, runs) in {("bf16-mixed", "runs"), ("32-true", "does not run")}
    if limit == "AVX2" and platform.machine() == "x86_64":
        assert precision == "32-true"


class _Refused(torch.nn.LSTM):
    """What torch says on a processor without bfloat16."""

    def forward(self, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")


def test_only_bfloat16_on_a_cpu_is_tried(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where the layer is refused, a run on the CPU learns in float32 and says so; all else is as asked for."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch.nn, "LSTM", _Refused)
    assert fit._precision("bf16-mixed", CPU) == "32-true"
    assert "in float32, not in optim.precision bf16-mixed" in caplog.text
    assert fit._precision("bf16-mixed", Hardware("gpu")) == "bf16-mixed"
    assert [fit._precision(p, CPU) for p in ("32-true", "16-mixed")] == ["32-true", "16-mixed"]
