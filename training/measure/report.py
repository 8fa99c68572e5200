"""What measuring one set of data gives: headline rows, every number, and its pictures from worst to best."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import DataError
from edge.inference.manifest import Metric
from edge.scene import ImageArray

_CAPTION_PX = 22
_GAP_PX = 4
_STYLE = "body{font:14px sans-serif;margin:2em}img{max-width:100%}figure{margin:0 0 1.5em}"


@dataclass(frozen=True)
class Scored:
    """One picture of the set: its name, the error that ranks it (inf = refused), and all that was measured on it."""

    name: str
    error: float
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One set of data, measured.

    `rows` are what tables and cards show, `details` every number by name (for JSON); `draw(i)` makes the picture that
    explains the error of `pictures[i]`, running the model anew; `ranked_by` says what that error is.
    """

    data: str
    rows: tuple[Metric, ...]
    details: dict[str, Any]
    pictures: tuple[Scored, ...]
    ranked_by: str
    draw: Callable[[int], ImageArray]

    @property
    def worst_first(self) -> list[int]:
        """Indices of `pictures`, the largest error first."""
        return sorted(range(len(self.pictures)), key=lambda i: (-self.pictures[i].error, self.pictures[i].name))


def captioned(picture: ImageArray, text: str, height_px: int) -> ImageArray:
    """The picture at that height with a line of text above it."""
    width_px = max(1, round(picture.shape[1] * height_px / picture.shape[0]))
    small = cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)
    out = np.full((height_px + _CAPTION_PX, width_px, 3), 255, np.uint8)
    out[_CAPTION_PX:] = small
    cv2.putText(out, text, (4, _CAPTION_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return out


def side_by_side(pictures: Sequence[tuple[str, ImageArray]], height_px: int = 240) -> ImageArray:
    """(caption, picture) pairs as one picture, in a row, each `height_px` high below its caption."""
    parts = [captioned(picture, text, height_px) for text, picture in pictures]
    gap = np.full((parts[0].shape[0], _GAP_PX, 3), 255, np.uint8)
    row = [piece for part in parts for piece in (part, gap)][:-1]
    return np.asarray(np.concatenate(row, axis=1), dtype=np.uint8)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")


def _described(scored: Scored, ranked_by: str) -> str:
    if not np.isfinite(scored.error):
        return "refused"
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in scored.numbers.items() if np.isfinite(value))
    return f"{ranked_by} {scored.error:.3f}" + (f" ({numbers})" if numbers else "")


def write_errors(sets: Sequence[Measured], folder: Path, limit: int) -> Path:
    """Write each set's pictures, worst first, and index.html that shows them; returns the index's path.

    File names sort by rank: `<set>/<rank>-<name>.jpg`; pictures that an earlier run left there are removed.

    Raises:
        DataError: the folder cannot be written.
    """
    lines = [f"<!doctype html><meta charset=utf-8><title>Errors, worst first</title><style>{_STYLE}</style>"]
    try:
        used: Counter[str] = Counter()
        for measured in sets:
            name = _slug(measured.data)
            used[name] += 1
            place = folder / (name if used[name] == 1 else f"{name}-{used[name]}")
            place.mkdir(parents=True, exist_ok=True)
            for old in place.glob("[0-9][0-9][0-9][0-9]-*.jpg"):
                old.unlink()
            shown = measured.worst_first[:limit]
            lines.append(f"<h2>{html.escape(measured.data)}: the worst {len(shown)} of {len(measured.pictures)}</h2>")
            for rank, index in enumerate(shown, start=1):
                scored = measured.pictures[index]
                path = place / f"{rank:04d}-{_slug(scored.name)}.jpg"
                _write_jpeg(path, measured.draw(index))
                caption = html.escape(f"{rank}. {scored.name}: {_described(scored, measured.ranked_by)}")
                source = html.escape(f"{place.name}/{path.name}")
                lines.append(f'<figure><img loading=lazy src="{source}"><figcaption>{caption}</figcaption></figure>')
        index_path = folder / "index.html"
        index_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as e:
        raise DataError(f"{folder}: error pictures cannot be written ({e.strerror}); give another folder") from e
    return index_path


def _write_jpeg(path: Path, picture: ImageArray) -> None:
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    path.write_bytes(data.tobytes())
