"""Every command that a page tells anybody to type: run, or known by its program and listed with why it is not run."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import typer

from edge.__main__ import app
from edge.mqtt.verbs import VERBS
from tests.documentation.ledger import PARSED, RUN
from tests.documentation.pages import PAGES, REPOSITORY, Command, commands

refusals: Any = importlib.import_module(typer.BadParameter.__module__)
"""Click's exceptions, as the typer that is installed has them: newer ones bring a click of their own."""
ON_THE_WAY = ("sudo", "-u", "edge", "chrt", "-f", "40")
"""What may stand before the program itself."""
STANDS_FOR = {"N": "2", "M": "2", "COMMAND": "fit"}
"""What a reader puts in place of capitals, where not any text will do."""


def stripped(command: Command) -> list[str]:
    """The program and its arguments, without sudo, the folder it is in, and where its output goes."""
    words = command.words
    while words[0] in ON_THE_WAY and not (words[0] == "edge" and words[1:2] != ["edge"] and "/" not in words[1]):
        words.pop(0)
    end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&")), len(words))
    return [words[0].rpartition("/")[2] if words[0].endswith("bin/edge") else words[0], *words[1:end]]


def of_program(name: str) -> list[Command]:
    """Commands of one of our programs, each once."""
    return list({c.text: c for c in commands() if stripped(c)[0] == name}.values())


def option_names(program: Any) -> set[str]:
    """Its options as they are written."""
    return {name for parameter in program.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def misunderstood(program: Any, command: Command) -> str | None:
    """What the program's own parser has against a command, if anything.

    A sentence may name a command without all that it needs, but nothing that it does not know.
    """
    name, *words = [STANDS_FOR.get(word, word) for word in stripped(command)]
    context = None
    try:
        while hasattr(program, "commands"):
            context = program.make_context(name, words, parent=context)
            rest = [*context._protected_args, *context.args]
            if not rest:
                alone = command.inline or program.invoke_without_command
                return None if alone else f"{name} alone does nothing"
            name, program, words = program.resolve_command(context, rest)
    except refusals.NoArgsIsHelpError:
        return None if command.inline else f"{name} alone does nothing"
    except refusals.ClickException as e:
        return str(e.format_message())
    unknown = {w.split("=")[0] for w in words if w.startswith("--")} - option_names(program)
    if unknown:
        return f"unknown: {', '.join(sorted(unknown))}"
    try:
        program.make_context(name, words, parent=context)
    except (refusals.MissingParameter, refusals.BadOptionUsage) as e:
        return None if command.inline else str(e.format_message())
    except refusals.ClickException as e:
        return str(e.format_message())
    except typer.Exit:
        return None
    return None


def all_misunderstood(program: Any, name: str) -> list[str]:
    """Each command of a program that its parser does not take, with why."""
    found = [(c, misunderstood(program, c)) for c in of_program(name)]
    return [f"{command}: {why}" for command, why in found if why is not None]


def only_named(command: Command) -> bool:
    """Whether a sentence speaks of a command, or of an option of it, and not of a line to type."""
    words = stripped(command)[1:]
    at = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    named = all(re.fullmatch(r"[a-z-]+", word) for word in words[:at]) and all(w.startswith("-") for w in words[at:])
    return command.inline and named and at <= 2 and (len(words) == at or len(words) == at + 1)


def test_every_command_is_run_or_listed() -> None:
    """A command of a page is in the ledger, with how it is run or with why not; and nothing else is there."""
    programs = ("edge", "edge-train", "mosquitto_sub", "pip")
    told = {c.text for c in commands() if not (c.words[0] in programs and only_named(c))}
    run = {command for runs in RUN.values() for command in runs}
    parsed = [command for listed in PARSED.values() for command in listed]
    assert sorted(told - {*run, *parsed}) == [], "neither run nor listed"
    assert sorted({*run, *parsed} - {c.text for c in commands()}) == [], "no page has it any more"
    assert sorted({*run} & {*parsed}) == []
    assert len(parsed) == len(set(parsed))
    assert len(told) > 150


def test_edge_knows_what_the_pages_say() -> None:
    """`edge` has each subcommand, option and kind of value."""
    assert len(of_program("edge")) > 60
    assert all_misunderstood(typer.main.get_command(app), "edge") == []


def test_verbs_of_the_pages_are_taken() -> None:
    """Each request in a command names a verb and arguments that the verb has."""
    asked = [
        words[words.index("request") + 1 :]
        for c in of_program("edge")
        if "request" in (words := stripped(c))[1:] and "=" in c.text
    ]
    assert len(asked) > 4
    for verb, *arguments in [[w for w in words if not w.startswith("--")] for words in asked]:
        if verb in VERBS:
            names = {word.split("=")[0] for word in arguments if "=" in word}
            known = {field.alias or name for name, field in VERBS[verb].arguments.model_fields.items()}
            assert names <= known, (verb, arguments)
        else:
            raise AssertionError(f"no such verb: {verb}")


def test_make_knows_what_the_pages_say() -> None:
    """Each target is there and its recipe can be expanded (`make --dry-run`); each variable that is given is used."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    told = [stripped(c)[1:] for c in of_program("make")]
    assert len(told) > 12
    for words in told:
        for name in (word.split("=")[0] for word in words if "=" in word):
            assert re.search(rf"\$\({name}\)|\(if \$\({name}\)", makefile), f"nothing uses {name}"
    calls = [["make", "--dry-run", *(w for w in words if w != "…")] for words in told]
    failed = [
        call for call in calls if subprocess.run(call, cwd=REPOSITORY, capture_output=True, check=False).returncode
    ]
    assert failed == []


def options_in(page: str) -> Iterator[str]:
    """Options that a page names in backticks, alone or with a value."""
    text = re.sub(r"```.*?```", "", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for span in re.findall(r"`(--?[a-zA-Z][^`]*)`", text):
        yield from (word.split("=")[0] for word in span.split() if re.match(r"--[a-z]", word))


def every_option(command: Any) -> set[str]:
    """The options of a program and of all its commands."""
    found = option_names(command)
    for below in command.commands.values() if hasattr(command, "commands") else ():
        found |= every_option(below)
    return found


def test_every_option_named_alone_exists() -> None:
    """`--option` in a sentence is one of `edge`, of `edge-train` (as its sources have it), or of the installer."""
    known = every_option(typer.main.get_command(app)) | {"--ignorefile"}  # podman's
    sources = [*(REPOSITORY / "training" / "commands").glob("*.py"), *(REPOSITORY / "systemd").glob("*.sh")]
    elsewhere = "".join(path.read_text(encoding="utf-8") for path in sources)
    named = {(page, option) for page in PAGES for option in options_in(page)}
    assert len(named) > 40
    unknown = [
        f"{page}: {option}"
        for page, option in sorted(named)
        if option not in known
        and not re.search(rf"(?<![\w-]){option}(?![\w-])", elsewhere)
        and f"{option[2:].replace('-', '_')}:" not in elsewhere
    ]
    assert unknown == []
