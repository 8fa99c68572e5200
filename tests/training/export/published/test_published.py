"""Published checkpoints, written here with the published names, keep their answers when imported.

Each network is stated a second time, as functions of a dictionary of tensors with the published names.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner

from edge.errors import DataError
from edge.inference.proving import check_golden
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.scene import CameraModel
from training.__main__ import app
from training.export.engine import export_checkpoint
from training.export.proof.runners import manifest_at, open_model
from training.export.proof.views import View
from training.export.published.published import Kind, import_checkpoint
from training.tasks.base import read_checkpoint, runs_of
from training.tasks.build import load_task

Tensors = dict[str, Tensor]
_SMALL = (64, 64)


def _random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    fan = max(1, int(np.prod(shape[1:])))
    return torch.randn(shape, generator=generator).mul((1.6 / fan) ** 0.5)


class _Weights:
    """Makes tensors as they are asked for by name, and keeps them."""

    def __init__(self) -> None:
        self.tensors: Tensors = {}
        self.generator = torch.Generator().manual_seed(3)

    def conv(self, name: str, i: int, o: int, k: tuple[int, int], *, bias: bool = False) -> None:
        """A convolution's weight (o, i, *k)."""
        self.tensors[f"{name}.weight"] = _random((o, i, *k), self.generator)
        if bias:
            self.tensors[f"{name}.bias"] = torch.randn(o, generator=self.generator) * 0.1

    def norm(self, name: str, n: int) -> None:
        """A batch normalisation that is far from the identity."""
        self.tensors[f"{name}.weight"] = torch.rand(n, generator=self.generator) * 0.5 + 0.7
        self.tensors[f"{name}.bias"] = torch.randn(n, generator=self.generator) * 0.1
        self.tensors[f"{name}.running_mean"] = torch.randn(n, generator=self.generator) * 0.1
        self.tensors[f"{name}.running_var"] = torch.rand(n, generator=self.generator) + 0.5

    def resnet18(self, prefix: str, tail: Callable[[str], str]) -> None:
        """Names of torchvision; `tail` renames convolutions that pad."""
        self.conv(prefix + tail("conv1"), 3, 64, (7, 7))
        self.norm(f"{prefix}bn1", 64)
        width = 64
        for stage, out in enumerate((64, 128, 256, 512), 1):
            for block in range(2):
                at = f"{prefix}layer{stage}.{block}."
                self.conv(at + tail("conv1"), width, out, (3, 3))
                self.norm(f"{at}bn1", out)
                self.conv(at + tail("conv2"), out, out, (3, 3))
                self.norm(f"{at}bn2", out)
                if width != out:
                    self.conv(f"{at}downsample.0", width, out, (1, 1))
                    self.norm(f"{at}downsample.1", out)
                width = out


def _norm(t: Tensors, name: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
    scale = t[f"{name}.weight"] / (t[f"{name}.running_var"] + epsilon).sqrt()
    shift = t[f"{name}.bias"] - t[f"{name}.running_mean"] * scale
    return x * scale[:, None, None] + shift[:, None, None]


def _wrapped_conv(t: Tensors, name: str, x: Tensor, stride: Any) -> Tensor:
    """A convolution padded with zeros above and below and with the other side's columns left and right."""
    weight = t[f"{name}.1.weight"]
    pad = weight.shape[3] // 2
    x = F.pad(F.pad(x, (pad, pad, 0, 0), mode="circular"), (0, 0, pad, pad))
    return F.conv2d(x, weight, t.get(f"{name}.1.bias"), stride=stride)


def _plain_conv(t: Tensors, name: str, x: Tensor, stride: Any) -> Tensor:
    weight = t[f"{name}.weight"]
    return F.conv2d(x, weight, t.get(f"{name}.bias"), stride=stride, padding=weight.shape[2] // 2)


def _resnet18(t: Tensors, prefix: str, x: Tensor, conv: Callable[[Tensors, str, Tensor, Any], Tensor]) -> list[Tensor]:
    """The four stages' maps."""
    x = F.relu(_norm(t, f"{prefix}bn1", conv(t, f"{prefix}conv1", x, 2)))
    x = F.max_pool2d(x, 3, 2, 1)
    maps = []
    for stage in range(1, 5):
        for block in range(2):
            at, stride = f"{prefix}layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = F.relu(_norm(t, f"{at}bn1", conv(t, f"{at}conv1", x, stride)))
            y = _norm(t, f"{at}bn2", conv(t, f"{at}conv2", y, 1))
            if f"{at}downsample.0.weight" in t:
                short = F.conv2d(x, t[f"{at}downsample.0.weight"], stride=stride)
                x = _norm(t, f"{at}downsample.1", short)
            x = F.relu(x + y)
        maps.append(x)
    return maps


def _published_module(tensors: Tensors, extra: dict[str, nn.Module], monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A module of a class in a module that later cannot be imported, holding the tensors under their names."""
    home = ModuleType("network_of_others")
    kind = type("ResNet", (nn.Module,), {"__module__": "network_of_others"})
    home.ResNet = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "network_of_others", home)
    root: nn.Module = kind()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        at = root
        for part in path:
            if part not in at._modules:
                at.add_module(part, kind())
            at = at.get_submodule(part)
        if "running" in leaf:
            at.register_buffer(leaf, tensor)
        else:
            at.register_parameter(leaf, nn.Parameter(tensor))
    for name, module in extra.items():
        root.add_module(name, module)
    return root


def _save_old(content: dict[str, Any], path: Path) -> None:
    """In torch's older format, which keeps the sources of classes where it finds them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path, _use_new_zipfile_serialization=False)


def _answer(checkpoint: Path, x: Tensor) -> Any:
    with torch.no_grad():
        return load_task(checkpoint).inference_net(x)


def _close(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-4 of the expected range, which is not nothing."""
    span = float(expected.max() - expected.min())
    assert span > 1e-3
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-4 * span


# --- HorizonNet -----------------------------------------------------------------------------------------------------


def _horizonnet_weights() -> Tensors:
    make = _Weights()
    make.resnet18("feature_extractor.encoder.", lambda name: f"{name}.1")
    for i, c in enumerate((64, 128, 256, 512)):
        widths = (c, c // 2, c // 2, c // 4, c // 8)
        for j in range(4):
            at = f"reduce_height_module.ghc_lst.{i}.layer.{j}.layers"
            make.conv(f"{at}.0.1", widths[j], widths[j + 1], (3, 3), bias=True)
            make.norm(f"{at}.1", widths[j + 1])
    lstm = nn.LSTM(256, 512, 2, bidirectional=True)
    make.tensors |= {f"bi_rnn.{k}": v.detach().clone() for k, v in lstm.named_parameters()}
    make.tensors["linear.weight"] = _random((12, 1024), make.generator) * 4
    make.tensors["linear.bias"] = torch.randn(12, generator=make.generator)
    return make.tensors


def _horizonnet(t: Tensors, picture: Tensor) -> tuple[Tensor, Tensor]:
    """The published network's answer to a picture of 0..1: boundary and corners."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (picture - mean[:, None, None]) / std[:, None, None]
    rows = []
    for i, y in enumerate(_resnet18(t, "feature_extractor.encoder.", x, _wrapped_conv)):
        for j in range(4):
            at = f"reduce_height_module.ghc_lst.{i}.layer.{j}.layers"
            y = F.relu(_norm(t, f"{at}.1", _wrapped_conv(t, f"{at}.0", y, (2, 1))))
        factor = 256 // y.shape[3]
        y = F.pad(y, (1, 1, 0, 0), mode="circular")
        y = F.interpolate(y, size=(y.shape[2], 256 + 2 * factor), mode="bilinear", align_corners=False)
        rows.append(y[..., factor:-factor].reshape(len(y), -1, 256))
    lstm = nn.LSTM(256, 512, 2, bidirectional=True)
    lstm.load_state_dict({k[7:]: v for k, v in t.items() if k.startswith("bi_rnn.")})
    read = lstm(torch.cat(rows, dim=1).permute(2, 0, 1))[0]
    out = read @ t["linear.weight"].T + t["linear.bias"]
    out = out.view(256, len(picture), 3, 4).permute(1, 2, 0, 3).reshape(len(picture), 3, 1024)
    return out[:, 1:], out[:, :1]


def test_horizonnet_keeps_its_answers(tmp_path: Path) -> None:
    """Same boundary and corners as the published network, which normalises its picture inside."""
    tensors, path = _horizonnet_weights(), tmp_path / "resnet18_rnn.pth"
    content = {"args": {"lr": 1e-4}, "kwargs": {"backbone": "resnet18", "use_rnn": True}, "state_dict": tensors}
    torch.save(content, path)
    made = import_checkpoint("horizonnet", path, tmp_path / "run")
    manifest, model = open_model(made)
    spec = manifest.input
    assert (spec.width_px, spec.height_px, spec.projection) == (1024, 512, "equirectangular")
    picture = torch.rand(1, 3, 512, 1024, generator=torch.Generator().manual_seed(1))
    given = (picture - torch.tensor(spec.mean)[:, None, None]) / torch.tensor(spec.std)[:, None, None]
    found = model.run(given.numpy())
    with torch.no_grad():
        boundary, corners = _horizonnet(tensors, picture)
    _close(torch.from_numpy(found["boundary"]), boundary)
    _close(torch.from_numpy(found["corners"]), corners)
    assert manifest.provenance.recipe == "https://github.com/sunset1995/HorizonNet"


# --- FCRN in PyTorch ------------------------------------------------------------------------------------------------


def _zeros_between(x: Tensor) -> Tensor:
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[..., ::2, ::2] = x
    return out


def _fcrn_stage(make: _Weights, decoder: str, at: str, i: int) -> None:
    o = i // 2
    if decoder.startswith("deconv"):
        k = int(decoder[-1])
        make.tensors[f"{at}.{decoder}.weight"] = _random((i, o, k, k), make.generator)
        make.norm(f"{at}.batchnorm", o)
    elif decoder == "upconv":
        make.conv(f"{at}.conv", i, o, (5, 5))
        make.norm(f"{at}.batchnorm", o)
    else:
        make.conv(f"{at}.upper_branch.conv1", i, o, (5, 5))
        make.norm(f"{at}.upper_branch.batchnorm1", o)
        make.conv(f"{at}.upper_branch.conv2", o, o, (3, 3))
        make.norm(f"{at}.upper_branch.batchnorm2", o)
        make.conv(f"{at}.bottom_branch.conv", i, o, (5, 5))
        make.norm(f"{at}.bottom_branch.batchnorm", o)


def _fcrn_weights(decoder: str) -> Tensors:
    make = _Weights()
    make.resnet18("", lambda name: name)
    make.conv("conv2", 512, 256, (1, 1))
    make.norm("bn2", 256)
    for k in range(4):
        _fcrn_stage(make, decoder, f"upSample.layer{k + 1}", 256 >> k)
    make.conv("conv3", 16, 1, (3, 3))
    return make.tensors


def _fcrn_decode(t: Tensors, decoder: str, at: str, x: Tensor) -> Tensor:
    if decoder.startswith("deconv"):
        pad = (int(decoder[-1]) - 1) // 2
        weight = t[f"{at}.{decoder}.weight"]
        x = F.conv_transpose2d(x, weight, stride=2, padding=pad, output_padding=weight.shape[2] % 2)
        return F.relu(_norm(t, f"{at}.batchnorm", x))
    x = _zeros_between(x)
    if decoder == "upconv":
        return F.relu(_norm(t, f"{at}.batchnorm", _plain_conv(t, f"{at}.conv", x, 1)))
    up = f"{at}.upper_branch"
    y = F.relu(_norm(t, f"{up}.batchnorm1", _plain_conv(t, f"{up}.conv1", x, 1)))
    y = _norm(t, f"{up}.batchnorm2", _plain_conv(t, f"{up}.conv2", y, 1))
    return F.relu(y + _norm(t, f"{at}.bottom_branch.batchnorm", _plain_conv(t, f"{at}.bottom_branch.conv", x, 1)))


def _fcrn(t: Tensors, decoder: str, x: Tensor) -> Tensor:
    size = x.shape[2:]
    x = _resnet18(t, "", x, _plain_conv)[-1]
    x = _norm(t, "bn2", _plain_conv(t, "conv2", x, 1))
    for k in range(4):
        x = _fcrn_decode(t, decoder, f"upSample.layer{k + 1}", x)
    return F.interpolate(_plain_conv(t, "conv3", x, 1), size=size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("decoder", ["deconv2", "deconv3", "upconv", "upproj"])
def test_fcrn_keeps_its_answers(decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a whole pickled model of classes that are gone, behind DataParallel: same metres, at the picture's size."""
    tensors, path = _fcrn_weights(decoder), tmp_path / "model_best.pth.tar"
    model = nn.DataParallel(_published_module(tensors, {"bilinear": nn.Upsample(size=(228, 304))}, monkeypatch))
    _save_old({"epoch": 7, "model": model}, path)
    monkeypatch.delitem(sys.modules, "network_of_others")
    made = import_checkpoint("fcrn", path, tmp_path / "run", name="fcrn-nyu")
    spec = manifest_at(made).input
    assert (spec.width_px, spec.height_px, spec.mean, spec.std) == (304, 228, (0, 0, 0), (1, 1, 1))
    assert spec.scale == pytest.approx(1 / 255)
    x = torch.rand(1, 3, 100, 132)
    with torch.no_grad():
        _close(_answer(made, x), _fcrn(tensors, decoder, x))


# --- FastDepth ------------------------------------------------------------------------------------------------------


def _fastdepth_weights(encoder: tuple[int, ...], decoder: tuple[int, ...]) -> Tensors:
    make = _Weights()
    make.conv("conv0.0", 3, encoder[0], (3, 3))
    make.norm("conv0.1", encoder[0])
    for n, (i, o) in enumerate(zip(encoder[:-1], encoder[1:], strict=True), 1):
        make.conv(f"conv{n}.0", 1, i, (3, 3))
        make.norm(f"conv{n}.1", i)
        make.conv(f"conv{n}.3", i, o, (1, 1))
        make.norm(f"conv{n}.4", o)
    widths = (encoder[-1], *decoder)
    for n, (i, o) in enumerate(zip(widths[:-1], widths[1:], strict=True), 1):
        make.conv(f"decode_conv{n}.0.0", 1, i, (5, 5))
        make.norm(f"decode_conv{n}.0.1", i)
        make.conv(f"decode_conv{n}.1.0", i, o, (1, 1))
        make.norm(f"decode_conv{n}.1.1", o)
    make.conv("decode_conv6.0", widths[-1], 1, (1, 1))
    make.norm("decode_conv6.1", 1)
    make.tensors["decode_conv6.1.bias"] += 1
    return make.tensors


def _depthwise(t: Tensors, name: str, x: Tensor, stride: int) -> Tensor:
    weight = t[f"{name}.weight"]
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2, groups=len(weight))


def _fastdepth(t: Tensors, x: Tensor) -> Tensor:
    x = F.relu6(_norm(t, "conv0.1", _plain_conv(t, "conv0.0", x, 2)))
    kept = {}
    for n in range(1, 14):
        x = F.relu6(_norm(t, f"conv{n}.1", _depthwise(t, f"conv{n}.0", x, 2 if n in (2, 4, 6, 12) else 1)))
        kept[n] = x = F.relu6(_norm(t, f"conv{n}.4", _plain_conv(t, f"conv{n}.3", x, 1)))
    for n in range(1, 6):
        x = F.relu(_norm(t, f"decode_conv{n}.0.1", _depthwise(t, f"decode_conv{n}.0.0", x, 1)))
        x = F.relu(_norm(t, f"decode_conv{n}.1.1", _plain_conv(t, f"decode_conv{n}.1.0", x, 1)))
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = x + kept[{2: 5, 3: 3, 4: 1}[n]] if n in (2, 3, 4) else x
    return F.relu(_norm(t, "decode_conv6.1", _plain_conv(t, "decode_conv6.0", x, 1)))


FULL = ((32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024), (512, 256, 128, 64, 32))
PRUNED = ((16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512), (200, 256, 120, 56, 16))


@pytest.mark.parametrize("widths", [FULL, PRUNED])
def test_fastdepth_keeps_its_answers(
    widths: tuple[tuple[int, ...], tuple[int, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and pruned networks, from a pickled model: same metres at the picture's size for a picture of 0..1."""
    tensors, path = _fastdepth_weights(*widths), tmp_path / "mobilenet-nnconv5dw-skipadd.pth.tar"
    model = _published_module(tensors, {}, monkeypatch)
    _save_old({"epoch": 19, "model": model, "best_result": None}, path)
    monkeypatch.delitem(sys.modules, "network_of_others")
    made = import_checkpoint("fastdepth", path, tmp_path / "run")
    assert manifest_at(made).input.shape == (1, 3, 224, 224)
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        _close(_answer(made, x), _fastdepth(tensors, x))


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_fastdepth() -> Iterator[Tensors]:
    """A narrow FastDepth's tensors."""
    yield _fastdepth_weights((8,) * 14, (8,) * 5)


def test_another_network_is_named(tmp_path: Path, small_fastdepth: Tensors) -> None:
    """A file of another project, or of none known, is refused with what it looks like."""
    path = tmp_path / "weights.pth"
    torch.save(small_fastdepth, path)
    others: tuple[Kind, ...] = ("horizonnet", "fcrn")
    for kind in others:
        with pytest.raises(DataError, match="it looks like fastdepth"):
            import_checkpoint(kind, path, tmp_path)
    torch.save({"transformer.x": torch.ones(2), "linear_depth_output.weight": torch.ones(1, 2)}, path)
    with pytest.raises(DataError, match="LGT-Net: export that to ONNX"):
        import_checkpoint("horizonnet", path, tmp_path)


def test_missing_and_unknown_tensors_are_named(tmp_path: Path, small_fastdepth: Tensors) -> None:
    """A tensor left out, one too many and one of another shape are all in one message."""
    path, tensors = tmp_path / "weights.pth", dict(small_fastdepth)
    del tensors["conv3.1.weight"]
    tensors["head.weight"] = torch.ones(3)
    tensors["decode_conv6.1.bias"] = torch.ones(2)
    torch.save({"state_dict": tensors}, path)
    with pytest.raises(DataError, match=r"missing encoder\.3\.1\.weight; unknown head\.weight; other shapes answer"):
        import_checkpoint("fastdepth", path, tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, small_fastdepth: Tensors) -> None:
    """What a failed training wrote is not imported."""
    path, tensors = tmp_path / "weights.pth", dict(small_fastdepth)
    tensors["conv3.1.weight"] = torch.full((8,), torch.nan)
    torch.save(tensors, path)
    with pytest.raises(DataError, match="not finite"):
        import_checkpoint("fastdepth", path, tmp_path)


def test_decoders_without_an_equal_are_refused(tmp_path: Path) -> None:
    """The PyTorch port's fasterupproj shuffles channels in a way of its own; the message says what to train."""
    path, tensors = tmp_path / "weights.pth", _fcrn_weights("upconv")
    for name in [n for n in tensors if n.startswith("upSample.")]:
        tensors[name.replace(".conv.", ".upper_branch.faster_upconv.conv1_.conv1.")] = tensors.pop(name)
    torch.save(tensors, path)
    with pytest.raises(DataError, match="train fast_upproj"):
        import_checkpoint("fcrn", path, tmp_path)


@pytest.mark.slow
def test_an_imported_checkpoint_is_exported_with_where_it_came_from(tmp_path: Path, small_fastdepth: Tensors) -> None:
    """Its model folder passes its own golden pair, and manifest and card name the project and not a recipe."""
    path, out = tmp_path / "weights.pth", tmp_path / "engines" / "depth"
    torch.save(small_fastdepth, path)
    made = import_checkpoint("fastdepth", path, tmp_path / "run", size_wh=(64, 64))
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    manifest = export_checkpoint(made, out, [View(image, CameraModel("perspective", hfov_rad=1.2))], counts={})
    assert manifest.provenance.data[0].name == "weights published by https://github.com/dwofk/fast-depth"
    stored = ModelStore(out.parent).find("depth")
    with load(stored) as model:
        result = check_golden(stored, model)
    assert result is not None
    assert result.passed
    card = (out / "card.md").read_text(encoding="utf-8")
    assert "Imported from what https://github.com/dwofk/fast-depth publishes" in card
    assert "from published weights, weights.pth, sha256" in card


def test_the_command_writes_what_export_and_evaluate_take(tmp_path: Path, small_fastdepth: Tensors) -> None:
    """`edge-train import` says where its checkpoint is; a kind that does not exist is refused with those that do."""
    path, out = tmp_path / "weights.pth", tmp_path / "run"
    torch.save(small_fastdepth, path)
    done = CliRunner().invoke(app, ["import", "fastdepth", str(path), "--out", str(out), "--licence", "MIT"])
    assert done.exit_code == 0, done.output
    assert (out / "final.ckpt").is_file()
    recipe, content = read_checkpoint(out / "final.ckpt")
    assert (recipe.licence, recipe.source) == ("MIT", "https://github.com/dwofk/fast-depth")
    assert "sha256" in runs_of(content)[0]["weights"]
    done = CliRunner().invoke(app, ["import", "midas", str(path), "--out", str(out)])
    assert done.exit_code == 2
    assert "horizonnet" in done.output
