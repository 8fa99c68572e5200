"""The `edge` command."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import edge
from edge.commands import engines
from edge.commands.terminal import EXIT_FAILED, ConfigPath, console, err, errors_as_exit_codes, loaded, signals_end
from edge.errors import EdgeError
from edge.scene import TASKS

if TYPE_CHECKING:
    from edge.daemon.supervisor import Daemon

_PLAIN_TABLE_EVERY_S = 5.0

_HELP = """Continuous depth, room layout and lighting from cameras, published over MQTT.

\b
  edge check -c config.yaml         is everything there? what to do about what is not
  edge run -c config.yaml           serve until Ctrl-C or SIGTERM
  edge engines build                build what TensorRT runs on this device; list, verify, rollback, clean
  edge watch --host broker          what do devices publish?
  edge watch --json | jq .topic     one message a line
  edge schema --out schemas         what to build against: JSON Schemas and AsyncAPI

Every configuration key is explained in the config.yaml that is shipped. Exit codes: 0 well, 1 failed, 78 wrong
configuration.
"""

app = typer.Typer(
    name="edge",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(engines.app, name="engines")


@app.command(short_help="Run the daemon.")
def run(
    config: ConfigPath = Path("config.yaml"),
    for_s: Annotated[float | None, typer.Option("--for", min=1, help="Stop after so many seconds of serving.")] = None,
    show: Annotated[
        bool | None, typer.Option("--show/--quiet", help="Show what a subscriber gets; default: not under systemd.")
    ] = None,
) -> None:
    """Run the daemon until Ctrl-C or SIGTERM.

    With --for it stops by itself, prints last what was published, and exits 0 only if every camera's every task was.
    """
    ended = signals_end()
    from edge.daemon.supervisor import Daemon

    with errors_as_exit_codes():
        settings = loaded(config)
        try:
            daemon = Daemon(
                settings,
                on_progress=lambda text: err.print(text, style="dim", markup=False, highlight=False),
                stop=ended,
            )
        except EdgeError as e:
            if not ended.is_set():
                raise
            err.print(str(e), style="dim", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(0) from None  # it was told to end, and did
        try:
            daemon.start()
            visible = show if show is not None else "INVOCATION_ID" not in os.environ
            with _shown(daemon, for_s) if visible else _nothing():
                daemon.supervise(for_s)
        finally:
            tally = daemon.stop()
    n = tally.published
    counts = ", ".join(f"{task} {n[task]}" for task in ("depth", "layout", "lighting"))
    console.print(
        f"published: {counts}; dropped {tally.dropped}; errors {tally.errors}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if for_s is not None and tally.silent:
        missing = ", ".join(f"{camera}/{task}" for camera, task in tally.silent)
        err.print(
            f"nothing published for {missing}; see the errors above, or run `edge check`", style="red", markup=False
        )
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _shown(daemon: Daemon, for_s: float | None) -> Iterator[None]:
    """A real subscriber to the daemon's broker, shown as a live table (now and then where there is no terminal)."""
    from edge.subscribe.table import show, table
    from edge.subscribe.watcher import Watcher

    assert daemon.endpoint is not None
    device = daemon.config.device
    ending = threading.Event()
    if console.is_terminal:
        arguments = {"base": device.base_topic, "device": device.name, "stop": ending}
        thread = threading.Thread(
            target=show, args=(daemon.endpoint, console), kwargs=arguments, name="edge-show", daemon=True
        )
    else:
        watcher = Watcher(daemon.endpoint, base=device.base_topic, device=device.name)
        watcher.start()

        def print_now_and_then() -> None:
            while not ending.wait(_PLAIN_TABLE_EVERY_S):
                console.print(table(watcher.state))
            watcher.stop()

        thread = threading.Thread(target=print_now_and_then, name="edge-show", daemon=True)
    how = f"for {for_s:g} s" if for_s else "until Ctrl-C"
    err.print(f"serving {how}; subscribe at {daemon.endpoint}, topic {device.base_topic}/{device.name}/#", markup=False)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(5.0)


@app.command(short_help="Try every part for real; what to do about what fails.")
def check(config: ConfigPath = Path("config.yaml")) -> None:
    """Try configuration, engines (against their golden outputs), cameras and broker; exit 0 if all is well."""
    from rich.table import Table

    with errors_as_exit_codes():
        settings = loaded(config)
        from edge.commands.check import Finding
        from edge.commands.check import check as run_checks

        logging.getLogger("edge").setLevel(logging.CRITICAL)  # the table says it
        findings = [
            Finding(f"configuration {config}", True, f"{len(settings.cameras)} cameras"),
            *run_checks(settings, lambda text: err.print(text, style="dim", markup=False)),
        ]
    table = Table(show_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column, overflow="fold")
    for f in findings:
        table.add_row("[green]ok[/]" if f.passed else "[red]FAILED[/]", f.what, f.detail.replace("[", r"\["))
    console.print(table)
    if not all(f.passed for f in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command(short_help="Subscribe to a broker and show what comes.")
def watch(
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 1883,
    username: Annotated[str | None, typer.Option()] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Encrypt, and trust brokers signed by this authority (PEM).")] = None,
    base: Annotated[str, typer.Option(help="First level of the topics.")] = "edge",
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One message a line instead of a table.")] = False,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Subscribe to a broker and show what devices publish, live."""
    from edge.mqtt.link import Endpoint, TlsOptions
    from edge.subscribe.table import show

    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    stop = signals_end()
    with errors_as_exit_codes():
        if password_file is not None and not password_file.is_file():
            raise EdgeError(f"no file {password_file}; give --password-file the file that holds the broker's password")
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
        endpoint = Endpoint(host, port, username, password, TlsOptions(ca) if ca else None)
        view: Literal["json", "table", "lines"] = "json" if as_json else ("table" if console.is_terminal else "lines")
        state = show(endpoint, console, base=base, device=device, view=view, for_s=for_s, stop=stop)
        if not state.ever_connected:
            raise EdgeError(f"never connected: {state.connection_error or 'no answer yet'}")


@app.command(short_help="Print JSON Schemas and the AsyncAPI document.")
def schema(
    what: Annotated[str, typer.Argument(help="asyncapi, config, manifest, or a message such as depth.")] = "all",
    out: Annotated[Path | None, typer.Option(help="Write every document into this folder instead.")] = None,
) -> None:
    """Print JSON Schemas of messages, manifest and configuration, and the AsyncAPI 3.1 document."""
    from edge.config.sections import config_schema
    from edge.inference.manifest import Manifest
    from edge.mqtt.schemas import asyncapi, json_schemas

    documents: dict[str, dict[str, Any]] = {
        "asyncapi": asyncapi(),
        "config": config_schema(),
        "manifest": Manifest.model_json_schema(by_alias=True),
        **{str(kind): document for kind, document in json_schemas().items()},
    }
    if what != "all" and what not in documents:
        err.print(
            f"no schema {what!r}; there are: {', '.join(['all', *documents])} (a folder goes with --out)",
            style="red",
            markup=False,
        )
        raise typer.Exit(2)
    chosen = documents if what == "all" else {what: documents[what]}
    if out is None:
        print(json.dumps(documents if what == "all" else documents[what], indent=2))
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, document in chosen.items():
        suffix = ".json" if name == "asyncapi" else ".schema.json"
        (out / f"{name}{suffix}").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


@app.command(short_help="Measure the pipeline against its bare networks, or other networks beside ours.")
def bench(
    config: ConfigPath = Path("config.yaml"),
    seconds: Annotated[float, typer.Option(min=2, help="Measuring time.")] = 20.0,
    cameras: Annotated[
        int | None, typer.Option(min=1, max=64, help="So many replayed cameras instead of those configured.")
    ] = None,
    as_configured: Annotated[
        bool, typer.Option("--as-configured", help="Tasks at their configured cadences, not on every frame.")
    ] = False,
    against: Annotated[
        list[Path] | None, typer.Option(help="Time this ONNX beside ours instead, on one thread; repeatable.")
    ] = None,
    manifest: Annotated[
        list[Path] | None, typer.Option(help="What it takes and gives, in the same order; else manifest.json beside.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Ours to compare with; else the one of its task.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Measure the whole pipeline on the configured cameras against the bare engines, per stage, in one run.

    With --against, time other networks beside ours, interleaved on one thread; cameras and broker are not needed.
    """
    if against:
        _bench_against(config, against, manifest or [], engine, seconds, as_json)
        return
    if manifest or engine:
        raise typer.BadParameter("--manifest and --engine go with --against")
    with errors_as_exit_codes():
        settings = loaded(config)
        from edge.commands.bench import headline, measure, tables

        report = measure(
            settings,
            seconds=seconds,
            cameras=cameras,
            saturated=not as_configured,
            on_progress=lambda text: err.print(text, style="dim", markup=False),
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    console.print(headline(report), markup=False, highlight=False, soft_wrap=True)
    for table in tables(report):
        console.print(table)


def _bench_against(
    config: Path, against: list[Path], manifests: list[Path], engine: str | None, seconds: float, as_json: bool
) -> None:
    if manifests and len(manifests) != len(against):
        raise typer.BadParameter(
            f"{len(against)} --against and {len(manifests)} --manifest: give one for each, or none"
        )
    said: list[Path | None] = [*manifests] or [None] * len(against)
    from edge.commands.compare import compare, tables
    from edge.inference.store import ModelStore

    with errors_as_exit_codes():
        settings = loaded(config)
        report = compare(
            ModelStore(settings.inference.engines),
            list(zip(against, said, strict=True)),
            names={task: getattr(settings.tasks, task).engine for task in TASKS},
            engine=engine,
            seconds=seconds,
            on_progress=lambda text: err.print(text, style="dim", markup=False),
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
        return
    for table in tables(report):
        console.print(table)


@app.command()
def version() -> None:
    """Print the version."""
    print(edge.__version__)


def main() -> None:
    """Entry point of the `edge` command."""
    begun_s = time.monotonic()
    try:
        app()
    except KeyboardInterrupt:
        err.print(f"interrupted after {time.monotonic() - begun_s:.0f} s", style="dim")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
