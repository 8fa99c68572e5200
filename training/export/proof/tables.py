"""Measured numbers as compact tables: a line for each set of data, a column for each metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge.inference.manifest import Metric

_HEADLINES: Mapping[str, tuple[str, ...]] = {
    "depth": ("metric absrel", "median delta1"),
    "layout": ("2D IoU", "3D IoU"),
    "lighting": ("scale-invariant irradiance RMSE",),
    "objects": ("3D IoU", "mask IoU of another view"),
    "joint": ("median delta1", "3D IoU", "scale-invariant irradiance RMSE"),
}
"""What tells runs of a task apart."""
_HIGHER_IS_BETTER = ("IoU", "delta", "F1", "PSNR", "recovered")


def beaten(m: Metric) -> bool:
    """Whether the model is better than the row's baseline, in the digits that tables show."""
    assert m.baseline is not None
    ours, base = round(m.value, 3), round(m.baseline, 3)
    return ours > base if _higher_is_better(m) else ours < base


def worse_by(before: Metric, after: Metric) -> float:
    """By how much the second of two models is worse on the same data; negative: it is better."""
    return before.value - after.value if _higher_is_better(before) else after.value - before.value


def _higher_is_better(m: Metric) -> bool:
    return any(word in m.name for word in _HIGHER_IS_BETTER)


def number(value: float | None) -> str:
    """As tables show it; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def kind_of(baseline_name: str) -> str:
    """A baseline's name without what is said of it in brackets, which may differ from row to row."""
    return baseline_name.split(" (")[0]


def by_set(metrics: Iterable[Metric]) -> dict[str, dict[str, list[Metric]]]:
    """Set of data -> metric with its unit -> its rows, one for each baseline; in the order given."""
    out: dict[str, dict[str, list[Metric]]] = {}
    for m in metrics:
        title = f"{m.name}, {m.unit}" if m.unit else m.name
        out.setdefault(m.data, {}).setdefault(title, []).append(m)
    return out


def baselines_of(rows: Iterable[Metric]) -> dict[str, set[str]]:
    """Kind of baseline -> its full names, in the order met."""
    out: dict[str, set[str]] = {}
    for m in rows:
        if m.baseline is not None:
            out.setdefault(kind_of(m.baseline_name), set()).add(m.baseline_name)
    return out


def not_better(metrics: tuple[Metric, ...]) -> str:
    """One sentence: how often the model does not beat a baseline."""
    if not metrics:
        return "Not measured."
    compared = [m for m in metrics if m.baseline is not None]
    lost = sum(not beaten(m) for m in compared)
    if not lost:
        return f"It beats every baseline, in {len(compared)} comparisons."
    return f"**It does not beat a baseline in {lost} of {len(compared)} comparisons**: the numbers in bold."


def _cell(rows: list[Metric], kinds: list[str]) -> str:
    lost = any(m.baseline is not None and not beaten(m) for m in rows)
    base = {kind_of(m.baseline_name): m.baseline for m in rows if m.baseline is not None}
    ours = f"**{number(rows[0].value)}**" if lost else number(rows[0].value)
    return " / ".join([ours, *(number(base.get(kind)) for kind in kinds)]) if base else ours


def tried_table(task: str, runs: Sequence[tuple[str, tuple[Metric, ...]]]) -> list[str]:
    """Markdown lines: what else was tried, a column for each run, a line for each set and headline metric."""
    values = [{(m.data, m.name): m.value for m in metrics if m.name in _HEADLINES[task]} for _, metrics in runs]
    rows = dict.fromkeys(key for found in values for key in found)
    lines = ["| data | metric | " + " | ".join(what for what, _ in runs) + " |"]
    lines.append("|---" * (len(runs) + 2) + "|")
    lines += [f"| {key[0]} | {key[1]} | " + " | ".join(number(v.get(key)) for v in values) + " |" for key in rows]
    return lines


def tables(metrics: tuple[Metric, ...]) -> list[str]:
    """Markdown lines; sets with the same metrics share a table, and a line above it names its baselines."""
    groups: dict[tuple[str, ...], list[tuple[str, dict[str, list[Metric]]]]] = {}
    for data, named in by_set(metrics).items():
        groups.setdefault(tuple(named), []).append((data, named))
    lines: list[str] = []
    for titles, sets in groups.items():
        full = baselines_of(m for _, named in sets for rows in named.values() for m in rows)
        baselines = [next(iter(names)) if len(names) == 1 else kind for kind, names in full.items()]
        if baselines:
            lines += [f"Each cell: the model / {' / '.join(baselines)}.", ""]
        lines += ["| data | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
        lines += [
            f"| {data} | " + " | ".join(_cell(named[t], list(full)) for t in titles) + " |" for data, named in sets
        ]
        lines.append("")
    return lines[:-1]
