"""A YAML file that knows the line of each of its keys, so that a mistake can be shown where it stands.

file = ConfigFile.read(path)          # plain data in file.data
file.problems(error, Config)          # pydantic's complaints as ConfigErrors: line, dotted key, remedy
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from edge.cameras.address import without_addresses
from edge.config.mistakes import Detail, Key, problem_and_remedy
from edge.errors import ConfigError, dotted

_NESTING_LIMIT = 50


@dataclass(frozen=True)
class ConfigFile:
    """A parsed file: its plain data, and the tree of nodes that remembers the lines."""

    path: Path
    data: Any
    root: yaml.Node
    duplicates: tuple[ConfigError, ...]

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Parse a file.

        Raises:
            ConfigError: it is missing, unreadable, empty or not YAML.
        """
        loader = _loader(_text(path), path)
        try:
            root = loader.get_single_node()
            if root is None:
                raise ConfigError("", "the file is empty", "Start from the config.yaml that is shipped", path=path)
            duplicates = tuple(_duplicates(root, path))
            return cls(path, loader.construct_document(root), root, duplicates)
        except yaml.YAMLError as error:
            raise _not_yaml(error, path) from error
        except ValueError as error:
            problem = f"holds a value that cannot be read ({error})"
            raise ConfigError("", problem, "Put dates and the like in quotes", path=path) from error
        except RecursionError as error:
            raise ConfigError(
                "", "is nested too deeply", "Remove the alias (*) that contains itself", path=path
            ) from error
        finally:
            loader.dispose()

    def problems(self, error: ValidationError, model: type[BaseModel]) -> list[ConfigError]:
        """Pydantic's complaints about a `model` in the words of the file's owner; secrets are not repeated."""
        details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
        return [self._problem(detail, model) for detail in details]

    def _problem(self, detail: Detail, model: type[BaseModel]) -> ConfigError:
        location = (*detail["loc"], *detail.get("ctx", {}).get("key", ()))
        keys, line = self._locate(location)
        name = str(keys[-1]) if keys else "the file"
        problem, remedy = problem_and_remedy(detail, model, location, name)
        return ConfigError(without_addresses(dotted(keys)), problem, remedy, path=self.path, line=line)

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
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("", "there is no such file", "Say which with --config FILE", path=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("", f"is not UTF-8 text ({error.reason})", "Save it as UTF-8", path=path) from error
    except OSError as error:
        remedy = "Name a file that this user may read"
        raise ConfigError("", f"cannot be read ({error.strerror})", remedy, path=path) from error


def _loader(text: str, path: Path) -> yaml.SafeLoader:
    try:
        return yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"contains the unprintable character {error.character!r}"
        raise ConfigError("", problem, "Remove it", path=path, line=line) from error


def _not_yaml(error: yaml.YAMLError, path: Path) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    remedy = "Check the indentation, the colons and the quotes at and above this line"
    if "\\t" in problem or "tab" in problem:
        problem, remedy = "a tab is used for indentation", "Indent with spaces"
    elif "another document" in problem:
        problem, remedy = "a second document begins (---)", "Keep one document in the file"
    return ConfigError("", f"is not YAML: {problem}", remedy, path=path, line=mark.line + 1 if mark else None)


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


def _duplicates(node: yaml.Node, path: Path, keys: tuple[Key, ...] = ()) -> Iterator[ConfigError]:
    if len(keys) > _NESTING_LIMIT:
        raise RecursionError
    first: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and key.value in first:
            problem = f"stands twice, first in line {first[key.value]}"
            yield ConfigError(dotted((*keys, key.value)), problem, "Keep one of the two", path=path, line=line)
        elif isinstance(key, yaml.ScalarNode):
            first[key.value] = line
    for child, (_, value) in _children(node).items():
        yield from _duplicates(value, path, (*keys, child))
