"""A YAML file that knows the line of each of its keys, so that a mistake can be shown where it stands.

file = ConfigFile.read(path, Config)  # plain data in file.data
file.problems(error, Config)          # pydantic's complaints as ConfigErrors: line, dotted key, remedy
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from edge.config.mistakes import Detail, Key, explained, known_keys
from edge.errors import ConfigError, NotThereError, dotted

_DEEPEST = 50
_LARGEST_BYTES = 256 * 1024
_MOST_VALUES = 20_000
_MOST_PROBLEMS = 50
_LONGEST_VALUE = 3000
"""Longer numbers could not even be printed."""


@dataclass(frozen=True)
class ConfigFile:
    """A parsed file: its plain data, and the tree of nodes that remembers the lines."""

    path: Path
    data: Any
    root: yaml.Node
    duplicates: tuple[ConfigError, ...]

    @classmethod
    def read(cls, path: Path, model: type[BaseModel]) -> ConfigFile:
        """Parse a file that is for a `model`.

        Raises:
            NotThereError: it is missing, or may not be read.
            ConfigError: it is no file, too large, empty or not YAML, or expands to too much.
        """
        loader = _loader(_text(path), path)
        try:
            root = loader.get_single_node()
            if root is None:
                raise ConfigError("", "the file is empty", "Start from the config.yaml that is shipped", path=path)
            _measure(root, path)
            duplicates = tuple(_duplicates(root, path, known_keys(model)))
            return cls(path, loader.construct_document(root), root, duplicates)
        except yaml.YAMLError as error:
            raise _not_yaml(error, path) from error
        finally:
            loader.dispose()

    def problems(self, error: ValidationError, model: type[BaseModel]) -> list[ConfigError]:
        """Pydantic's complaints about a `model` in the words of the file's owner; secrets are not repeated."""
        details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
        return [self._problem(detail, model) for detail in details[:_MOST_PROBLEMS]]

    def _problem(self, detail: Detail, model: type[BaseModel]) -> ConfigError:
        location = (*detail["loc"], *detail.get("ctx", {}).get("key", ()))
        keys, line = self._locate(location)
        key, problem, remedy = explained(detail, model, location, keys)
        kind = NotThereError if detail["type"] == "edge_not_there" else ConfigError
        return kind(key, problem, remedy, path=self.path, line=line)

    def _locate(self, location: Sequence[Key]) -> tuple[tuple[Key, ...], int]:
        """Keys as they stand in the file (pydantic also names the variant of a union), and the deepest line reached."""
        node: yaml.Node | None = self.root
        line = self.root.start_mark.line
        keys: list[Key] = []
        for part in location:
            children = _children(node)
            if part not in children and part == _variant(node):
                continue
            keys.append(part)
            key_node, node = children.get(part, (None, None))
            line = key_node.start_mark.line if key_node else line
        return tuple(keys), line + 1


def _is_echo(detail: Detail) -> bool:
    """Whether a list is called too short only because the items in it were refused."""
    return bool(detail["type"] == "too_short" and detail["input"])


def _text(path: Path) -> str:
    """All of a regular file; nothing that would block, or fill the memory, is read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ConfigError("", "is no regular file", "Name a file with --config FILE", path=path)
            data = file.read(_LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        remedy = "Say which with --config FILE (the service has /etc/edge/config.yaml), or see that its disk is mounted"
        raise NotThereError("", "there is no such file", remedy, path=path) from error
    except IsADirectoryError as error:
        raise ConfigError("", "is a folder", "Name a file with --config FILE", path=path) from error
    except OSError as error:
        remedy = "Give the user that runs edge the right to read it, and see that its disk is well"
        raise NotThereError("", f"cannot be read ({error.strerror})", remedy, path=path) from error
    if len(data) > _LARGEST_BYTES:
        problem = f"is larger than {_LARGEST_BYTES // 1024} KiB"
        raise ConfigError("", problem, "Name a configuration file; this is something else", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("", f"is not UTF-8 text ({error.reason})", "Save it as UTF-8", path=path) from error


class _Loader(yaml.SafeLoader):
    """Ends early in what is too large or too deep, and says where a value stands that cannot be made."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self._path, self._nodes, self._depth = path, 0, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node with all below it; for deep files and long ones, PyYAML takes time that grows with their square."""
        self._nodes += 1
        if self._nodes > _MOST_VALUES:
            raise _too_many(self._path, self.line + 1)
        if self._depth > _DEEPEST:
            raise _too_deep(self._path)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value; PyYAML lets what `int` and the like raise through."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
            raise _ValueUnreadableError(None, None, "", node.start_mark) from error


class _ValueUnreadableError(yaml.constructor.ConstructorError):
    """A date, a number or the like that is none."""


def _loader(text: str, path: Path) -> yaml.SafeLoader:
    try:
        return _Loader(text, path)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"contains the unprintable character {error.character!r}"
        raise ConfigError("", problem, "Remove it", path=path, line=line) from error


def _too_deep(path: Path) -> ConfigError:
    problem = f"is nested too deeply (more than {_DEEPEST} levels)"
    return ConfigError("", problem, "Remove brackets, or the alias (*) that contains itself", path=path)


def _too_many(path: Path, line: int) -> ConfigError:
    problem = f"holds more than {_MOST_VALUES} values, with what its aliases (*) repeat"
    return ConfigError("", problem, "Remove what no camera needs", path=path, line=line)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """Keys and values of a mapping, items of a list."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _measure(root: yaml.Node, path: Path) -> None:
    """Refuse what aliases make of a small file, and values longer than any can be.

    Raises:
        ConfigError: too many values, too deep, or one too long.
    """
    sizes: dict[yaml.Node, int] = {}
    depths: dict[yaml.Node, int] = {}

    def measure(node: yaml.Node, above: int) -> None:
        if above > _DEEPEST:
            raise _too_deep(path)
        if node in sizes and above + depths[node] <= _DEEPEST:
            return
        if isinstance(node, yaml.ScalarNode) and len(node.value) > _LONGEST_VALUE:
            problem = f"holds a value of {len(node.value)} characters"
            raise ConfigError("", problem, "Remove it", path=path, line=node.start_mark.line + 1)
        children = _parts(node)
        for child in children:
            measure(child, above + 1)
        depths[node] = max((depths[child] + 1 for child in children), default=0)
        sizes[node] = 1 + sum(sizes[child] for child in children)
        if sizes[node] > _MOST_VALUES:
            raise _too_many(path, node.start_mark.line + 1)

    measure(root, 0)


def _not_yaml(error: yaml.YAMLError, path: Path) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else None
    if isinstance(error, _ValueUnreadableError):
        return ConfigError(
            "", "holds a value that cannot be read", "Put dates and the like in quotes", path=path, line=line
        )
    problem = re.sub(
        r"'[^'<][^']{2,}'", "'...'", getattr(error, "problem", None) or ""
    )  # an alias or tag may be a secret
    remedy = "Check the indentation, the colons and the quotes at and above this line"
    if "\\t" in problem or "tab" in problem:
        problem, remedy = "a tab is used for indentation", "Indent with spaces"
    elif "another document" in problem:
        problem, remedy = "a second document begins (---)", "Keep one document in the file"
    elif "..." in problem or "cannot start any token" in problem:
        remedy = "Put a value that begins with *, &, !, % or @ in quotes"
    return ConfigError("", f"is not YAML: {problem}", remedy, path=path, line=line)


def _children(node: yaml.Node | None) -> dict[Key, tuple[yaml.Node, yaml.Node]]:
    """Key or index -> (node that stands at its line, its value)."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if isinstance(node, yaml.SequenceNode):
        return {index: (item, item) for index, item in enumerate(node.value)}
    return {}


def _variant(node: yaml.Node | None) -> str | None:
    """What the mapping's own `type` key says: the tag that pydantic puts into the location."""
    value = _children(node).get("type", (None, None))[1]
    return value.value if isinstance(value, yaml.ScalarNode) else None


def _duplicates(
    node: yaml.Node, path: Path, known: frozenset[str], keys: tuple[Key, ...] = ()
) -> Iterator[ConfigError]:
    """Keys that stand twice in their section; one that is not `known` may be a secret."""
    first: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and key.value in first:
            problem = f"stands twice, first in line {first[key.value]}"
            shown = [k if isinstance(k, int) or k in known else "***" for k in (*keys, key.value)]
            yield ConfigError(dotted(shown), problem, "Keep one of the two", path=path, line=line)
        elif isinstance(key, yaml.ScalarNode):
            first[key.value] = line
    for child, (_, value) in _children(node).items():
        yield from _duplicates(value, path, known, (*keys, child))
