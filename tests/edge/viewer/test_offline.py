"""The page that is exported: one file that shows its room in a browser, and asks nobody for anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.viewer.offline import offline_page
from tests.edge.derive.rooms import model
from tests.edge.viewer.chromium import EXECUTABLE, browser


def test_everything_is_in_the_file() -> None:
    """No address of a script, a style or a picture is left; the licence of what is in it is with it."""
    page = offline_page(model()).decode()
    outside_code = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="(?!data:,)[^"]*"', outside_code) == []
    assert "The MIT License" in page
    assert "<title>hall</title>" in page
    assert len(page) < 1_500_000


@pytest.mark.slow
@pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium")
def test_a_browser_shows_the_room_without_a_network(tmp_path: Path) -> None:
    """From the disk: the model and the light are shown, with the room's size; only the file itself was asked for."""
    path = tmp_path / "hall.html"
    path.write_bytes(offline_page(model()))
    with browser(tmp_path / "profile") as shown:
        shown.open(f"{path.as_uri()}?test")
        shown.until("window.state?.glb === 1 && state.light === 1")
        assert "20.0 m²" in shown.value("document.getElementById('facts').textContent")
        shown.press("Plan")
        assert shown.value("document.querySelectorAll('#plan .wall').length") == 4
        assert shown.value("state.error") is None
        assert shown.problems == []
        assert [a for a in shown.asked if not a.startswith(("file:", "blob:", "data:"))] == []
