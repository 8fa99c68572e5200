"""Lighting networks: published size, and the analytic part as laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import DataError
from edge.geometry.harmonics import project_panorama, rotate_yaw
from training.config.losses import LightingLossConfig
from training.config.nets import CompletionConfig, MobileShConfig
from training.losses.lighting import LightingLoss
from training.nets.encoders import MobileNetEncoder, add_mask_channel, load_mobilenet_weights
from training.nets.lighting import CompletionSh, MobileSh


def _net() -> CompletionSh:
    net = CompletionSh(CompletionConfig(net="completion"), 128, 256)
    net.finish()
    return net.eval()


def _picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.05, 0.85, (8, 16, 3))
    return np.kron(coarse, np.ones((16, 16, 1))).astype(np.float32)


def _tensor(picture: np.ndarray, mask: np.ndarray | None = None) -> torch.Tensor:
    seen = np.ones(picture.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
    stacked = np.concatenate([picture * seen[..., None], seen[..., None]], axis=-1)
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(2, 0, 1)))[None]


def test_plain_network_has_the_published_parameter_count() -> None:
    """MobileNetV2 of width 0.5 with 27 outputs has 722,267 parameters."""
    assert sum(p.numel() for p in MobileSh(MobileShConfig(net="mobilenet_sh")).parameters()) == 722_267


def test_an_unclipped_whole_panorama_is_projected_exactly() -> None:
    """Where nothing is clipped or hidden, the answer is the picture's own projection, whatever the weights."""
    picture = _picture()
    net = _net()
    with torch.no_grad():
        found = net(_tensor(picture))[0].numpy()
    truth = project_panorama(picture.astype(np.float64) ** 2.2)
    np.testing.assert_allclose(found, truth, atol=0.012)


def test_a_uniform_picture_gives_a_constant_environment() -> None:
    """All grey: only L00 is not 0."""
    with torch.no_grad():
        found = _net()(_tensor(np.full((128, 256, 3), 0.5, np.float32)))[0].numpy()
    np.testing.assert_allclose(found[0], 0.5**2.2, atol=0.01)
    np.testing.assert_allclose(found[1:], 0, atol=1e-4)


def test_turning_the_picture_turns_the_light() -> None:
    """With clipped parts and random weights too: a roll of the panorama is a yaw of the harmonics."""
    net = _net()
    torch.nn.init.normal_(net.answer.weight, std=0.2)
    picture = _picture()
    picture[20:60, 30:90] = 1.0
    columns = 96
    with torch.no_grad():
        straight = net(_tensor(picture))[0].numpy()
        turned = net(_tensor(np.roll(picture, columns, axis=1)))[0].numpy()
    # The statistics that the whole picture's branch reads are not invariant to yaw, so its share may differ a little.
    expected = rotate_yaw(straight, 2 * np.pi * columns / 256)
    assert np.abs(turned - expected).max() < 0.01 * np.abs(expected).max()


def test_clipping_can_only_hide_light() -> None:
    """What is added for clipped and unseen parts is never negative: L00 is at least the seen part's."""
    net = _net()
    torch.nn.init.normal_(net.answer.weight, std=1.0)
    picture = _picture(1)
    picture[:30, :100] = 1.0
    mask = np.zeros((128, 256), bool)
    mask[30:100, 60:200] = True
    with torch.no_grad():
        found = net(_tensor(picture, mask))[0].numpy()
    seen = project_panorama((picture * mask[..., None]).astype(np.float64) ** 2.2)
    assert (found[0] >= seen[0] - 0.01).all()


def test_weights_files_fill_the_encoder_and_nothing_else(tmp_path: Path) -> None:
    """A .npz in torchvision's layout fills every tensor it names; one that leaves a tensor out is refused."""
    source, target = MobileNetEncoder(), MobileNetEncoder(blocks=11)
    file = tmp_path / "weights.npz"
    np.savez(file, **{k: v.numpy().astype(np.float16) for k, v in source.state_dict().items()})
    assert load_mobilenet_weights(target, file) == len(target.state_dict())
    expected = source.features[0][0].weight.detach().half().float()
    torch.testing.assert_close(target.features[0][0].weight.detach(), expected)
    add_mask_channel(target)
    assert not target.features[0][0].weight[:, 3].any()
    np.savez(file, other=np.zeros(3))
    with pytest.raises(DataError, match="fits 0 of"):
        load_mobilenet_weights(MobileNetEncoder(blocks=11), file)
    np.savez(file, **{k: v.numpy() for k, v in source.state_dict().items()})
    with pytest.raises(DataError, match=r"fits 0 of.*net\.width"):
        load_mobilenet_weights(MobileNetEncoder(width=0.5), file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="no weights file"):
        load_mobilenet_weights(target, file)
    file.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no weights file"):
        load_mobilenet_weights(target, file)


def test_a_shut_gate_leaves_the_projection() -> None:
    """With the gate at 0, nothing is added to what a whole panorama shows, however bright; open, light is added."""
    net = CompletionSh(CompletionConfig(net="completion", gate=True), 64, 128)
    net.finish()
    net.eval()
    x = torch.rand(2, 4, 64, 128) * 0.5
    x[:, 3] = 1
    x[:, :3, 10:20, 30:50] = 1.0
    assert net.gate is not None
    with torch.no_grad():
        open_ = net.complete(x)
        net.gate.weight.zero_()
        torch.nn.init.constant_(net.gate.bias, -40.0)
        shut = net.complete(x)
    torch.testing.assert_close(shut.radiance, shut.seen)
    assert float((open_.radiance - open_.seen).max()) > 0.01
    weights = net.cell_weights
    expected = (shut.seen.flatten(2) @ weights.T).transpose(1, 2)
    torch.testing.assert_close(shut.coefficients, expected, rtol=0.05, atol=0.02)


def test_added_light_costs_where_nothing_is_hidden() -> None:
    """The share that is added, of pictures whose truth hides less than a twentieth; of others nothing."""
    loss = LightingLoss(LightingLossConfig(hidden=1.0))
    seen = torch.ones(2, 3, 4, 8)
    truth = seen.clone()
    truth[1] *= 2  # the second picture hides half of its light
    radiance = seen * 1.25
    assert float(loss.added(radiance, seen, truth)) == pytest.approx(0.2)
    assert float(loss.added(seen, seen, truth)) == 0
    assert float(loss.added(radiance, seen, torch.full_like(truth, float("nan")))) == 0
