"""What holds of every heat loss, whatever the room: scaling, symmetry, cuts, monotony, methods beside each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.derive.heat_loss.elements import Shape
from edge.derive.heat_loss.estimate import heat_loss
from edge.derive.heat_loss.heating import building_load_w, heat_pump, radiator_w
from edge.derive.heat_loss.loads import Loads, loads_of
from edge.derive.heat_loss.presets import PRESETS, PresetName
from edge.derive.heat_loss.settings import Border, Climate, Opening, Settings, Uncertainty, WallStretch
from edge.derive.heat_loss.u_values import Construction, band, ground_floor_m2k_w, u_w_m2k
from edge.derive.heat_loss.uncertainty import Measurement, Quantiles
from edge.derive.heat_loss.walls import known_walls
from tests.edge.derive.heat_loss.rooms import HEATED, OUTSIDE, Piece, Rectangle, chosen, loss_w

COLD = Settings(
    Climate(-3.0, 10.0, 2200.0),
    inside_c=20.0,
    built=1960,
    air_changes_per_h=0.7,
    walls=(WallStretch(-60, 60, OUTSIDE, (Opening("window", 1.8, 1.2),)), WallStretch(45, 135, Border("heated", 16.0))),
    floor=Border("unheated", factor=0.5),
    ceiling=OUTSIDE,
)
L_SHAPE = np.array([[3, 3], [0.8, 3], [0.8, 1.2], [-2, 1.2], [-2, -2], [3, -2]], float)
SQUARE = np.array([[2, -2], [2, 2], [-2, 2], [-2, -2]], float)
GOOD = Measurement(1.3, 0.9)


def loads(polygon: np.ndarray, with_settings: Settings, height_m: float = 2.4) -> Loads:
    """The loads of a room with that floor."""
    return loads_of(Shape(polygon, height_m), with_settings, {})


def test_nothing_is_lost_at_equal_temperatures() -> None:
    """Inside as outside, next door and in the ground: 0 W."""
    even = replace(
        COLD,
        climate=Climate(20.0, 20.0),
        walls=(WallStretch(-60, 60, OUTSIDE), WallStretch(45, 135, Border("neighbour"))),
        floor=Border("ground"),
    )
    for preset in PRESETS:
        if preset != "mcs2021":  # whose neighbours are at 10 degrees wherever one is
            assert loads(L_SHAPE, replace(even, preset=preset)).total_w[0] == 0.0


@pytest.mark.parametrize("polygon", [SQUARE, L_SHAPE])
def test_twice_as_large(polygon: np.ndarray) -> None:
    """All lengths doubled: the loss through surfaces is four times as large, with the air eight times."""
    openings = (Opening("window", 1.8, 1.2),)
    wide = (Opening("window", 3.6, 2.4),)
    small = loads(polygon, replace(COLD, walls=(WallStretch(-60, 60, OUTSIDE, openings),)))
    large = loads(2 * polygon, replace(COLD, walls=(WallStretch(-60, 60, OUTSIDE, wide),)), 4.8)
    assert large.transmission_w[0] == pytest.approx(4 * small.transmission_w[0])
    assert large.ventilation_w[0] == pytest.approx(8 * small.ventilation_w[0])


def test_mirrored_rooms_are_alike() -> None:
    """A room and its mirror image, with mirrored directions, need the same."""
    mirrored = (L_SHAPE * [-1, 1])[::-1]
    walls = tuple(replace(w, from_deg=-w.to_deg, to_deg=-w.from_deg) for w in COLD.walls)
    one, other = loads(L_SHAPE, COLD), loads(mirrored, replace(COLD, walls=walls))
    assert other.total_w[0] == pytest.approx(one.total_w[0])


@pytest.mark.parametrize("dimensions", ["internal", "external"])
def test_a_wall_cut_in_two(dimensions: str) -> None:
    """A corner in the middle of a wall changes nothing."""
    cut = np.insert(SQUARE, 2, [0.3, 2.0], axis=0)
    chosen_settings = replace(COLD, dimensions=dimensions)
    assert loads(cut, chosen_settings).total_w[0] == pytest.approx(loads(SQUARE, chosen_settings).total_w[0])


def test_openings_move_area() -> None:
    """Windows take their area from the wall; the sum stays, also if they are larger than the wall."""
    front = WallStretch(-45, 45, OUTSIDE)
    for openings, glass_m2 in (((), 0.0), ((Opening("window", 2, 1, 2),), 4.0), ((Opening("window", 9, 9),), 9.6)):
        room = loads(SQUARE, replace(COLD, walls=(replace(front, openings=openings),)))
        areas = {k: sum(float(e.area_m2[0]) for e in chosen(room, k, to="outside")) for k in ("wall", "window")}
        assert areas == pytest.approx({"wall": 9.6 - glass_m2, "window": glass_m2})
    assert room.shell.too_many_openings == ("-45 to 45 degrees",)


def test_rooms_of_a_home_exchange_nothing() -> None:
    """What one room loses to another, that one gains: over a home it sums to 0."""
    wall = Border("heated", 24.0, u_w_m2k=2.0)
    warm_side = replace(wall, temperature_c=18.0)
    cool, walls = Rectangle(4, 3, 2.5, right=(Piece(3, wall),)).build()
    warm, other = Rectangle(2, 3, 2.5, left=(Piece(3, warm_side),)).build()
    base = replace(COLD, floor=HEATED, ceiling=HEATED)
    gained = loads_of(cool, replace(base, inside_c=18.0, walls=walls), {})
    lost = loads_of(warm, replace(base, inside_c=24.0, walls=other), {})
    assert loss_w(lost, to="heated") > 0
    assert loss_w(lost, to="heated") + loss_w(gained, to="heated") == pytest.approx(0.0)
    assert gained.transmission_w[0] == 0.0
    assert lost.building_transmission_w[0] == 0.0


@given(
    u=st.floats(0.1, 3.0),
    n=st.floats(0.0, 3.0),
    outside_c=st.floats(-20.0, 19.0),
    more=st.floats(0.01, 0.5),
)
@settings(max_examples=60, deadline=None)
def test_more_loses_more(u: float, n: float, outside_c: float, more: float) -> None:
    """A worse wall, more air, a colder day: each needs more heat."""
    at = replace(COLD, u={"wall": u}, air_changes_per_h=n, climate=Climate(outside_c), floor=HEATED)
    base = loads(L_SHAPE, at).total_w[0]
    assert loads(L_SHAPE, replace(at, u={"wall": u + more})).total_w[0] > base
    assert loads(L_SHAPE, replace(at, air_changes_per_h=n + more)).total_w[0] > base
    assert loads(L_SHAPE, replace(at, climate=Climate(outside_c - more))).total_w[0] > base


def test_it_ends_smoothly_in_mild_weather() -> None:
    """As it grows warm outside, the loss goes to that of the colder rooms next door, without a step."""
    at_c = [loads(SQUARE, replace(COLD, climate=Climate(c))).total_w[0] for c in (19.9, 19.99, 20.0)]
    next_door = 4.0 * 4.0 * 2.4 * 2.0
    assert at_c[2] == pytest.approx(next_door)
    assert at_c[1] - at_c[2] == pytest.approx((at_c[0] - at_c[2]) / 10)


def test_feet_and_metres() -> None:
    """A room measured in feet and in US units of heat, converted at the end, loses the same."""
    foot_m = 0.3048
    watts_per_btu_h = 0.29307107
    u_us = 1.5 / 5.678263  # Btu/(h ft2 F)
    area_ft2 = (4.0 / foot_m) * (2.4 / foot_m)
    btu_h = area_ft2 * u_us * 23.0 * 1.8
    bare = replace(COLD, u={"wall": 1.5}, thermal_bridge_w_m2k=0.0, walls=(WallStretch(-45, 45, OUTSIDE, ()),))
    assert loss_w(loads(SQUARE, bare), "wall", to="outside") == pytest.approx(btu_h * watts_per_btu_h, rel=1e-5)


# Directions -----------------------------------------------------------------------------------------------------------


def test_a_wall_is_known_by_its_direction() -> None:
    """However the fit counts corners, adds a pillar or moves walls a little, an outside wall stays one."""
    stretch = (WallStretch(-50, 50, OUTSIDE, ()),)
    pillar = np.array([[2, -2], [2, 2], [1, 2], [1, 1.7], [0.6, 1.7], [0.6, 2], [-2, 2], [-2, -2]], float)
    bare = replace(COLD, walls=stretch, floor=HEATED, ceiling=HEATED)
    usual = loads(SQUARE, bare)
    for polygon in (np.roll(SQUARE, 1, axis=0), np.roll(SQUARE, 3, axis=0), SQUARE + [0.2, 0.1]):
        assert loss_w(loads(polygon, bare), to="outside") == pytest.approx(loss_w(usual, to="outside"))
    with_pillar = loads(pillar, bare)
    extra_m2 = 2 * 0.3 * 2.4
    outside_m2 = sum(float(e.area_m2[0]) for e in chosen(with_pillar, to="outside"))
    assert outside_m2 == pytest.approx(4 * 2.4 + extra_m2)


def test_a_stretch_may_run_across_the_back() -> None:
    """From 150 to -150 degrees is the 60 degrees behind the camera."""
    walls = known_walls(SQUARE, (WallStretch(130, -130, OUTSIDE),))
    assert [(w.edge, w.stretch) for w in walls if w.stretch is not None] == [(3, 0)]
    assert (walls[3].from_deg, walls[3].to_deg) == (135.0, -135.0)


@pytest.mark.parametrize(("share", "known"), [(0.55, False), (0.65, True)])
def test_most_of_a_wall_must_lie_in_its_stretch(share: float, known: bool) -> None:
    """60 % of a wall's length decide what it is."""
    right_end = np.degrees(np.arctan2(-2 + 4 * share, 2))
    walls = known_walls(SQUARE, (WallStretch(-45, float(right_end), OUTSIDE),))
    assert (walls[1].stretch == 0) is known
    assert walls[1].share == pytest.approx(share, abs=0.01)


# Methods --------------------------------------------------------------------------------------------------------------


def test_methods_beside_each_other() -> None:
    """The same old living room: MCS's air changes need most; EN and CIBSE differ in the air alone; CIBSE halves it."""
    home = replace(COLD, inside_c=None, air_changes_per_h=None, preset="en12831")
    by = {name: loads(L_SHAPE, replace(home, preset=name, inside_c=21.0)) for name in PRESETS}
    assert by["mcs2021"].total_w[0] > by["en12831"].total_w[0]
    assert by["en12831"].transmission_w[0] == by["cibse2026"].transmission_w[0]
    assert by["mcs2021"].ventilation_w[0] == pytest.approx(by["en12831"].ventilation_w[0] * 1.5 / 0.5 * 0.33 / 0.34)
    assert by["cibse2026"].building_ventilation_w[0] == pytest.approx(by["cibse2026"].ventilation_w[0] / 2)
    assert by["mcs2021"].building_ventilation_w[0] == by["mcs2021"].ventilation_w[0]


def test_what_each_method_prescribes() -> None:
    """Temperatures and air changes of the tables, by room and by age."""
    room = replace(COLD, inside_c=None, air_changes_per_h=None)
    asked = [
        ("en12831", "bath", 1960, 24.0, 0.5),
        ("en12831", "store", 1960, 20.0, 0.0),
        ("mcs2021", "bath", 1960, 22.0, 3.0),
        ("mcs2021", "bedroom", 1960, 18.0, 1.0),
        ("mcs2021", "bedroom", 2010, 21.0, 0.5),
        ("mcs2021", "study", 2003, 21.0, 1.5),
        ("mcs2021", "store", 2010, 16.0, 0.5),
    ]
    for preset, kind, built, inside_c, n in asked:
        chosen_settings = replace(room, preset=preset, room=kind, built=built)
        assert chosen_settings.room_c == inside_c
        assert loads(SQUARE, chosen_settings).air_changes_per_h[0] == pytest.approx(n)


def test_recovered_heat_and_every_constant_can_be_replaced() -> None:
    """Mechanical air counts less what is recovered; the presets' constants give way to configured ones."""
    plain = loads(SQUARE, COLD)
    fans = loads(SQUARE, replace(COLD, mechanical_m3_h=60.0, heat_recovery=0.8))
    assert fans.ventilation_w[0] - plain.ventilation_w[0] == pytest.approx(0.34 * 60 * 0.2 * 23)
    assert fans.building_ventilation_w[0] == pytest.approx(plain.ventilation_w[0] / 2 + 0.34 * 60 * 0.2 * 23)
    whole = replace(COLD, building_ventilation_share=1.0)
    assert loads(SQUARE, whole).building_ventilation_w[0] == plain.ventilation_w[0]
    neighbour = replace(COLD, walls=(WallStretch(-60, 60, Border("neighbour", 10.0)),))
    for counted in (False, True):
        home = loads(SQUARE, replace(neighbour, neighbours_in_building=counted))
        assert loss_w(home, to="neighbour") > 0
        difference = home.transmission_w[0] - home.building_transmission_w[0]
        assert difference == pytest.approx(0.0 if counted else loss_w(home, to="neighbour"))


def test_external_dimensions() -> None:
    """Measured outside, a detached cube of a room has the walls, the floor and the height that are seen from there."""
    around = replace(COLD, walls=(WallStretch(-180, 180, OUTSIDE, ()),), dimensions="external")
    room = loads(SQUARE, around)
    assert sum(float(e.area_m2[0]) for e in chosen(room, "wall")) == pytest.approx(4 * 4.6 * 2.7)
    assert float(chosen(room, "floor")[0].area_m2[0]) == pytest.approx(4.6**2)
    assert room.shell.volume_m3[0] == pytest.approx(16 * 2.4)


def test_tables_of_u_values() -> None:
    """Values read off the published tables; newer is never worse."""
    assert [band(y) for y in (1880, 1900, 1949, 1967, 1995, 2006, 2025)] == ["A", "B", "C", "E", "H", "J", "M"]
    assert u_w_m2k("wall", "england", 1955) == 1.5
    assert u_w_m2k("wall", "england", 1955, construction="cavity_filled") == 0.7
    assert u_w_m2k("wall", "england", 1910, construction="solid_brick", wall_mm=240) == 1.7
    assert u_w_m2k("wall", "england", 1910, construction="granite", wall_mm=500) == pytest.approx(45.315 * 500**-0.513)
    assert u_w_m2k("wall", "england", 1970, construction="sandstone") == 1.7
    assert u_w_m2k("ceiling", "england", 1940, roof="flat") == 2.3
    assert u_w_m2k("wall", "germany", 1930, construction="timber") == 2.0
    assert u_w_m2k("window", "germany", 1999) == 1.8
    assert ground_floor_m2k_w("england", 1950) == 0.0
    years = (1880, 1910, 1940, 1960, 1970, 1980, 1985, 1993, 2000, 2005, 2010, 2015, 2025)
    for kind in ("wall", "window", "door", "ceiling", "floor"):
        values = [u_w_m2k(kind, "england", year) for year in years]
        assert values == sorted(values, reverse=True)


# Uncertainty ----------------------------------------------------------------------------------------------------------


def test_spread_of_a_known_case() -> None:
    """690 W through walls (20 %), 117.3 W with the air (30 %), lengths 3 %: 598 to 1108 W, from the walls mostly."""
    sure = Uncertainty(
        camera_height_m=0.03 * 1.3, ceiling_height_m=0.0, layout=0.0, layout_doubt=0.0, u_known=0.2, air_known=0.3
    )
    room = Settings(
        Climate(0.0),
        inside_c=20.0,
        u={"wall": 690.0 / 20.0 / (4 * 4 * 2.4)},
        walls=(WallStretch(-180, 180, OUTSIDE, ()),),
        floor=HEATED,
        ceiling=HEATED,
        thermal_bridge_w_m2k=0.0,
        air_changes_per_h=117.3 / 20.0 / 0.34 / (16 * 2.4),
        uncertainty=sure,
    )
    found = heat_loss(Shape(SQUARE, 2.4), room, Measurement(1.3, 1.0))
    assert found.loads.total_w[0] == pytest.approx(807.3)
    drawn = np.random.default_rng(0).standard_normal((3, 400_000)) * [[0.2], [0.3], [0.03]]
    u, air, length = np.exp(drawn)
    p05, p50, p95 = np.quantile(690 * u * length**2 + 117.3 * air * length**3, (0.05, 0.5, 0.95))
    assert (round(p05), round(p95)) == (pytest.approx(598, abs=1), pytest.approx(1108, abs=2))
    assert found.spread.total_w.p05 == pytest.approx(p05, rel=0.01)
    assert found.spread.total_w.p50 == pytest.approx(p50, rel=0.01)
    assert found.spread.total_w.p95 == pytest.approx(p95, rel=0.01)
    shares = {s.input: s.share for s in found.spread.largest}
    linear = {"u.wall": 690 * 0.2, "air_changes": 117.3 * 0.3, "camera_height": (2 * 690 + 3 * 117.3) * 0.03}
    whole = sum(v**2 for v in linear.values())
    assert whole**0.5 / 807.3 == pytest.approx(0.188, abs=5e-4)
    for name, effect in linear.items():
        assert shares[name] == pytest.approx(effect**2 / whole, abs=0.01)
    assert next(iter(shares)) == "u.wall"


def test_what_is_measured_narrows_the_spread() -> None:
    """A configured U-value, a measured air change and a sure layout each make the range narrower."""

    def width(chosen_settings: Settings, measurement: Measurement = GOOD) -> float:
        found = heat_loss(Shape(L_SHAPE, 2.4), chosen_settings, measurement).spread.total_w
        return (found.p95 - found.p05) / found.p50

    guessed = replace(COLD, air_changes_per_h=None)
    measured_air = replace(guessed, air_changes_per_h=0.5)
    measured_wall = replace(measured_air, u={"wall": 1.5, "ceiling": 0.4, "window": 2.8, "floor": 1.2})
    assert width(guessed) > width(measured_air) > width(measured_wall) > width(measured_wall, Measurement(1.3, 1.0))
    assert width(measured_wall, Measurement(0.3, 0.9)) > width(measured_wall)


def test_the_same_room_has_the_same_result() -> None:
    """Nothing is left to chance: the draws are the same each time."""
    one, other = (heat_loss(Shape(L_SHAPE, 2.4), COLD, GOOD) for _ in range(2))
    assert one.spread == other.spread
    assert sum(s.share for s in one.spread.largest) == pytest.approx(1.0)


def test_assumptions_are_said() -> None:
    """A room of which little is known says all it assumed, a known one only what the method leaves out."""
    little = heat_loss(Shape(SQUARE, 2.4), Settings(Climate(-3.0), walls=(WallStretch(-60, 60, OUTSIDE),)), GOOD)
    text = " ".join(little.assumptions)
    for word in (
        "age is not given",
        "Inside 20",
        "U-value of walls 1.5",
        "15%",
        "no configured",
        "below",
        "above",
        "0.50",
    ):
        assert word in text
    assert all(e.assumed for e in little.loads.shell.elements)
    assert "mean outside is not given: 10 °C" in text
    known = replace(
        COLD,
        u={"wall": 1.5, "window": 2.8, "ceiling": 0.3, "floor": 0.5},
        walls=(
            *(WallStretch(a, b, Border("heated", u_w_m2k=2.0), ()) for a, b in ((45, 135), (135, -135), (-135, -45))),
            WallStretch(-45, 45, OUTSIDE, (Opening("window", 1.8, 1.2),)),
        ),
        thermal_bridge_w_m2k=0.05,
    )
    all_known = heat_loss(Shape(SQUARE, 2.4), known, GOOD)
    assert [a.split(":")[0] for a in all_known.assumptions] == [
        "No extra output to warm up after a setback",
        "Sizes are internal dimensions, as the camera measured them; ceilings are taken as level.",
    ]
    assert not any(e.assumed for e in all_known.loads.shell.elements)


@pytest.mark.parametrize(
    ("border", "preset", "said"),
    [
        (Border("unheated"), "en12831", "Unheated spaces whose temperature is not given: 50% of the difference"),
        (Border("neighbour"), "mcs2021", "Other homes whose temperature is not given: 10 °C"),
        (Border("neighbour", 15.0), "mcs2021", None),
        (Border("unheated", factor=0.9), "en12831", None),
    ],
)
def test_what_the_method_has_behind_a_wall_is_told(border: Border, preset: PresetName, said: str | None) -> None:
    """Where nobody gave it; where somebody did, it is in the element."""
    known = replace(COLD, preset=preset, walls=(WallStretch(-60, 60, border, ()),), ceiling=HEATED)
    text = " ".join(heat_loss(Shape(SQUARE, 2.4), known, GOOD).assumptions)
    assert said in text if said else "whose temperature is not given" not in text


@pytest.mark.parametrize(("built", "construction", "said"), [(1970, "granite", True), (1960, "granite", False)])
def test_a_value_that_was_not_read_is_told(built: int, construction: Construction, said: bool) -> None:
    """Stone walls from 1967 on: the reader of the result is sent to the table itself."""
    walls = (WallStretch(-60, 60, OUTSIDE, ()),)
    result = heat_loss(
        Shape(SQUARE, 2.4), Settings(Climate(-3.0), walls=walls, built=built, construction=construction), GOOD
    )
    assert any("look their U-value up" in text for text in result.assumptions) is said


# Heating --------------------------------------------------------------------------------------------------------------


def test_radiators_at_low_temperatures() -> None:
    """1500 W at 45/40 in a room of 21 degrees are 4493 W of catalogue output; water as cold as the room gives none."""
    assert radiator_w(1500.0, 45.0, 21.0) == pytest.approx(4493, abs=1)
    assert radiator_w(1500.0, 77.5 - 5, 20.0) == pytest.approx(1500.0)
    assert radiator_w(1500.0, 23.5, 21.0) is None


def test_heat_pump_covers_the_building() -> None:
    """The output is the sum of the rooms' parts, rounded up to half a kilowatt, with nothing on top."""
    load = building_load_w([Quantiles(1000, 1400, 1900), Quantiles(2000, 2600, 3100)])
    assert load == Quantiles(3000, 4000, 5000)
    suggested = heat_pump(load)
    assert (suggested.usual_w, suggested.sure_w) == (4000.0, 5000.0)
    assert heat_pump(Quantiles(0, 4001, 5001)).sure_w == 5500.0
