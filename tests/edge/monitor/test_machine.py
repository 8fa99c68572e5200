"""What is read of the machine, from the files of a Jetson, and when it is hot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.monitor.heat import HeatLimits, HeatRule, excess
from edge.monitor.machine import Machine, Zone
from tests.edge.monitor.orin import THROTTLES_AT_CELSIUS, ZONES, orin


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system of an Orin."""
    return orin(tmp_path)


def test_an_orin_says_all_of_it(root: Path) -> None:
    """Every zone with where it throttles, a fan holds nothing back, the mode by name, the GPU's load and no other's."""
    state = Machine(root).read()
    assert state.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert [zone.name for zone in state.zones] == list(ZONES)
    assert state.zones[0] == Zone("cpu-thermal", 48.5, THROTTLES_AT_CELSIUS)
    assert state.zones[-1].throttles_at_celsius is None, "only its temperature is shown"
    assert (state.throttling, state.overcurrent_events) == ((), 7)
    assert (state.power_mode, state.gpu_load) == ("MODE_30W", 0.42)
    assert (state.memory_total_bytes, state.memory_available_bytes) == (31325396 * 1024, 24000000 * 1024)


def test_what_the_kernel_holds_back_is_named(root: Path) -> None:
    """A cooling device that is at work, but not the fan."""
    (root / "sys/class/thermal/cooling_device2/cur_state").write_text("2\n")
    assert Machine(root).read().throttling == ("devfreq-17000000.gpu",)


def test_a_mode_that_the_table_lacks_is_its_number(root: Path) -> None:
    """Somebody changed nvpmodel's table."""
    (root / "var/lib/nvpmodel/status").write_text("pmode:0007")
    assert Machine(root).read().power_mode == "7"


@pytest.mark.parametrize("spoilt", [None, "", "nonsense", "\xff\0", "-274000"])
def test_what_is_missing_or_nonsense_is_not_known(root: Path, spoilt: str | None) -> None:
    """Each file away or spoilt by turns: nothing fails, and a zone without a temperature is left out."""
    for file in [path for path in root.rglob("*") if path.is_file()]:
        before = file.read_bytes()
        file.unlink() if spoilt is None else file.write_text(spoilt, encoding="latin-1")
        state = Machine(root).read()
        assert len(state.zones) >= len(ZONES) - 1
        assert state.gpu_load is None or 0 <= state.gpu_load <= 1
        assert all(zone.throttles_at_celsius in (None, 99.0) for zone in state.zones)
        file.write_bytes(before)


def test_another_machine_shows_nothing(tmp_path: Path) -> None:
    """An empty file system: all of it is None, and nothing has a limit."""
    state = Machine(tmp_path).read()
    assert (state.zones, state.model, state.power_mode, state.gpu_load, state.memory_total_bytes) == ((), *[None] * 4)
    assert excess(state.zones, HeatLimits()) is None


def test_hot_is_below_where_the_kernel_throttles(root: Path) -> None:
    """Five degrees below 99 °C unless configured; the zone that is nearest to its own limit counts."""
    zones = [*Machine(root).zones(), Zone("other", 93.0, 95.0)]
    worst = excess(zones, HeatLimits())
    assert worst is not None
    assert (worst.zone.name, worst.hot_celsius, worst.celsius) == ("other", 90.0, 3.0)
    assert excess(zones, HeatLimits(hot_celsius=94.0)).celsius == -1.0  # type: ignore[union-attr]


courses = st.lists(st.tuples(st.floats(0.1, 120.0), st.floats(20.0, 120.0)), min_size=1, max_size=60)
limits = st.builds(
    HeatLimits,
    hot_celsius=st.floats(40.0, 100.0),
    cool_by_celsius=st.floats(1.0, 20.0),
    step_s=st.floats(1.0, 60.0),
    most_slowdown=st.integers(2, 64),
)


@given(limits=limits, course=courses)
def test_the_pace_follows_the_heat_and_never_flaps(limits: HeatLimits, course: list[tuple[float, float]]) -> None:
    """Within 1 and the most; slower only when hot, faster only when cool; never twice in a step; and it is said."""
    rule, now_s, changed_s = HeatRule(limits), 0.0, None
    hot_celsius = limits.hot_celsius or 0.0
    for seconds, celsius in course:
        now_s += seconds
        before = rule.slowdown
        changed = rule.judge([Zone("z", celsius, None)], now_s)
        assert changed == (rule.slowdown != before)
        assert 1 <= rule.slowdown <= limits.most_slowdown
        if rule.slowdown > before:
            assert celsius >= hot_celsius
        if rule.slowdown < before:
            assert celsius <= hot_celsius - limits.cool_by_celsius
        if changed:
            assert changed_s is None or now_s - changed_s >= limits.step_s
            changed_s = now_s
        assert bool(rule.degraded) == (rule.slowdown > 1)


@given(limits=limits, course=courses)
def test_it_ends_at_the_right_pace(limits: HeatLimits, course: list[tuple[float, float]]) -> None:
    """After any course, a machine that stays hot ends at the slowest pace, and one that stays cool at the usual one."""
    for celsius, expected in ((130.0, limits.most_slowdown), (10.0, 1)):
        rule, now_s = HeatRule(limits), 0.0
        for seconds, temperature in course:
            now_s += seconds
            rule.judge([Zone("z", temperature, None)], now_s)
        for _ in range(20):
            now_s += limits.step_s
            rule.judge([Zone("z", celsius, None)], now_s)
        assert rule.slowdown == expected


def test_zones_that_vanish_count_as_cool() -> None:
    """A sensor that cannot be read any more does not slow tasks down for ever."""
    rule = HeatRule(HeatLimits(hot_celsius=80.0, step_s=10.0))
    assert rule.judge([Zone("z", 85.0, None)], 0.0)
    assert "z is at 85 °C" in rule.degraded[0]
    assert rule.judge([], 20.0)
    assert rule.degraded == ()
