"""One code path for every supported TensorRT: only identifiers that all of their Python bindings have.

Which those are is data, read from the bindings themselves: `tensorrt_identifiers.json` says how.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[3]
INFERENCE = REPOSITORY / "edge" / "inference" / "trt"
LISTS: dict[str, set[str]] = {
    name: set(value["names"])
    for name, value in json.loads((HERE / "tensorrt_identifiers.json").read_text(encoding="utf-8")).items()
    if name != "source"
}
COMMON = LISTS["common"] | LISTS["common_short"]
NOT_EVERYWHERE = LISTS["guarded"] | LISTS["rtx_only"]
PYTHONS = {"__name__", "__version__", "__init__", "__members__", "items", "values", "strerror", "filename"}
"""Attributes of modules, enumerations and of errors (`e` is also what a parser's error is called)."""
TENSORRT_OBJECTS = {
    "backend.py": {"trt", "engine", "context", "self._engine", "self._runtime", "self._context"},
    "builder.py": {"trt", "builder", "network", "parser", "config", "profile", "cache", "tensor", "e"},
}
"""Expressions that hold what TensorRT gave."""
SPEAKERS = sorted(TENSORRT_OBJECTS)


def used(tree: ast.AST, objects: set[str]) -> Iterator[ast.Attribute]:
    """Every attribute taken of a TensorRT object, or of an attribute of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            source = ast.unparse(node.value)
            if source in objects or source.startswith("trt."):
                yield node


def asked_for(tree: ast.AST) -> set[str]:
    """Names that `hasattr`, or `getattr` with a default, asks for; beside a comparison with RTX, all of RTX's."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and "tensorrt_rtx" in {getattr(c, "value", "") for c in node.comparators}:
            names |= LISTS["rtx_only"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            asks = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
            if asks and isinstance(node.args[1], ast.Constant):
                names.add(str(node.args[1].value))
    return names


def parsed(file: str) -> ast.Module:
    """The syntax tree of a file that speaks TensorRT."""
    return ast.parse((INFERENCE / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", SPEAKERS)
def test_every_identifier_is_in_every_binding(file: str) -> None:
    """Each attribute of a TensorRT object is common to all, or is asked for with `hasattr` before."""
    tree = parsed(file)
    names = {node.attr for node in used(tree, TENSORRT_OBJECTS[file])} - PYTHONS
    assert len(names) >= 10, "nothing found: are the expressions in TENSORRT_OBJECTS still the ones used?"
    unknown = names - COMMON - NOT_EVERYWHERE
    assert unknown == set(), "not known to be in all bindings; look them up there and add them to the list"
    beyond = (names & NOT_EVERYWHERE) - asked_for(tree)
    assert beyond == set(), "not in every binding; ask with hasattr first"


@pytest.mark.parametrize("file", SPEAKERS)
def test_no_object_of_tensorrt_is_overlooked(file: str) -> None:
    """What only TensorRT has is taken of no other expression than those that are looked at."""
    tree = parsed(file)
    seen = set(map(id, used(tree, TENSORRT_OBJECTS[file])))
    telling = {name for name in COMMON | NOT_EVERYWHERE if len(name) > 12 and "_" in name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in telling:
            assert id(node) in seen, f"{ast.unparse(node)}: add {ast.unparse(node.value)!r} to TENSORRT_OBJECTS"


def test_nothing_that_tensorrt_removed_is_used() -> None:
    """Neither in code nor in words: strongly typed networks need none of it."""
    gone = LISTS["removed"] | LISTS["removed_documented"] | LISTS["removed_before"]
    flags = "|".join(sorted(LISTS["removed_builder_flags"]))
    pattern = re.compile(rf"\b(?:{'|'.join(sorted(gone))}|BuilderFlag\.(?:{flags}))\b")
    for package in ("edge", "training"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found and found.group()} is gone from TensorRT 11"


def test_the_lists_do_not_contradict_each_other() -> None:
    """What is common is not removed, and nothing is in two lists."""
    lists = [names for name, names in LISTS.items() if name != "removed_builder_flags"]
    assert sum(map(len, lists)) == len(set().union(*lists))


def test_common_identifiers_are_in_the_bindings_at_hand() -> None:
    """In an installed TensorRT every common identifier exists, and a guarded one is no attribute of nothing."""
    for name in ("tensorrt", "tensorrt_rtx_bindings"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        there = set(dir(module)).union(*(dir(getattr(module, name)) for name in dir(module)))
        assert there >= COMMON
        return
    pytest.skip("no TensorRT is installed")
