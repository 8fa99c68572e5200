"""`edge request`: ask a device for something, and print what it answers."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.commands import broker
from edge.commands.log import log_to_stderr
from edge.commands.terminal import EXIT_FAILED, EXIT_NOT_THERE, ConfigPath, console, err, errors_as_exit_codes
from edge.errors import EdgeError

_LONGEST = 200
_LATER_S = 3.0
"""How much longer than the device may take an answer is waited for."""


def request(
    verb: Annotated[
        str, typer.Argument(help="What for: ping, info, health, snapshot, set, reload, restart-camera, ...")
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="KEY=VALUE; the value as in JSON, text as it is.")
    ] = None,
    config: ConfigPath = Path("config.yaml"),
    device: Annotated[
        str | None, typer.Option(help="Another device on that broker; default: the configuration's.")
    ] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option("--timeout", min=0.1, help="Wait so many seconds; default: what the device may take."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the picture of a snapshot to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")] = False,
) -> None:
    """Ask a device for something over the configured broker, and print what it answers.

    Such as `edge request ping`, `edge request snapshot camera=hall --picture hall.jpg`, `edge request set camera=hall
    task=depth every_s=2`; null instead of a number is as configured again.

    Exit codes: 0 done, 1 refused or failed, 69 no answer. `requests.allow` of the device says what may be asked for.
    """
    from edge.config.sections import load_config
    from edge.mqtt.topics import Topics
    from edge.subscribe.ask import NoAnswerError, ask

    log_to_stderr("WARNING", "%(message)s")
    with errors_as_exit_codes():
        settings = load_config(config)
        values, wait_s = parsed(verb, arguments or []), timeout_s or patience_s(verb)
        topics = Topics(device or settings.device.name, settings.device.base_topic)
        try:
            answer = ask(broker.configured(settings), topics, verb, values, timeout_s=wait_s)
        except NoAnswerError as error:
            err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(EXIT_NOT_THERE) from None
        if answer.status == "ok" and picture is not None:
            _write_picture(answer.data, picture)
    if as_json:
        print(answer.model_dump_json(indent=2))
    elif answer.status == "ok":
        _show(answer.data)
    else:
        err.print(str(answer.error), style="red", markup=False, highlight=False, soft_wrap=True)
    if answer.status != "ok":
        raise typer.Exit(EXIT_FAILED)


def parsed(verb: str, arguments: list[str]) -> dict[str, Any]:
    """The arguments as JSON has them."""
    from edge.mqtt.verbs import VERBS

    fields = VERBS[verb].arguments.model_fields if verb in VERBS else {}
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not (key and equals):
            raise EdgeError(f"{argument!r} is no KEY=VALUE; write for example camera=hall")
        try:
            values[key] = text if key in fields and fields[key].annotation is str else json.loads(text)
        except ValueError:
            values[key] = text
    return values


def patience_s(verb: str) -> float:
    """How long an answer is worth waiting for."""
    from edge.mqtt.verbs import VERBS

    return (VERBS[verb].within_s if verb in VERBS else 0.0) + _LATER_S


def _write_picture(data: dict[str, Any], path: Path) -> None:
    try:
        path.write_bytes(base64.b64decode(data["picture"]["data"], validate=True))
    except (KeyError, TypeError, binascii.Error):
        raise EdgeError("the answer has no picture; ask for a snapshot, and not with picture=false") from None
    except OSError as error:
        raise EdgeError(f"{path}: cannot be written ({error.strerror}); choose another file") from error


def _show(data: dict[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(_shortened(data), sort_keys=False, allow_unicode=True) if data else "done"
    console.print(text.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)


def _shortened(value: Any) -> Any:
    """Without what no person reads: long texts and long lists of numbers."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:40]}... ({len(value)} characters)"
    if isinstance(value, list):
        if len(value) > 12 and not any(isinstance(item, dict) for item in value):
            return f"({len(value)} values)"
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return value
