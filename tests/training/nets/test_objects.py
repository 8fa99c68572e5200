from __future__ import annotations

import pytest
import torch

from training.config.nets import ObjectsConfig
from training.losses.objects import ObjectsLoss
from training.nets.objects import EMPTY, ObjectNet, grid_points

SMALL = {
    "slice": {"channels": (16, 16, 16, 16)},
    "triplane": {"channels": (16, 16, 16, 16, 8), "plane_channels": 4, "hidden": 16},
    "siren": {"hidden": 16, "layers": 2},
}


def net_of(decoder: str, **more: object) -> ObjectNet:
    """A small network."""
    torch.manual_seed(0)
    config = ObjectsConfig(net="objects", width=0.35, latent=16, decoder=decoder, **SMALL[decoder], **more)  # type: ignore[arg-type]
    net = ObjectNet(config, 64, 64)
    net.finish()
    return net.eval()


@pytest.mark.parametrize("decoder", SMALL)
def test_grid_and_points_are_one_field(decoder: str) -> None:
    """The grid's cells are the field's values at their middles, and the answer has axes x, y, z."""
    net, picture = net_of(decoder), torch.randn(2, 4, 64, 64)
    with torch.no_grad():
        latent = net.latent(picture)
        raw, at = net.field.grid(latent), net.field.at(latent, grid_points(32).expand(2, -1, -1))
        occupancy, colour = net(picture)
    assert float((raw.flatten(2).transpose(1, 2) - at).abs().max()) < 1e-5
    assert occupancy.shape == (2, 1, 32, 32, 32) and colour.shape == (2, 3, 32, 32, 32)
    wanted = torch.sigmoid(raw[:, 0])
    assert torch.allclose(occupancy[:, 0], wanted.permute(0, 3, 2, 1), atol=1e-6)
    assert not torch.allclose(occupancy[:, 0], wanted, atol=1e-6)


@pytest.mark.parametrize("field", ["occupancy", "density"])
def test_an_untrained_volume_lets_light_through(field: str) -> None:
    """At first every place is nearly empty, else no gradient would reach what is behind the first cells."""
    net = net_of("slice", field=field)
    with torch.no_grad():
        occupancy, _ = net(torch.randn(2, 4, 64, 64))
    assert float(occupancy.mean()) < 0.1 and EMPTY < 0


def test_density_and_probability_say_the_same() -> None:
    """A cell's probability is 1 - exp(-density x side) for either kind of field."""
    for field in ("occupancy", "density"):
        net, raw = net_of("slice", field=field), torch.linspace(-4, 6, 40)
        assert torch.allclose(net.probability(raw), 1 - torch.exp(-net.density(raw) / 32), atol=1e-6)


def test_the_mask_reaches_the_network() -> None:
    """The fourth channel starts without effect and has a gradient."""
    net, picture = net_of("slice"), torch.randn(1, 4, 64, 64)
    unmasked = picture.clone()
    unmasked[:, 3] = 0
    with torch.no_grad():
        assert torch.allclose(net(picture)[0], net(unmasked)[0])
    net(picture)[0].sum().backward()
    first = next(p for n, p in net.named_parameters() if n.startswith("encoder."))
    assert first.grad is not None and float(first.grad[:, 3].abs().max()) > 0


def test_sizes_that_do_not_fit_are_refused() -> None:
    """Channels say how large the map becomes: the grid's side, or the planes' once or twice that."""
    with pytest.raises(ValueError, match="end at 16 px"):
        ObjectsConfig(net="objects", channels=(8, 8, 8))
    with pytest.raises(ValueError, match="as large or twice"):
        ObjectsConfig(net="objects", decoder="triplane", channels=(8, 8, 8))


def test_the_loss_falls_to_the_truth() -> None:
    """True grids have a loss of nearly 0, and a colour counts only where the thing is."""
    from training.config.losses import ObjectsLossConfig

    loss = ObjectsLoss(ObjectsLossConfig())
    truth = torch.zeros(1, 8, 8, 8)
    truth[:, 2:6] = 1
    colour = torch.rand(1, 3, 8, 8, 8)
    elsewhere = torch.where(truth[:, None] > 0, colour, 1 - colour)
    right = float(loss.of_grid(truth[:, None], elsewhere, truth, colour))
    assert right < 1e-3 < float(loss.of_grid(truth[:, None], 1 - elsewhere, truth, colour))
