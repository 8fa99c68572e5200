"""Reading pickled weights: everything that a real file holds, and nothing that it could run."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import DataError
from training.export.published.pickles import Shell, read_numpy_dict, read_torch, state_dict_of


class _Trap:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


class _Patch:
    """Calls a function of this process when an ordinary unpickler reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.check_call, (["false"],), {"state": 1}


def _model() -> nn.DataParallel[nn.Sequential]:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
    return nn.DataParallel(net)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_model_gives_its_state_dict(zipped: bool, tmp_path: Path) -> None:
    """A whole model beside its optimiser and arguments, in either format of torch, gives exactly its tensors."""
    model, path = _model(), tmp_path / "model.pth.tar"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.stack([p.sum() for p in model.parameters()]).sum().backward()
    optimizer.step()
    content = {
        "args": argparse.Namespace(lr=0.1),
        "epoch": 3,
        "model": model,
        "best": np.float64(0.5),
        "optimizer": optimizer,
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    read = read_torch(path)
    found, expected = state_dict_of(read, path), model.module.state_dict()
    assert read["epoch"] == 3
    assert isinstance(read["optimizer"], Shell)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    """Functions that a pickle calls are not called: they leave no trace, and weights beside them are read."""
    path, trace = tmp_path / "trap.pth", tmp_path / "trace"
    weights = {"a.weight": torch.ones(2)}
    content = {"state_dict": weights, "trap": _Trap(f"touch {trace}"), "other": _Patch()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = state_dict_of(read_torch(path), path)
    assert not trace.exists()
    torch.testing.assert_close(found["a.weight"], weights["a.weight"])


def test_arrays_of_layers_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    """A dictionary of dictionaries saved by numpy comes back; a trap in it is an error, not a command."""
    path, trace = tmp_path / "layers.npy", tmp_path / "trace"
    layers = {"conv1": {"weights": np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3), "biases": np.zeros(3)}}
    np.save(path, np.array(layers, dtype=object))
    found = read_numpy_dict(path)
    np.testing.assert_array_equal(found["conv1"]["weights"], layers["conv1"]["weights"])
    np.save(path, np.array({"conv1": {"weights": _Trap(f"touch {trace}")}}, dtype=object))
    with pytest.raises(DataError, match="as it was published"):
        read_numpy_dict(path)
    assert not trace.exists()


def test_programs_and_rubbish_are_refused(tmp_path: Path) -> None:
    """TorchScript holds code and is not read; neither is a file of something else, or one without weights."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(DataError, match=r"torch\.save"):
        read_torch(path)
    with pytest.raises(DataError, match=r"torch\.save"):
        read_torch(tmp_path / "missing.pth")
    torch.save({"epoch": 3}, path)
    with zipfile.ZipFile(path, "a") as z:
        z.writestr("model/constants.pkl", pickle.dumps(()))
    with pytest.raises(DataError, match="TorchScript"):
        read_torch(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(DataError, match="no weights in it"):
        state_dict_of(read_torch(path), path)
    path.write_bytes(b"\x93NUMPY\x01\x00 broken")
    with pytest.raises(DataError, match="as it was published"):
        read_numpy_dict(path)
