"""Fetching from Poly Haven, against a real HTTP server that answers as its API does."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.data.sets.hdr_files import environment_files, read
from training.data.sets.polyhaven import fetch


def _picture(seed: int) -> bytes:
    radiance = np.random.default_rng(seed).uniform(0, 9, (32, 64, 3)).astype(np.float32)
    done, packed = cv2.imencode(".hdr", radiance)
    assert done
    return bytes(packed)


class PolyHaven(ThreadingHTTPServer):
    """Three environments, offered as the API does; `faults` say what goes wrong with the next requests of a path."""

    daemon_threads = True
    categories = {"a_room": ["indoor", "night"], "b_field": ["outdoor", "night"], "c_studio": ["studio", "indoor"]}

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = {key: _picture(i) for i, key in enumerate(self.categories)}
        self.faults: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str | None, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def assets(self) -> dict[str, Any]:
        return {
            key: {
                "name": key.replace("_", " ").title(),
                "type": 0,
                "categories": categories,
                "tags": ["x"],
                "authors": {"Ann Author": "All"},
                "max_resolution": [16384, 8192],
            }
            for key, categories in self.categories.items()
        }

    def files(self, key: str) -> dict[str, Any]:
        file = {
            "url": f"{self.url}/dl/{key}_1k.hdr",
            "size": len(self.content[key]),
            "md5": hashlib.md5(self.content[key]).hexdigest(),
        }
        return {"hdri": {"1k": {"hdr": file}, "2k": {"exr": file}}, "tonemapped": {"url": "x", "size": 1, "md5": "x"}}


class _Handler(BaseHTTPRequestHandler):
    server: PolyHaven
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.requests.append((self.path, self.headers.get("Range"), self.headers.get("User-Agent", "")))
        fault = self.server.faults.get(path, [])
        self._answer(path, fault.pop(0) if fault else "")

    def _answer(self, path: str, fault: str) -> None:
        if fault in ("404", "429", "503"):
            self._send(int(fault), b"no")
        elif path == "/assets":
            self._send(200, b"<html>" if fault == "html" else json.dumps(self.server.assets()).encode())
        elif path.startswith("/files/"):
            self._send(200, json.dumps(self.server.files(path.removeprefix("/files/"))).encode())
        else:
            self._file(self.server.content[path.removeprefix("/dl/").removesuffix("_1k.hdr")], fault)

    def _file(self, content: bytes, fault: str) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and fault != "no range" else 0
        if fault == "wrong":
            content = bytes(len(content))
        if start >= len(content):
            self._send(416, b"")
            return
        extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._send(206 if start else 200, content[start:], extra, cut=fault == "cut")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[PolyHaven]:
    """A running server."""
    with PolyHaven() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _fetch(server: PolyHaven, out: Path, **options: Any) -> list[str]:
    return [p.name for p in fetch(out, base_url=server.url, wait_s=0.001, **options)]


def _downloads(server: PolyHaven) -> list[str | None]:
    return [wanted for path, wanted, _ in server.requests if path.startswith("/dl/")]


def test_a_folder_that_training_reads_with_its_sources(server: PolyHaven, tmp_path: Path) -> None:
    """Files named by kind and place, exactly as served, and a line each in SOURCES.csv; nothing else is left."""
    out = tmp_path / "hdri"
    names = _fetch(server, out)
    assert names == ["indoor__a_room.hdr", "outdoor__b_field.hdr", "studio__c_studio.hdr"]
    assert sorted(p.name for p in out.iterdir()) == ["SOURCES.csv", *names]
    assert [e.scene for e in read(out)] == list(server.content)
    assert [p.read_bytes() for p in environment_files(out)] == list(server.content.values())
    lines = (out / "SOURCES.csv").read_text().splitlines()
    assert lines[0] == "file,id,name,authors,categories,licence,url,md5"
    md5 = hashlib.md5(server.content["a_room"]).hexdigest()
    url = f"{server.url}/dl/a_room_1k.hdr"
    assert lines[1] == f"indoor__a_room.hdr,a_room,A Room,Ann Author,indoor; night,CC0-1.0,{url},{md5}"
    assert all(agent.startswith("edge-reconstruction/") for _, _, agent in server.requests)
    assert server.requests[0][0] == "/assets?type=hdris"


def test_categories_all_apply_and_the_limit_counts(server: PolyHaven, tmp_path: Path) -> None:
    """Two categories are those in both; a category that is none is refused with those that are."""
    assert _fetch(server, tmp_path, categories=("indoor", "night")) == ["indoor__a_room.hdr"]
    assert len(_fetch(server, tmp_path, limit=2)) == 2
    assert len((tmp_path / "SOURCES.csv").read_text().splitlines()) == 3
    with pytest.raises(DataError, match=r"no 'nigth'.*indoor, night, outdoor, studio"):
        _fetch(server, tmp_path, categories=("nigth",))


def test_what_is_there_is_not_fetched_again_unless_it_is_wrong(server: PolyHaven, tmp_path: Path) -> None:
    """A second call downloads nothing; a file that changed is replaced."""
    _fetch(server, tmp_path)
    _fetch(server, tmp_path)
    assert len(_downloads(server)) == 3
    (tmp_path / "outdoor__b_field.hdr").write_bytes(b"edited")
    _fetch(server, tmp_path)
    assert len(_downloads(server)) == 4
    assert (tmp_path / "outdoor__b_field.hdr").read_bytes() == server.content["b_field"]


def test_a_broken_transfer_goes_on_where_it_stopped(server: PolyHaven, tmp_path: Path) -> None:
    """The server drops the connection twice: the rest alone is asked for, and the whole is right."""
    server.faults["/dl/a_room_1k.hdr"] = ["cut", "cut"]
    _fetch(server, tmp_path, limit=1)
    size = len(server.content["a_room"])
    first = size // 2
    second = first + (size - first) // 2
    assert _downloads(server) == [None, f"bytes={first}-", f"bytes={second}-"]
    assert (tmp_path / "indoor__a_room.hdr").read_bytes() == server.content["a_room"]


def test_an_interrupted_run_goes_on_and_a_server_without_ranges_starts_over(server: PolyHaven, tmp_path: Path) -> None:
    """What an earlier run left is used, also if it was all there is; an answer from the start replaces it."""
    whole = server.content["a_room"]
    for left, faults, asked in (
        (whole[:100], [], ["bytes=100-"]),
        (whole, [], [f"bytes={len(whole)}-"]),
        (whole[:100], ["no range"], ["bytes=100-"]),
        (b"something else", [], ["bytes=14-", None]),
    ):
        for path in tmp_path.iterdir():
            path.unlink()
        server.requests.clear()
        (tmp_path / "indoor__a_room.hdr.part").write_bytes(left)
        server.faults["/dl/a_room_1k.hdr"] = list(faults)
        _fetch(server, tmp_path, limit=1)
        assert _downloads(server) == asked
        assert (tmp_path / "indoor__a_room.hdr").read_bytes() == whole


def test_a_wrong_checksum_is_tried_again_and_never_kept(server: PolyHaven, tmp_path: Path) -> None:
    """Once wrong is fetched anew from the start; always wrong is refused, and the others are there all the same."""
    server.faults["/dl/a_room_1k.hdr"] = ["wrong"]
    _fetch(server, tmp_path, limit=1)
    assert (tmp_path / "indoor__a_room.hdr").read_bytes() == server.content["a_room"]
    server.faults["/dl/b_field_1k.hdr"] = ["wrong"] * 9
    with pytest.raises(
        DataError, match=r"1 of 3 environments.*run the command again.*\n.*b_field: .*MD5 says, 3 times"
    ):
        _fetch(server, tmp_path, attempts=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["SOURCES.csv", "indoor__a_room.hdr", "studio__c_studio.hdr"]


def test_a_busy_server_is_waited_for_and_a_missing_file_is_told(server: PolyHaven, tmp_path: Path) -> None:
    """503 and 429 are tried again, 404 is not; it does not keep the others from coming."""
    server.faults = {"/assets": ["503", "html"], "/files/a_room": ["429"], "/dl/b_field_1k.hdr": ["404"]}
    with pytest.raises(DataError, match=r"b_field: .*b_field_1k\.hdr answered 404"):
        _fetch(server, tmp_path)
    assert sum(path == "/dl/b_field_1k.hdr" for path, _, _ in server.requests) == 1
    assert len(environment_files(tmp_path)) == 2
    server.faults = {"/assets": ["503"] * 9}
    with pytest.raises(DataError, match="/assets: answered 503, 2 times"):
        _fetch(server, tmp_path, attempts=2)


def test_what_is_not_offered_is_told_with_what_is(server: PolyHaven, tmp_path: Path) -> None:
    """Another resolution or format, and an environment that is there in the other format."""
    with pytest.raises(DataError, match=r"a_room: no hdr of 64k; there is 1k, 2k"):
        _fetch(server, tmp_path, resolution="64k")
    assert _fetch(server, tmp_path, resolution="2k", format="exr", limit=1) == ["indoor__a_room.exr"]
    with pytest.raises(DataError, match=r"it is there as indoor__a_room\.exr; remove that"):
        _fetch(server, tmp_path, limit=1)


def test_a_machine_without_network_says_so(tmp_path: Path) -> None:
    """Nobody listens: the address, what to do, and nothing written."""
    with PolyHaven() as closed:
        url = closed.url
    with pytest.raises(DataError, match=rf"no connection to {url}.*check the network and run the command again"):
        fetch(tmp_path / "out", base_url=url, attempts=2, wait_s=0.001)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="give --api an address like https"):
        fetch(tmp_path / "out", base_url="polyhaven", attempts=2, wait_s=0.001)


def test_the_network_going_away_ends_the_run_with_what_is_there_kept(server: PolyHaven, tmp_path: Path) -> None:
    """No further environment is tried; the next run completes the folder."""
    server.faults["/dl/b_field_1k.hdr"] = ["cut"] * 2
    with pytest.raises(DataError, match="it goes on where it stopped"):
        _fetch(server, tmp_path, attempts=2)
    assert not any("c_studio" in path for path, _, _ in server.requests)
    assert [p.name for p in environment_files(tmp_path)] == ["indoor__a_room.hdr"]
    assert len(_fetch(server, tmp_path)) == 3


def test_the_command_fetches_as_a_person_runs_it(server: PolyHaven, tmp_path: Path) -> None:
    """`edge-train fetch polyhaven` fills a folder; what goes wrong is one message and exit code 1."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "training", "fetch", "polyhaven", "--out", str(tmp_path), *options]
        root = Path(__file__).parents[4]
        return subprocess.run(call, capture_output=True, text=True, timeout=60, cwd=root, check=False)

    done = run("--api", server.url, "--categories", "indoor", "--limit", "1")
    assert done.returncode == 0, done.stderr
    assert "indoor__a_room.hdr" in done.stdout
    assert (tmp_path / "SOURCES.csv").is_file()
    done = run("--api", server.url, "--categories", "moon")
    assert done.returncode == 1
    assert "no 'moon'" in done.stderr
    assert "Traceback" not in done.stderr
