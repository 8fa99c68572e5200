"""`edge fleet`: every device of a broker, and one request to many of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.request import parsed, patience_s
from edge.commands.terminal import EXIT_FAILED, EXIT_NOT_THERE, console, err, errors_as_exit_codes
from edge.errors import EdgeError, plain

if TYPE_CHECKING:
    from edge.mqtt.endpoint import Endpoint
    from edge.subscribe.fleet import Answer, Device, Filter, Fleet

_HELP = """Every device of a broker, from what it retains: state, version, engines, what is degraded, last seen.

\b
  edge fleet --host broker                                     all of them
  edge fleet --host broker --degraded --json                   those that complain, for programs
  edge fleet --host broker --device 'north-*' request reload   ask each of these, and gather the answers
  edge fleet --host broker --version '0.2*' request ping

Filters choose the devices; a request that changes something needs one, or --all. Exit codes of a request: 0 all did it,
1 one refused or failed, 69 none failed but one did not answer, or there is none.
"""

app = typer.Typer(help=_HELP, short_help="Every device of a broker; ask many at once.", rich_markup_mode=None)

_STYLES = {"online": "green", "offline": "red", "unknown": "yellow"}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


@dataclass(frozen=True)
class _Chosen:
    """What the options before the subcommand say."""

    endpoint: Endpoint
    base: str
    filter: Filter
    any_filter: bool
    as_json: bool


AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@app.callback(invoke_without_command=True)
def fleet(
    context: typer.Context,
    host: broker.Host = "127.0.0.1",
    port: broker.Port = 1883,
    username: broker.Username = None,
    password_file: broker.PasswordFile = None,
    ca: broker.Authority = None,
    base: broker.Base = "edge",
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Only those of that name or pattern; may be repeated.")
    ] = None,
    state: Annotated[Literal["online", "offline"] | None, typer.Option(help="Only those.")] = None,
    version: Annotated[str | None, typer.Option(help="Only those of that version or pattern.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Only those that serve this model: NAME, or NAME@ and the sha256's beginning.")
    ] = None,
    degraded: Annotated[
        bool | None, typer.Option("--degraded/--well", help="Only those that complain, or do not.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices."""
    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        from edge.subscribe.fleet import Filter, Fleet

        wanted = Filter(tuple(device or ()), state, version, engine, degraded)
        endpoint = broker.endpoint_at(host, port, username, password_file, ca)
        chosen = context.obj = _Chosen(endpoint, base, wanted, wanted != Filter(), as_json)
        if context.invoked_subcommand is not None:
            return
        with Fleet.connected(endpoint, base) as connected:
            found = _devices(connected, chosen)
    if as_json:
        print(json.dumps([_as_dict(d) for d in found], indent=2))
        return
    console.print(_table(found, datetime.now(timezone.utc)))


def _devices(connected: Fleet, chosen: _Chosen) -> list[Device]:
    """Those that the filters take.

    Raises:
        PublishError: the broker does not tell.
    """
    return [device for device in connected.devices() if chosen.filter.takes(device)]


def _as_dict(device: Device) -> dict[str, Any]:
    seen = device.last_seen
    return asdict(device) | {"last_seen": None if seen is None else seen.isoformat()}


def _table(devices: list[Device], now: datetime) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, caption=_counts(devices), caption_justify="left")
    for column in ("device", "state", "last seen", "version", "cameras", "engines", "degraded"):
        table.add_column(column, overflow="fold", justify="right" if column == "cameras" else "left")
    for d in devices:
        engines = dict.fromkeys(f"{e.name}@{e.sha256[:8]} {e.backend}" for e in d.engines)
        cells = ((d.name,), (d.state,), (_ago(d.last_seen, now),), (d.version or "?",), (str(d.cameras),))
        row = [Text("\n".join(map(plain, lines))) for lines in (*cells, engines, d.degraded)]
        row[1].stylize(_STYLES[d.state])
        row[-1].stylize("yellow")
        table.add_row(*row)
    return table


def _counts(devices: list[Device]) -> str:
    online = sum(d.state == "online" for d in devices)
    return f"{len(devices)} devices, {online} online, {sum(bool(d.degraded) for d in devices)} degraded"


def _ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in its largest unit."""
    if at is None:
        return "never"
    s = max(0.0, (now - at).total_seconds())
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if s >= 2 * unit_s:
            return f"{s / unit_s:.0f} {unit} ago"
    return f"{s:.0f} s ago"


@app.command(short_help="Ask each of them, and gather the answers.")
def request(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="What for: ping, health, reload, set, engine/build, ...")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="KEY=VALUE; the value as in JSON, text as it is.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All devices, also with what changes something.")] = False,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0.1, help="Wait so many seconds; default: what one may take.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a request to every chosen device, and print what each answers.

    Such as `edge fleet --device 'north-*' request set camera=hall task=depth every_s=2`. Those that are
    offline are told and not asked.
    """
    chosen: _Chosen = context.obj
    with errors_as_exit_codes():
        from edge.mqtt.verbs import READ_ONLY
        from edge.subscribe.fleet import Fleet

        if verb not in READ_ONLY and not (chosen.any_filter or everyone):
            raise EdgeError(f"{verb} would go to every device; choose some, such as --device 'north-*', or say --all")
        values, wait_s = parsed(verb, arguments or []), timeout_s or patience_s(verb)
        with Fleet.connected(chosen.endpoint, chosen.base) as connected:
            found = _devices(connected, chosen)
            online = [d.name for d in found if d.state == "online"]
            answers = connected.ask(online, verb, values, timeout_s=wait_s)
    silent = {d.name: "offline" if d.state != "online" else "no answer" for d in found if d.name not in answers}
    if as_json or chosen.as_json:
        told = {name: asdict(answer) for name, answer in answers.items()}
        print(json.dumps(told | {n: {"status": "silent", "error": why} for n, why in silent.items()}, indent=2))
    else:
        _print_answers(answers, silent)
    failed = [name for name, answer in answers.items() if answer.status != "ok"]
    did = len(answers) - len(failed)
    err.print(f"{did} did it, {len(failed)} refused or failed, {len(silent)} silent", style="dim")
    if failed:
        raise typer.Exit(EXIT_FAILED)
    if silent or not found:
        raise typer.Exit(EXIT_NOT_THERE)


def _print_answers(answers: dict[str, Answer], silent: dict[str, str]) -> None:
    """A line a device: what most say alike is not repeated in full."""
    lines = {name: answer.error or "done" for name, answer in answers.items()} | silent
    for name in sorted(lines):
        console.print(plain(f"{name}: {lines[name]}"), markup=False, highlight=False, soft_wrap=True)
