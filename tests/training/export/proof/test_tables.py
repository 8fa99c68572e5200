"""The card's tables are made from the measured rows alone."""

from __future__ import annotations

from edge.inference.manifest import Metric
from training.export.proof.tables import not_better, tables, tried_table

TURN = Metric(name="direction error", unit="°", value=9.0, data="a", baseline=10.0, baseline_name="up")


def _row(name: str, value: float, data: str) -> Metric:
    return TURN.model_copy(update={"name": name, "unit": "", "value": value, "data": data})


def test_the_sentence_counts_where_a_constant_is_better() -> None:
    """Errors must be smaller, and overlaps, shares and ratios larger than the baseline's; equal is not better."""
    overlap = TURN.model_copy(update={"name": "2D IoU", "unit": "", "value": 11.0})
    assert not_better((TURN, overlap)).startswith("It beats every baseline, in 2 comparisons")
    assert "in 1 of 2 comparisons" in not_better((TURN, overlap.model_copy(update={"value": 9.0})))
    assert "in 1 of 1 comparisons" in not_better((TURN.model_copy(update={"value": 10.0}),))
    for name in ("junction F1", "metric delta1", "sphere PSNR"):
        assert "every" in not_better((TURN.model_copy(update={"name": name, "value": 11.0}),))
    assert not_better(()) == "Not measured."


def test_sets_are_lines_and_metrics_are_columns() -> None:
    """Two sets with the same metrics make one table; a missing baseline is a dash, a lost comparison bold."""
    box = TURN.model_copy(update={"baseline": 5.0, "baseline_name": "box (2 m)"})
    other = TURN.model_copy(update={"data": "b", "value": 3.0})
    lines = tables((TURN, box, other))
    assert lines == [
        "Each cell: the model / up / box (2 m).",
        "",
        "| data | direction error, ° |",
        "|---|---|",
        "| a | **9.000** / 10.000 / 5.000 |",
        "| b | 3.000 / 10.000 / – |",
    ]


def test_what_differs_from_row_to_row_is_not_in_the_legend() -> None:
    """Boxes of several sizes are one column of numbers, named by what they have in common."""
    rows = [TURN.model_copy(update={"data": str(i), "baseline_name": f"best box ({i} m)"}) for i in range(3)]
    assert tables(tuple(rows))[0] == "Each cell: the model / best box."


def test_metrics_of_other_sets_make_another_table() -> None:
    """A set measured otherwise gets a table of its own, below a line that names its baselines."""
    alone = Metric(name="2D IoU", value=0.5, data="views")
    lines = tables((TURN, alone))
    assert lines[-3:] == ["| data | 2D IoU |", "|---|---|", "| views | 0.500 |"]


def test_other_runs_stand_side_by_side() -> None:
    """A column for each run, a line for each set's headline metric; a run that did not measure a set has a dash."""
    base = (_row("3D IoU", 0.9, "rooms"), _row("junction F1", 0.5, "rooms"), _row("2D IoU", 0.6, "real"))
    lines = tried_table("layout", [("as shipped", base), ("no pretraining", base[:1])])
    assert lines[0] == "| data | metric | as shipped | no pretraining |"
    assert lines[2:] == ["| rooms | 3D IoU | 0.900 | 0.900 |", "| real | 2D IoU | 0.600 | – |"]
