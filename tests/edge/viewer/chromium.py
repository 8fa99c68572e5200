"""A headless Chromium driven over its DevTools protocol: no driver, no download."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from edge.viewer.live import LivePage
from edge.viewer.server import PageServer

EXECUTABLE = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_TYPED: dict[str, dict[str, Any]] = {
    "Enter": {"text": "\r", "windowsVirtualKeyCode": 13},
    "Tab": {"code": "Tab", "windowsVirtualKeyCode": 9},
    "ArrowDown": {"code": "ArrowDown", "windowsVirtualKeyCode": 40},
    "ArrowUp": {"code": "ArrowUp", "windowsVirtualKeyCode": 38},
}
"""What a key needs beside its name, else the browser itself does nothing with it."""


class Browser:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.problems: list[str] = []
        """Exceptions and errors in the page's log."""
        self.asked: list[str] = []
        """Every address that the page loaded."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=60))
            if said.get("id") == number:
                assert "error" not in said, said
                return dict(said["result"])
            self._note(said)

    def open(self, address: str, width_px: int = 1280, height_px: int = 800, *, phone: bool = False) -> None:
        """Load a page at a size."""
        self.size(width_px, height_px, phone=phone)
        self.value("(window.left = true)")
        self.call("Page.navigate", url=address)
        self.until("window.left === undefined && document.readyState !== 'loading'")  # no longer the page before

    def size(self, width_px: int, height_px: int, *, phone: bool = False) -> None:
        """Show the page at a size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, timeout_s: float = 40.0) -> None:
        """Wait until an expression is true."""
        end_s = time.monotonic() + timeout_s
        while not self.value(expression):
            assert time.monotonic() < end_s, (expression, self.value("JSON.stringify(window.state)"), self.problems)
            time.sleep(0.1)

    def click(self, x_px: float, y_px: float) -> None:
        """Press and release the left button."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x_px, y=y_px, button="left", clickCount=1)

    def drag(self, start: Sequence[float], end: Sequence[float], *, touch: bool = False) -> None:
        """Press somewhere, move in a few steps, release; with the left button, or a finger."""
        steps = [[a + (b - a) * k / 4 for a, b in zip(start, end, strict=True)] for k in range(5)]
        if touch:
            for kind, at in (("touchStart", steps[0]), *(("touchMove", step) for step in steps[1:])):
                self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": at[0], "y": at[1]}])
            self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind, (x, y) in (
            ("mousePressed", steps[0]),
            *(("mouseMoved", s) for s in steps[1:]),
            ("mouseReleased", end),
        ):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(kind != "mouseReleased"),
                clickCount=int(kind != "mouseMoved"),
            )  # fmt: skip

    def key(self, name: str, *, shift: bool = False) -> None:
        """Press and release a key, by its name in JavaScript; of Tab and Enter also what the browser itself does."""
        typed: dict[str, Any] = {"modifiers": 8 if shift else 0} | _TYPED.get(name, {})
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def press(self, label: str) -> None:
        """Press the button that says `label`, as soon as it is there and can be pressed."""
        find = f"[...document.querySelectorAll('button')].find(b => b.textContent === {json.dumps(label)})"
        self.until(f"{find}?.disabled === false")
        self.value(f"{find}.click()")

    def screenshot(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _note(self, said: dict[str, Any]) -> None:
        if said["method"] == "Runtime.exceptionThrown":
            self.problems.append(str(said["params"]["exceptionDetails"]))
        elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
            self.problems.append(said["params"]["entry"]["text"])
        elif said["method"] == "Network.requestWillBeSent":
            self.asked.append(said["params"]["request"]["url"])


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`."""
    assert EXECUTABLE is not None
    with subprocess.Popen([EXECUTABLE, *_FLAGS, f"--user-data-dir={folder}", "about:blank"], stderr=-3) as process:
        try:
            port = _port(folder / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                page = next(p for p in json.load(answer) if p["type"] == "page")
            with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Browser(socket)
        finally:
            process.kill()


@contextlib.contextmanager
def opened(live: LivePage, folder: Path) -> Iterator[Browser]:
    """A page in a browser, served; at the end nothing has gone wrong in it."""
    server = PageServer(live, port=0)
    server.start()
    try:
        with browser(folder) as shown:
            shown.open(server.address)
            yield shown
            assert shown.problems == []
            assert shown.value("state.error") is None
    finally:
        server.stop()


def _port(path: Path) -> int:
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(path.read_text().splitlines()[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not start")
