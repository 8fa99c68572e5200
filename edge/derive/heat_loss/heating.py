"""What gives the heat: radiators at low flow temperatures, and the output of a heat pump."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edge.derive.heat_loss.uncertainty import Quantiles

RADIATOR_EXPONENT = 1.3
NOMINAL_DIFFERENCE_K = 50.0
FLOW_C = (35.0, 45.0, 55.0)
HEAT_PUMP_DROP_K = 5.0
_STEP_W = 500.0


def radiator_w(load_w: float, flow_c: float, room_c: float, drop_k: float = HEAT_PUMP_DROP_K) -> float | None:
    """Output at 50 K (as catalogues state it) of radiators that give `load_w`; None if the flow is not warm enough.

    Args:
        load_w: what they must give.
        flow_c: temperature of the water at the design temperature outside.
        room_c: of the room.
        drop_k: by how much the water cools in them.
    """
    difference_k = flow_c - drop_k / 2 - room_c
    return load_w * (NOMINAL_DIFFERENCE_K / difference_k) ** RADIATOR_EXPONENT if difference_k > 0 else None


@dataclass(frozen=True, slots=True)
class HeatPump:
    """A suggested output, W, at the design temperatures outside and of the flow, without a heater rod."""

    usual_w: float
    """For the loss as likely as not."""
    sure_w: float
    """For the loss that is exceeded with a chance of 5 percent."""


def building_load_w(rooms: Iterable[Quantiles]) -> Quantiles:
    """The rooms' parts together, as if all err to the same side: U-values and air of one home mostly do."""
    listed = list(rooms)
    return Quantiles(sum(r.p05 for r in listed), sum(r.p50 for r in listed), sum(r.p95 for r in listed))


def heat_pump(load_w: Quantiles) -> HeatPump:
    """The output that covers a building's load, in steps of 0.5 kW; nothing is added on top."""
    return HeatPump(*(math.ceil(w / _STEP_W - 1e-9) * _STEP_W for w in (load_w.p50, load_w.p95)))
