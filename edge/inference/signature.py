"""Whether what a runtime loaded takes and gives what the manifest says: the same question for every runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.errors import ManifestError
from edge.inference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as a runtime describes it."""

    shape: Sequence[int | str | None]
    """Anything but a positive whole number stands for a free dimension."""
    type: str
    is_float32: bool


def check_signature(
    source: str, manifest: Manifest, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> bool:
    """Compare inputs and outputs with the manifest; says whether the batch is free.

    Raises:
        ManifestError: names, sizes or types differ; `source` is named in the message.
    """
    name, want = manifest.input.name, manifest.input.shape
    if list(inputs) != [name]:
        remedy = "export it with the others as constants" if name in inputs else "correct input.name"
        raise ManifestError(
            f"{source}: the model's inputs are {sorted(inputs)}, the manifest says {name!r} alone; {remedy}"
        )
    found = inputs[name]
    sizes = [n if isinstance(n, int) and n >= 0 else None for n in found.shape]
    if len(sizes) != 4 or any(n not in (None, w) for n, w in zip(sizes, want, strict=True)):
        raise ManifestError(
            f"{source}: the model takes {list(found.shape)}, the manifest says {list(want)}; {_remedy(sizes, want)}"
        )
    _check_floats(source, "takes", [found])
    missing = sorted(set(manifest.output_names) - set(outputs))
    if missing:
        raise ManifestError(f"{source}: no output named {missing}, the model has {sorted(outputs)}; correct `output`")
    _check_floats(source, "gives", [outputs[output] for output in manifest.output_names])
    return sizes[0] is None


def _remedy(sizes: Sequence[int | None], want: Sequence[int]) -> str:
    """What to do about an input of another shape."""
    if len(sizes) == 4 and sizes[0] not in (None, 1):
        return "export it for a batch of 1, or a free one"
    if len(sizes) == 4 and sizes[3] == want[1]:
        return "export it with the channels before height and width"
    return "correct input.width_px, height_px or mask_channel, or export the model at that size"


def _check_floats(source: str, verb: str, tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        if not tensor.is_float32:
            raise ManifestError(f"{source}: the model {verb} {tensor.type}; export it with float32 inputs and outputs")
