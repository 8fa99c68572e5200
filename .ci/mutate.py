"""Change the code one operator, number or statement at a time and see whether the tests notice.

The changes (mutants) are cosmic-ray's. They are made in a copy of the tree, never in the tree itself. Which are tried
depends on their file, line and operator alone: two runs try the same ones, and an edit elsewhere changes nothing.
Each mutant's tests run in a fork of one process that has loaded the heavy libraries already.
`tests/mutation.yaml` says what is tried with which tests, and which mutants may survive and why.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
import parso.python.tree
import yaml
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "tests" / "mutation.yaml"
COPIED = ("edge", "training", "tests")
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
SETS = ("BitOr", "BitAnd", "BitXor")
ORDER = ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")
IDENTITY = ("Is", "IsNot")
QUIET = ("-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
TAKEN = ("-m", "not slow and not gpu and not faults")
STARS = ("parameters", "param", "argument", "star_expr", "typedargslist")
"""Where `*` is no product."""
SHORTEST_LIMIT_S = 20.0


class DeleteStatement(Operator):
    """`pass` in place of a call or of an assignment to a part of something."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """See `Operator`."""
        if node.type == "simple_stmt" and self._acts(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    @staticmethod
    def _acts(statement: Any) -> bool:
        if statement.type == "expr_stmt":
            target, operator = statement.children[:2]
            return target.type == "atom_expr" or operator.type == "operator" and operator.value != "="
        return statement.type == "atom_expr"

    def mutate(self, node: Any, index: int) -> Any:
        """See `Operator`."""
        leaf = node.get_first_leaf()
        node.children[0] = parso.python.tree.Keyword("pass", leaf.start_pos, leaf.prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """See `Operator`."""
        return ()


def _meaningful(name: str) -> bool:
    """Whether an operator gives more than an error of types, which any test would notice."""
    kind, _, rest = name.rpartition("/")[2].partition("_")
    before, _, after = rest.partition("_")
    if kind in ("ReplaceBinaryOperator", "ReplaceComparisonOperator"):
        return any(before in group and after in group for group in (ARITHMETIC, SETS, ORDER, IDENTITY))
    return not (kind.startswith("Variable") or "Invert" in rest)


def operators() -> dict[str, Operator]:
    """Every way of changing code that is tried, by name."""
    names = [name for name in cosmic_ray.plugins.operator_names() if _meaningful(name)]
    found = {name.rpartition("/")[2]: cosmic_ray.plugins.get_operator(name)() for name in names}
    return found | {"DeleteStatement": DeleteStatement()}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    operator: str
    occurrence: int
    line: int
    order: str
    """Mutants are tried in this order: as good as random, but always the same."""


@dataclass
class Tally:
    """What became of a module's mutants."""

    tried: int = 0
    killed: int = 0
    too_long: int = 0
    """Of the killed: those whose tests did not end within the limit."""
    unexplained: int = 0


def _annotations(source: str) -> set[tuple[int, int]]:
    """(line, column) of all that stands in an annotation, which nothing evaluates."""
    found: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            if (part := getattr(node, name, None)) is not None:
                for line in range(part.lineno, part.end_lineno + 1):
                    first = part.col_offset if line == part.lineno else 0
                    last = part.end_col_offset if line == part.end_lineno else 999
                    found |= {(line, column) for column in range(first, last + 1)}
    return found


def mutants(file: str, ways: dict[str, Operator]) -> list[Mutant]:
    """All of a file's, in their order."""
    source = (ROOT / file).read_text(encoding="utf-8")
    lines, annotations = source.splitlines(), _annotations(source)
    nodes = list(ast_nodes(get_ast(source)))
    found, seen = [], Counter[tuple[str, str, int]]()
    for name, way in ways.items():
        positions = ((node, start) for node in nodes for start, _ in way.mutation_positions(node))
        for occurrence, (node, (line, column)) in enumerate(positions):
            if (line, column) in annotations or (node.type == "operator" and node.parent.type in STARS):
                continue
            key = (name, lines[line - 1].strip(), column)
            seen[key] += 1
            order = hashlib.sha256(repr((file, *key, seen[key])).encode()).hexdigest()
            found.append(Mutant(file, name, occurrence, line, order))
    return sorted(found, key=lambda mutant: mutant.order)


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree that may be changed; what no mutant touches is linked to."""
    folder = Path(tempfile.mkdtemp(prefix="edge-mutate-"))
    try:
        for path in ROOT.iterdir():
            if path.name in COPIED:
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif not path.name.startswith(".") or path.name == ".ci":
                (folder / path.name).symlink_to(path)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Profile:
    """A plugin of pytest: hypothesis tries the same examples every time and looks for no shortest one that fails."""

    @staticmethod
    def pytest_configure() -> None:
        """Called by pytest when plugins are loaded."""
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile(
            "mutate", derandomize=True, database=None, deadline=None, phases=phases, max_examples=30
        )
        settings.load_profile("mutate")


def _become_pytest(folder: Path, tests: list[str], log: Path) -> None:
    """In the fork: run the tests and end with pytest's answer."""
    status = 3
    try:
        os.setsid()
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)
        pytest = importlib.import_module("pytest")
        status = int(pytest.main([*QUIET, *TAKEN, *tests], [_Profile()]))
    except Exception:  # noqa: BLE001 - a fork must end here whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def passes(folder: Path, tests: list[str], limit_s: float, log: Path) -> bool | None:
    """Whether the tests pass in the copy; None if they did not end within the limit."""
    child = os.fork()
    if child == 0:
        _become_pytest(folder, tests, log)
    deadline_s = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() > deadline_s:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and whatever the tests have left behind
    if not ended:
        os.waitpid(child, 0)
        return None
    return os.waitstatus_to_exitcode(status) == 0


def changed(source: str, way: Operator, occurrence: int) -> str | None:
    """The source with one change; None if it is none, or one that cosmic-ray cannot make (`*NAME` among exceptions)."""
    try:
        after = mutate_code(source, way, occurrence)
    except AttributeError:
        return None
    return None if after == source else after


def _without_blanks(line: str) -> str:
    """As lines are compared: cosmic-ray leaves odd ones."""
    return "".join(line.split())


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    """The first line that differs, before and after."""
    for a, b in zip(before.splitlines(), after.splitlines(), strict=False):
        if a != b:
            return a.strip(), b.strip()
    return "", ""


def explained(mutant: Mutant, before: str, after: str, known: list[dict[str, Any]]) -> bool:
    """Say what survived, and whether somebody said why it may."""
    here = [e for e in known if e["file"] == mutant.file and e["line"] == before]
    same = [e for e in here if _without_blanks(after) in map(_without_blanks, e["becomes"])]
    why = same[0]["because"] if same else "NOT NOTICED BY ANY TEST"
    print(f"  {mutant.file}:{mutant.line}: {mutant.operator}: {why}\n    - {before}\n    + {after}", flush=True)
    return bool(same)


def try_module(
    name: str, tests: list[str], known: list[dict[str, Any]], count: int, ways: dict[str, Operator], folder: Path
) -> Tally:
    """Try a module's mutants against its tests; `known`: survivors that are accepted."""
    where = ROOT / name
    files = [where] if where.is_file() else sorted(p for p in where.glob("*.py") if p.name != "__init__.py")
    log, tally = folder / "pytest.log", Tally()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    begun_s = time.monotonic()
    if not passes(folder, tests, 600.0, log):
        sys.exit(f"{name}: its tests fail as the code is:\n{log.read_text(errors='replace')[-3000:]}")
    limit_s = max(SHORTEST_LIMIT_S, 5 * (time.monotonic() - begun_s))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a change within the same second would not be seen in a cached file
    found = sorted((m for file in files for m in mutants(str(file.relative_to(ROOT)), ways)), key=lambda m: m.order)
    for mutant in found:
        if tally.tried == count:
            break
        target = folder / mutant.file
        source = target.read_text(encoding="utf-8")
        mutated = changed(source, ways[mutant.operator], mutant.occurrence)
        if mutated is None:
            continue
        for cached in target.parent.glob(f"__pycache__/{target.stem}.*"):
            cached.unlink()
        target.write_text(mutated, encoding="utf-8")
        alive = passes(folder, tests, limit_s, log)
        target.write_text(source, encoding="utf-8")
        tally.tried += 1
        tally.killed += not alive
        tally.too_long += alive is None
        if alive:
            tally.unexplained += not explained(mutant, *_changed_lines(source, mutated), known)
    share = tally.killed / max(tally.tried, 1)
    long = f", {tally.too_long} of them after {limit_s:.0f} s" if tally.too_long else ""
    print(f"{name}: {tally.tried} of {len(found)} tried, {tally.killed} killed ({share:.0%}){long}", flush=True)
    return tally


def read_rules() -> dict[str, Any]:
    """What tests/mutation.yaml says; a survivor whose line is gone is a mistake."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for entry in rules["survivors"]:
        lines = (ROOT / entry["file"]).read_text(encoding="utf-8").splitlines()
        if entry["line"] not in [line.strip() for line in lines]:
            sys.exit(f"{RULES}: {entry['file']} has no line {entry['line']!r} any more; correct or remove the entry")
    return rules


def main() -> None:
    """Try the modules that the command line names, or all."""
    rules = read_rules()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(rules['modules'])}; default: all")
    parser.add_argument("--sample", type=int, default=rules["sample"], help="mutants to try of each; 0 = all")
    chosen = parser.parse_args()
    if unknown := set(chosen.modules) - set(rules["modules"]):
        parser.error(f"{RULES.name} has no rules for {', '.join(sorted(unknown))}")
    os.nice(10)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for library in rules["preload"]:
        importlib.import_module(library)
    ways, fine, total = operators(), True, Tally()
    for name in chosen.modules or rules["modules"]:
        with copied() as folder:
            tests, known = rules["modules"][name]["tests"], rules["survivors"]
            tally = try_module(name, tests, known, chosen.sample or -1, ways, folder)
        fine &= tally.killed >= rules["least_killed"] * tally.tried and not tally.unexplained
        total.tried, total.killed = total.tried + tally.tried, total.killed + tally.killed
    print(f"all: {total.tried} tried, {total.killed} killed ({total.killed / max(total.tried, 1):.0%})")
    least = f"{rules['least_killed']:.0%}"
    sys.exit(
        0 if fine else f"of each module {least} must be killed, and a survivor needs a test, or a reason in {RULES}"
    )


if __name__ == "__main__":
    main()
