"""The report as one HTML page: nothing is fetched, it prints on A4."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from string import Template

from edge import __version__
from edge.commands.report_plan import legend, plan_svg
from edge.commands.report_rooms import Home
from edge.derive.formats.plan import home_plan_svg
from edge.derive.heat_loss.assumptions import DISCLAIMER, two_digits
from edge.derive.heat_loss.heating import FLOW_C, HEAT_PUMP_DROP_K, building_load_w, heat_pump, radiator_w
from edge.derive.heat_loss.uncertainty import Quantiles
from edge.mqtt.heat_loss_message import HeatElement, HeatLossMessage, Range
from edge.subscribe.homes import placed_rooms

_TO = {
    "outside": "outside",
    "heated": "heated room",
    "unheated": "unheated space",
    "neighbour": "another home",
    "ground": "ground",
}
_INPUTS = {
    "camera_height": "the camera's height above the floor",
    "ceiling_height": "the height of the ceiling",
    "layout": "the plan's lengths",
    "air_changes": "how much outside air comes in (a blower door test)",
    "openings": "the sizes of the windows",
    "mean_outside": "the mean temperature outside",
    "u.wall": "the walls' U-value (what they are made of, how thick they are)",
    "u.window": "the windows' U-value",
    "u.door": "the doors' U-value",
    "u.floor": "the floor's U-value",
    "u.ceiling": "the roof's or ceiling's U-value",
}
_NEXT = 3
_HEADS = ("Surface", "Borders on", "m²", "U + bridges, W/m²K", "K", "W", "")


def page(home: Home) -> str:
    """The whole report."""
    load = building_load_w(_quantiles(room.building.total_w) for room in home.rooms)
    template = Template(files("edge.commands").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(home.name),
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        disclaimer=DISCLAIMER,
        summary=_summary(home, load),
        plan=_plan(home),
        building=_building(home, load),
        without=_without(home),
        radiators=_radiators(home.rooms),
        pump=_pump(home, load),
        rooms="".join(_room(room) for room in home.rooms),
    )


def _quantiles(told: Range) -> Quantiles:
    return Quantiles(told.p05, told.p50, told.p95)


def _rows(rows: Iterable[Iterable[str]]) -> str:
    lines = []
    for cells in rows:
        first, *others = cells
        lines.append(f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{c}</td>' for c in others)}</tr>")
    return "".join(lines)


def _range(told: Range | Quantiles) -> str:
    return f"{two_digits(told.p05)} to {two_digits(told.p95)}"


def _summary(home: Home, load: Quantiles) -> str:
    area = sum(room.area_m2 for room in home.rooms)
    pump = heat_pump(load)
    years = [room.annual_kwh for room in home.rooms]
    heat = sum(year for year in years if year is not None)
    cards = [
        ("Heat load of the building", f"{two_digits(load.p50)} W", f"{_range(load)} W, in 9 of 10 cases"),
        ("For each m² of floor", f"{two_digits(load.p50 / area)} W", f"{area:.0f} m² in {len(home.rooms)} rooms"),
        ("Heat pump", f"{pump.sure_w / 1000:g} kW", f"{pump.usual_w / 1000:g} kW for the middle of the range"),
    ]
    if None not in years:
        taken = [room.annual_electricity_kwh for room in home.rooms]
        electricity = sum(kwh for kwh in taken if kwh is not None)
        how = "by degree days, without sun and people"
        how += "" if None in taken else f"; {two_digits(electricity)} kWh of electricity"
        cards.append(("Heat of a year", f"{two_digits(heat)} kWh", how))
    return "".join(f"<div><h3>{a}</h3><b>{b}</b><small>{c}</small></div>" for a, b, c in cards)


def _plan(home: Home) -> str:
    """All rooms as somebody placed them; as a picture, so that its style is its own."""
    if home.placed is None or not home.placed.rooms:
        return ""
    drawn = base64.b64encode(home_plan_svg(home.placed.name, placed_rooms(home.placed), "m")).decode("ascii")
    return f'<h2>Plan</h2><img class="plan" alt="Plan of {escape(home.name)}" src="data:image/svg+xml;base64,{drawn}">'


def _building(home: Home, load: Quantiles) -> str:
    rows = [
        (
            escape(room.camera),
            f"{room.area_m2:.1f}",
            f"{room.inside_c:g}",
            two_digits(room.transmission_w),
            two_digits(room.ventilation_w + room.reheat_w),
            f"<b>{two_digits(room.total_w.p50)}</b>",
            _range(room.total_w),
            two_digits(room.per_m2_w) + ("" if room.plausible else " (!)"),
            two_digits(room.building.total_w.p50),
        )
        for room in home.rooms
    ]
    area = sum(room.area_m2 for room in home.rooms)
    foot = _rows([("Building", f"{area:.1f}", "", "", "", "", _range(load), "", f"<b>{two_digits(load.p50)}</b>")])
    return f"<tbody>{_rows(rows)}</tbody><tfoot>{foot}</tfoot>"


def _without(home: Home) -> str:
    if not home.without:
        return ""
    items = "".join(f"<li>{escape(camera)}: {escape(why)}</li>" for camera, why in home.without)
    return f'<div class="not"><strong>Rooms that are not in these sums.</strong><ul>{items}</ul></div>'


def _radiators(rooms: tuple[HeatLossMessage, ...]) -> str:
    rows = []
    for room in rooms:
        needed = (radiator_w(room.total_w.p50, flow_c, room.inside_c) for flow_c in FLOW_C)
        cells = ("too cold" if w is None else two_digits(w) for w in needed)
        rows.append((escape(room.camera), two_digits(room.total_w.p50), *cells))
    heads = "".join(f"<th>{flow:g}/{flow - HEAT_PUMP_DROP_K:g} °C</th>" for flow in FLOW_C)
    return f"<thead><tr><th>Room</th><th>Load, W</th>{heads}</tr></thead><tbody>{_rows(rows)}</tbody>"


def _pump(home: Home, load: Quantiles) -> str:
    pump = heat_pump(load)
    outside = sorted({room.outside_c for room in home.rooms})
    at = " and ".join(f"{c:g} °C" for c in outside)
    steps = [
        f"The rooms' parts of the building's load together are {two_digits(load.p50)} W; 5 % of such buildings need "
        f"more than {two_digits(load.p95)} W. Uncertain inputs are taken to err to the same side in all rooms, as "
        "U-values and air changes of one building mostly do.",
        f"A heat pump without its heater rod must give all of that at {at} outside and at the flow temperature that "
        f"the radiators are chosen for (MIS 3005-D): {pump.sure_w / 1000:g} kW covers the 95 % case, "
        f"{pump.usual_w / 1000:g} kW the middle one. Both are rounded up to 0.5 kW; nothing is added on top.",
        "Hot water is not in it: about 0.25 kW a person where the heat pump makes it too.",
        "Before choosing the larger one, measure what is named below under “measure next”: it narrows the range.",
    ]
    if len(outside) > 1:
        steps.append("The rooms are designed for different temperatures outside: correct the configuration first.")
    return "".join(f"<li>{step}</li>" for step in steps)


def _room(room: HeatLossMessage) -> str:
    svg, scale = plan_svg(room)
    facts = [
        ("Floor", f"{room.area_m2:.1f} m²"),
        ("Ceiling", f"{room.ceiling_height_m:.2f} m"),
        ("Volume", f"{room.volume_m3:.0f} m³"),
        ("Inside / outside", f"{room.inside_c:g} / {room.outside_c:g} °C"),
        ("Outside air", f"{room.air_changes_per_h:.2f} times an hour"),
        ("Load", f"<b>{two_digits(room.total_w.p50)} W</b> ({_range(room.total_w)})"),
        ("For each m²", f"{two_digits(room.per_m2_w)} W{'' if room.plausible else ': unusual, check the inputs'}"),
        ("In the building", f"{two_digits(room.building.total_w.p50)} W"),
    ]
    elements = [_element(e) for e in room.elements]
    others = [("Outside air", "", "", "", "", two_digits(room.ventilation_w), "")]
    if room.reheat_w:
        others.append(("Warming up", "", "", "", "", two_digits(room.reheat_w), ""))
    foot = _rows([("Together", "", "", "", "", f"<b>{two_digits(room.sum_w)}</b>", "")])
    nexts = "".join(
        f"<li>{_INPUTS.get(i.input, escape(i.input))}: {i.share:.0%} of the spread</li>" for i in room.largest[:_NEXT]
    )
    assumed = "".join(f"<li>{escape(a)}</li>" for a in room.assumptions)
    heads = "".join(f"<th>{h}</th>" for h in _HEADS)
    note = f"{escape(room.method)}; layout of {room.captured_at[:10]}"
    return f"""<section class="room"><h2>{escape(room.camera)} <small>{note}</small></h2>
<div class="side"><figure>{svg}<figcaption>1 : {scale}, lengths inside. 0° is where bearings count from.{legend()}
</figcaption></figure><table class="facts"><tbody>{_rows(facts)}</tbody></table></div>
<table class="elements"><thead><tr>{heads}</tr></thead>
<tbody>{_rows(elements)}{_rows(others)}</tbody><tfoot>{foot}</tfoot></table>
<div class="notes"><div><h3>Measure next</h3><ul>{nexts}</ul></div>
<div><h3>What was assumed</h3><ul>{assumed}</ul></div></div></section>"""


def _element(element: HeatElement) -> tuple[str, ...]:
    bridge = f" + {element.thermal_bridge_w_m2k:.2f}" if element.thermal_bridge_w_m2k else ""
    behind = "" if element.temperature_c is None else f", {element.temperature_c:g} °C"
    return (
        escape(element.name.capitalize().replace(" degrees", "°")),
        _TO[element.to] + behind,
        f"{element.area_m2:.2f}",
        f"{element.u_w_m2k:.2f}{bridge}",
        f"{element.difference_k:.1f}",
        two_digits(element.loss_w),
        "assumed" if element.assumed else "",
    )
