"""Environments from Poly Haven (https://polyhaven.com, CC0) over its public API.

`GET assets?type=hdris` lists what there is, `GET files/<id>` where its files lie, with size and MD5. A file is
downloaded beside its place, gone on with after a break (HTTP Range), and put there only if its MD5 is right. It is
called `<kind>__<id>.<format>`, so that `place_of` finds its place; `SOURCES.csv` says where each came from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx

from edge.errors import DataError
from training.data.sets.hdr_files import ENDINGS

T = TypeVar("T")
Format = Literal["hdr", "exr"]
API = "https://api.polyhaven.com"
LICENCE = "CC0-1.0"
_KINDS = ("studio", "indoor", "outdoor")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]*$")
_LONGEST_WAIT_S = 60.0
_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True)
class Source:
    """A line of SOURCES.csv: a file of the folder and where it came from."""

    file: str
    id: str
    name: str
    authors: str
    categories: str
    licence: str
    url: str
    md5: str


class _Again(Exception):
    """Something that may be better next time; `lost`: the network, and not what it answered."""

    def __init__(self, reason: str, *, wait_s: float = 0.0, lost: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.lost = wait_s, lost


class _Unreachable(DataError):
    """The network is gone: nothing else can be fetched either."""


def _user_agent() -> str:
    try:
        number = version("edge-reconstruction")
    except PackageNotFoundError:
        number = "0"
    return f"edge-reconstruction/{number} (edge-train fetch polyhaven)"


def _checked(response: httpx.Response) -> httpx.Response:
    """The response, if it is what was asked for."""
    if response.status_code in _BUSY:
        after = response.headers.get("Retry-After", "")
        raise _Again(f"answered {response.status_code}", wait_s=float(after) if after.isdigit() else 0.0)
    if not response.is_success:
        raise DataError(f"{response.url} answered {response.status_code} {response.reason_phrase}")
    return response


def _translated(action: Callable[[], T]) -> T:
    """What `action` gives; httpx's own exceptions end here.

    Raises:
        _Again: the network failed.
        DataError: the request cannot succeed.
    """
    try:
        return action()
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as e:
        raise DataError(f"{e}; give --api an address like {API}") from e
    except httpx.TransportError as e:
        raise _Again(f"{type(e).__name__}: {e}", lost=True) from e
    except httpx.HTTPError as e:
        raise DataError(f"{type(e).__name__}: {e}") from e


class _Connection:
    """HTTP with patience."""

    def __init__(self, base_url: str, attempts: int, wait_s: float) -> None:
        self._client = httpx.Client(
            base_url=base_url, headers={"User-Agent": _user_agent()}, timeout=30.0, follow_redirects=True
        )
        self._base_url, self._attempts, self._wait_s = base_url, attempts, wait_s

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def _patiently(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives, tried again after waits that double.

        Raises:
            DataError: it was refused, or none of the attempts succeeded.
        """
        attempt = 1
        while True:
            try:
                return _translated(action)
            except _Again as problem:
                if attempt >= self._attempts:
                    raise self._given_up(what, problem) from problem
                wait_s = max(problem.wait_s, self._wait_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))
            time.sleep(min(wait_s, _LONGEST_WAIT_S))
            attempt += 1

    def _given_up(self, what: str, problem: _Again) -> DataError:
        if problem.lost:
            return _Unreachable(
                f"{what}: no connection to {self._base_url} or its files ({problem}); check the network and run the "
                "command again: it goes on where it stopped"
            )
        return DataError(f"{what}: {problem}, {self._attempts} times")

    def json(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path of the API.

        Raises:
            DataError: there is none.
        """

        def get() -> dict[str, Any]:
            response = _checked(self._client.get(path, params=params))
            try:
                content = response.json()
            except ValueError as e:
                raise _Again(f"{response.url} answered no JSON") from e
            if not isinstance(content, dict):
                raise DataError(f"{response.url} answered no JSON object; give the API of Poly Haven as --api")
            return content

        return self._patiently(path, get)

    def download(self, url: str, to: Path, md5: str) -> None:
        """The file at `url`, whole and right or not at all; what a break leaves beside it is gone on from.

        Raises:
            DataError: it was refused, or never came right.
        """
        part = to.with_name(f"{to.name}.part")

        def get() -> None:
            have = part.stat().st_size if part.exists() else 0
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            with self._client.stream("GET", url, headers=headers) as response:
                if not (have and response.status_code == 416):  # 416: nothing comes after what we have
                    _append(_checked(response), part)
            if _md5(part) != md5:
                part.unlink()
                raise _Again("its content is not what its MD5 says")
            part.replace(to)

        self._patiently(url, get)


def _append(response: httpx.Response, part: Path) -> None:
    """Write a response to a file: after what is there if it goes on from there, else from its start."""
    goes_on = response.status_code == 206
    with part.open("ab" if goes_on else "wb") as file:
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {file.tell()}-"):
            raise _Again("answered another range than was asked for")
        for piece in response.iter_bytes():
            file.write(piece)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _wanted(assets: Mapping[str, Any], categories: Sequence[str]) -> list[str]:
    """Ids of the environments that are in all of the categories, by name."""
    if not all(isinstance(asset, dict) for asset in assets.values()):
        raise DataError("the API's list of assets is not laid out as Poly Haven's; give its address as --api")
    known = {str(c) for asset in assets.values() for c in asset.get("categories", ())}
    unknown = [c for c in categories if c not in known]
    if unknown:
        raise DataError(f"--categories: there is no {unknown[0]!r}; use some of {', '.join(sorted(known))}")
    return sorted(
        key for key, asset in assets.items() if _ID.match(key) and set(categories) <= set(asset.get("categories", ()))
    )


def _source(key: str, asset: Mapping[str, Any], files: Mapping[str, Any], resolution: str, kind: Format) -> Source:
    """What to download for an environment.

    Raises:
        DataError: it is not offered at that resolution and format.
    """
    offered = files.get("hdri", {})
    try:
        file = offered[resolution][kind]
        url, md5 = str(file["url"]), str(file["md5"])
    except (KeyError, TypeError) as e:
        raise DataError(f"no {kind} of {resolution}; there is {', '.join(sorted(offered)) or 'nothing'}") from e
    categories = [str(c) for c in asset.get("categories", ())]
    group = next((k for k in _KINDS if k in categories), "other")
    return Source(
        file=f"{group}__{key}.{kind}",
        id=key,
        name=str(asset.get("name", key)),
        authors="; ".join(asset.get("authors", {})),
        categories="; ".join(categories),
        licence=LICENCE,
        url=url,
        md5=md5,
    )


def _written(path: Path) -> dict[str, Source]:
    """Sources by file name, as an earlier run wrote them."""
    if not path.is_file():
        return {}
    names = [f.name for f in fields(Source)]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(set(row) != set(names) for row in rows):
        raise DataError(f"{path}: not written by this command; give --out a folder of its own")
    return {row["file"]: Source(**row) for row in rows}


def _write(path: Path, sources: Mapping[str, Source]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(Source)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(sources[name]) for name in sorted(sources))
    fresh = path.with_name(f"{path.name}.part")
    fresh.write_text(text.getvalue(), encoding="utf-8")
    fresh.replace(path)


def _bring(connection: _Connection, source: Source, out: Path) -> None:
    to = out / source.file
    other = next((p for p in (to.with_suffix(e) for e in ENDINGS) if p != to and p.exists()), None)
    if other is not None:
        raise DataError(f"it is there as {other.name}; remove that, or give another --out")
    if not to.exists() or _md5(to) != source.md5:
        connection.download(source.url, to, source.md5)


def fetch(
    out: Path,
    *,
    categories: Sequence[str] = (),
    resolution: str = "1k",
    format: Format = "hdr",
    limit: int | None = None,
    base_url: str = API,
    attempts: int = 5,
    wait_s: float = 1.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Environments that are in all of the `categories`, by name; files that are there and right are kept.

    Args:
        out: folder for the files and SOURCES.csv.
        categories: Poly Haven's own, such as indoor, urban, night.
        resolution: 1k is 1024x512.
        format: hdr or exr.
        limit: at most so many.
        base_url: the API.
        attempts: how often a request is tried.
        wait_s: before the second attempt; doubles for each further one.
        progress: told how many of how many are there.

    Raises:
        DataError: the API cannot be reached or a file not be had; what is there stays, a later call goes on.
    """
    try:
        with _Connection(base_url, attempts, wait_s) as connection:
            assets = connection.json("/assets", {"type": "hdris"})
            wanted = {key: assets[key] for key in _wanted(assets, categories)[:limit]}
            return _fetched(connection, wanted, out, resolution, format, progress)
    except OSError as e:
        raise DataError(f"{out}: cannot be written ({e.strerror}); make room or give another --out") from e


def _fetched(
    connection: _Connection,
    wanted: Mapping[str, Any],
    out: Path,
    resolution: str,
    format: Format,
    progress: Callable[[int, int], None],
) -> list[Path]:
    """Bring each of the environments `wanted`; what cannot be had is told at the end."""
    out.mkdir(parents=True, exist_ok=True)
    table = out / "SOURCES.csv"
    sources, paths, failed = _written(table), [], []
    for done, (key, asset) in enumerate(wanted.items()):
        progress(done, len(wanted))
        try:
            source = _source(key, asset, connection.json(f"/files/{key}"), resolution, format)
            _bring(connection, source, out)
        except _Unreachable:
            raise
        except DataError as e:
            failed.append(f"{key}: {e}")
            continue
        sources[source.file] = source
        _write(table, sources)
        paths.append(out / source.file)
    progress(len(wanted), len(wanted))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(wanted)} environments could not be fetched; run the command again for them:\n"
            + "\n".join(failed)
        )
    return paths
