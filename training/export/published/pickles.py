"""Published weights that were saved by pickling: read without running anything that they name.

Old checkpoints pickle whole model objects of classes that are not here, with optimisers and arguments. Of those,
tensors and plain values are rebuilt; every other class or function becomes an inert `Shell` that keeps its state.
"""

from __future__ import annotations

import io
import pickle
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from edge.errors import DataError

_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, AttributeError, TypeError),
    pickle.UnpicklingError,
)


class Shell:
    """In place of an object of an unknown class: what its pickle said of it."""

    dump_patches = False

    def __new__(cls, *arguments: Any, **more: Any) -> Shell:
        """Keep nothing: arguments are not needed."""
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """An empty one."""
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Accept an entry of what may have been a mapping."""

    def append(self, value: Any) -> None:
        """Accept an entry of what may have been a list."""


def _parameter(data: Tensor, requires_grad: bool = True, hooks: Any = None) -> Tensor:
    return data


def _parameter_with_state(data: Tensor, requires_grad: bool, hooks: Any, state: Any) -> Tensor:
    return data


_MODULES = {"numpy._core.multiarray": "numpy.core.multiarray"}
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter_with_state,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),
}


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A throw-away copy of a function: a pickle may set attributes on what it names."""
    return lambda *arguments: function(*arguments)


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors, arrays and plain values; everything else becomes a `Shell`."""

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((_MODULES.get(module, module), name))
        if isinstance(known, types.FunctionType):
            return _guarded(known)
        return type("Shell", (Shell,), {}) if known is None else known


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


_AS_PICKLE = types.SimpleNamespace(
    Unpickler=_Unpickler, load=_load, UnpicklingError=pickle.UnpicklingError, __name__="restricted"
)


def read_torch(path: Path) -> Any:
    """What `torch.save` wrote, zip or older format: plain values, tensors on the CPU, and `Shell`s.

    Raises:
        DataError: it cannot be read.
    """
    try:
        data = io.BytesIO(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of programs, refused, and of the sources of classes, which are not here
            try:
                return torch.load(data, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:
                data.seek(0)  # it names classes of its own: read it as plain values
            return torch.load(data, map_location="cpu", weights_only=False, pickle_module=cast(Any, _AS_PICKLE))
    except _UNREADABLE as e:
        raise DataError(f"{path}: not what torch.save writes ({e}); give the checkpoint as it was published") from e


def read_numpy_dict(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """A dictionary of dictionaries of arrays that `numpy.save` pickled.

    Raises:
        DataError: it cannot be read or holds something else.
    """
    try:
        with path.open("rb") as f:
            version = np.lib.format.read_magic(f)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            read(f)
            content = _load(f, encoding="latin1")
        content = content.item() if isinstance(content, np.ndarray) else content
        layers = {str(k): {str(n): np.asarray(a, dtype=np.float32) for n, a in v.items()} for k, v in content.items()}
    except _UNREADABLE as e:
        raise DataError(
            f"{path}: not a .npy file with a dictionary of layers ({e}); give NYU_ResNet-UpProj.npy as it was published"
        ) from e
    return layers


def _module_tensors(state: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a pickled torch.nn.Module, by their names in its state_dict."""
    if isinstance(state, Shell):
        state = state.state
    if not isinstance(state, dict):
        return
    for part in ("_parameters", "_buffers"):
        for name, value in (state.get(part) or {}).items():
            if isinstance(value, Tensor):
                yield prefix + str(name), value
    for name, child in (state.get("_modules") or {}).items():
        yield from _module_tensors(child, f"{prefix}{name}.")


def _all_tensors(value: Any) -> dict[str, Tensor]:
    if isinstance(value, Shell):
        return dict(_module_tensors(value))
    if isinstance(value, dict) and value and all(isinstance(v, Tensor) for v in value.values()):
        return {str(k): v for k, v in value.items()}
    return {}


def state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The state_dict in a checkpoint's content, whether saved by itself, under a key, or inside a whole model.

    The `module.` that torch's DataParallel puts before every name is taken off.

    Raises:
        DataError: there is none.
    """
    places = [content]
    if isinstance(content, dict):
        places = [*(content[k] for k in ("state_dict", "model_state_dict", "model") if k in content), content]
    for place in places:
        tensors = _all_tensors(place)
        if tensors:
            wrapped = all(name.startswith("module.") for name in tensors)
            return {name[7:] if wrapped else name: value for name, value in tensors.items()}
    found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
    raise DataError(f"{path}: no weights in it (found {found}); expected a state_dict, or a model with parameters")
