"""The `edge` command: mounts one file of edge/commands/ for each subcommand."""

from __future__ import annotations

from edge.commands import signals

signals.end_at_once()  # before anything that takes long to import

import time

import typer

import edge
from edge.commands import calibrate, engines, rig
from edge.commands.bench import bench
from edge.commands.cameras import cameras
from edge.commands.check import check
from edge.commands.diagnostics import diagnostics
from edge.commands.export import export
from edge.commands.fleet import app as fleet
from edge.commands.record import record
from edge.commands.report import report
from edge.commands.request import request
from edge.commands.review import review
from edge.commands.run import run
from edge.commands.schema import schema
from edge.commands.terminal import err
from edge.commands.view import view
from edge.commands.watch import watch

_HELP = """Continuous depth, room layout and lighting from cameras, published over MQTT.

\b
  edge check -c config.yaml         is everything there? what to do about what is not
  edge cameras --stills stills      which cameras are there? what to write into config.yaml
  edge run -c config.yaml           serve until Ctrl-C or SIGTERM
  edge rig check hall               do a rig's cameras meet? in which order do a cube's faces come?
  edge calibrate hall               how high and how tilted does a camera hang?
  edge engines build                build what TensorRT runs on this device; list, verify, rollback, clean
  edge watch --host broker          what do devices publish?
  edge view --host broker           the same as a web page: rooms one can turn, plans, depth, light
  edge request snapshot camera=hall ask a device; what for, and whether it may be: docs/requests.md
  edge watch --json | jq .topic     one message a line
  edge fleet --host broker          every device of a broker: state, version, engines; ask many at once
  edge review                       pictures that were put aside, to be corrected, learnt from, deleted
  edge record hall                  a camera carried through a room, kept privately to learn depth from
  edge report --host broker         what do its rooms lose? a page to print
  edge export room.glb plan.svg     the room a device published, for other programs; --picture: of one picture
  edge diagnostics edge.tar.gz      what to send to whoever helps, without secrets
  edge schema --out schemas         what to build against: JSON Schemas and AsyncAPI

Every configuration key is explained in the config.yaml that is shipped. Exit codes: 0 well, 1 failed, 69 what
it names is not there (yet), 78 it is wrong.
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
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(fleet, name="fleet")
app.add_typer(rig.app, name="rig")
app.command(short_help="Run the daemon.")(run)
app.command(short_help="Try every part for real; what to do about what fails.")(check)
app.command(short_help="Find cameras, try each, print what to configure.")(cameras)
app.command(short_help="Write a file to send to whoever helps, without secrets.")(diagnostics)
app.command(short_help="Subscribe to a broker and show what comes.")(watch)
app.command(short_help="Show what comes in a web page: rooms, plans, depth, light.")(view)
app.command(short_help="Ask a device for something.")(request)
app.command(short_help="Correct what was inferred of pictures that were put aside.")(review)
app.command(short_help="Keep a camera's walk through a room, to learn depth from.")(record)
app.command(short_help="Write the heat loss of a home as one page to print.")(report)
app.command(short_help="Write a room for other programs: 3-D, floor plan, sizes.")(export)
app.command(short_help="Print JSON Schemas and the AsyncAPI document.")(schema)
app.command(short_help="Measure the pipeline against its bare networks, or other networks beside ours.")(bench)


@app.command()
def version() -> None:
    """Print the version."""
    print(edge.__version__)


def main() -> None:
    """Entry point of the `edge` command."""
    signals.end_by_exception()
    begun_s = time.monotonic()
    try:
        app()
    except KeyboardInterrupt:
        err.print(f"interrupted after {time.monotonic() - begun_s:.0f} s", style="dim")
        raise SystemExit(130) from None
    except SystemExit as ended:
        if signals.serving() and not isinstance(ended.code, str):
            signals.leave(ended.code or 0)
        raise


if __name__ == "__main__":
    main()
