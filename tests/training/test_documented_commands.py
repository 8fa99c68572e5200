"""The pages' `edge-train` commands: its own parser takes each, and those that need no hours are run."""

from __future__ import annotations

import pytest
import typer

from tests.documentation.ledger import RUN, Run
from tests.documentation.pages import REPOSITORY
from tests.documentation.running import Place
from tests.documentation.test_commands import all_misunderstood, of_program
from training.__main__ import app


def test_edge_train_knows_what_the_pages_say() -> None:
    """It has each subcommand, option and kind of value."""
    assert len(of_program("edge-train")) > 40
    assert all_misunderstood(typer.main.get_command(app), "edge-train") == []


@pytest.fixture(scope="module")
def workstation(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An empty folder that has the recipes."""
    place = Place(tmp_path_factory.mktemp("workstation"))
    (place.folder / "training").symlink_to(REPOSITORY / "training")
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("command", "run"), [pytest.param(command, run, id=command) for command, run in RUN["of training"].items()]
)
def test_commands_of_training(workstation: Place, command: str, run: Run) -> None:
    """One after the other, on fewer and smaller pictures and for fewer steps: each leaves what the next one needs."""
    workstation.do(command, run, timeout_s=600)
