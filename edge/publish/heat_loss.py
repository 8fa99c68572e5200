"""Heat losses as messages: rounding, and the room that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from edge.derive.heat_loss.assumptions import DISCLAIMER
from edge.derive.heat_loss.elements import Element
from edge.derive.heat_loss.estimate import HeatLoss, heat_loss_of
from edge.derive.heat_loss.settings import Settings
from edge.derive.heat_loss.uncertainty import Quantiles
from edge.errors import PublishError, explain
from edge.mqtt.heat_loss_message import BuildingPart, HeatElement, HeatInputs, HeatLossMessage, Influence, Range
from edge.mqtt.messages import BridgeEvent, timestamp
from edge.publish.compose import Source
from edge.scene import Frame, RoomLayout

Trouble = Literal["heat_loss_unavailable", "heat_loss_implausible"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose room it is, and from when its layout."""

    device: str
    camera: str
    captured_at: str
    layout_frame: int | None = None


def of_layout(frame: Frame, layout: RoomLayout, source: Source, settings: Settings) -> HeatLossMessage:
    """The heat loss of a room that `why_not` has nothing against.

    Raises:
        PublishError: the values are not those of a room.
    """
    origin = Origin(source.device, frame.camera, timestamp(frame.captured_at), frame.sequence)
    return heat_loss_message(heat_loss_of(layout, settings), origin)


def event(kind: Trouble, frame: Frame, source: Source, said: str) -> BridgeEvent:
    """Why a camera that has a section `heat_loss` has none, or one that no home has."""
    what = "no heat loss" if kind == "heat_loss_unavailable" else "the heat loss is unusual"
    return BridgeEvent(
        device=source.device,
        at=timestamp(frame.captured_at),
        type=kind,
        camera=frame.camera,
        message=f"{what}: {said}",
    )


def heat_loss_message(loss: HeatLoss, origin: Origin) -> HeatLossMessage:
    """A heat loss with every value it was computed from.

    Raises:
        PublishError: the values are not those of a room.
    """
    try:
        return _message(loss, origin)
    except ValidationError as error:
        raise PublishError(
            f"{origin.camera}: heat loss not published: {explain(error, 'message')[0]}; check the section heat_loss"
        ) from error


def _message(loss: HeatLoss, origin: Origin) -> HeatLossMessage:
    settings, loads = loss.settings, loss.loads
    return HeatLossMessage(
        device=origin.device,
        camera=origin.camera,
        layout_frame=origin.layout_frame,
        captured_at=origin.captured_at,
        preset=settings.preset,
        method=settings.method.title,
        room=settings.room,
        inside_c=settings.room_c,
        outside_c=settings.climate.outside_c,
        mean_outside_c=settings.climate.mean_c,
        polygon_m=tuple(tuple(corner) for corner in np.round(loss.shape.polygon_m, 4).tolist()),
        ceiling_height_m=round(loss.shape.ceiling_height_m, 4),
        area_m2=_number(loads.shell.floor_m2, 4),
        volume_m3=_number(loads.shell.volume_m3, 4),
        elements=tuple(_element(element) for element in loads.shell.elements),
        air_changes_per_h=_number(loads.air_changes_per_h, 4),
        air_heat_wh_m3k=settings.air_wh_m3k,
        transmission_w=_number(loads.transmission_w),
        ventilation_w=_number(loads.ventilation_w),
        reheat_w=round(loads.reheat_w, 3),
        sum_w=_number(loads.total_w),
        total_w=_range(loss.spread.total_w),
        per_m2_w=round(loss.per_m2_w, 3),
        plausible=loss.plausible,
        annual_kwh=None if loss.annual_kwh is None else round(loss.annual_kwh, 1),
        annual_electricity_kwh=None if loss.annual_electricity_kwh is None else round(loss.annual_electricity_kwh, 1),
        building=BuildingPart(
            transmission_w=_number(loads.building_transmission_w),
            ventilation_w=_number(loads.building_ventilation_w),
            total_w=_range(loss.spread.building_w),
        ),
        inputs=_inputs(loss),
        largest=tuple(
            Influence(input=s.input, share=round(min(s.share, 1.0), 4)) for s in loss.spread.largest if s.share > 0
        ),
        assumptions=loss.assumptions,
        disclaimer=DISCLAIMER,
    )


def _inputs(loss: HeatLoss) -> HeatInputs:
    settings, loads, measured = loss.settings, loss.loads, loss.measurement
    return HeatInputs(
        built=settings.year,
        u_table=settings.u_table,
        dimensions=settings.dimensions,
        infiltration_m3_h=_number(loads.infiltration_m3_h),
        mechanical_m3_h=settings.mechanical_m3_h,
        heat_recovery=settings.heat_recovery,
        building_air_share=settings.air_share_in_building,
        building_counts_neighbours=settings.counts_neighbours,
        reheat_w_m2=round(loads.reheat_w / float(loads.shell.floor_m2[0]), 3),
        degree_days_k_day=settings.climate.degree_days_k_day,
        scop=settings.climate.scop,
        camera_height_m=round(measured.camera_height_m, 4),
        confidence=round(measured.confidence, 4),
        sigma={name: round(s, 5) for name, s in loss.spread.sigma.items()},
    )


def _element(element: Element) -> HeatElement:
    return HeatElement(
        name=element.name,
        kind=element.kind,
        to=element.to,
        edge=element.edge,
        area_m2=_number(element.area_m2, 4),
        u_w_m2k=_number(element.u_w_m2k, 4),
        thermal_bridge_w_m2k=element.bridge_w_m2k,
        temperature_c=element.temperature_c,
        difference_k=_number(element.difference_k),
        loss_w=_number(element.loss_w),
        assumed=element.assumed,
    )


def _range(quantiles: Quantiles) -> Range:
    return Range(p05=round(quantiles.p05, 3), p50=round(quantiles.p50, 3), p95=round(quantiles.p95, 3))


def _number(values: npt.NDArray[np.float64], digits: int = 3) -> float:
    return round(float(values[0]), digits)
