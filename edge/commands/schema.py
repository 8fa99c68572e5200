"""`edge schema`: what others build against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.commands.terminal import err


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
