"""A YAML file that knows the line of each of its keys, so that a mistake can be shown where it stands.

file = ConfigFile.read(path)          # plain data in file.data
file.problems(error, schema)          # pydantic's complaints as ConfigErrors: line, dotted key, remedy
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from edge.errors import ConfigError

Key = str | int
Schema = Mapping[str, Any]
Detail = Mapping[str, Any]

_NESTING_LIMIT = 50


def dotted(keys: Sequence[Key]) -> str:
    """`cameras[0].source.path`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


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

    def problems(self, error: ValidationError, schema: Schema) -> list[ConfigError]:
        """Pydantic's complaints in the words of the file's owner; secrets are not repeated."""
        details = [detail for detail in error.errors(include_url=False) if not _is_echo(detail)]
        return [self._problem(detail, schema) for detail in details]

    def _problem(self, detail: Detail, schema: Schema) -> ConfigError:
        context = detail.get("ctx", {})
        keys, line = self._locate((*detail["loc"], *context.get("key", ())))
        where = _Place(_schema_at(schema, keys), _schema_at(schema, keys[:-1]), keys)
        if where.schema.get("writeOnly"):
            detail = {**detail, "input": "***"}
        problem, remedy = _EXPLANATIONS.get(detail["type"], _other)(detail, where)
        return ConfigError(dotted(keys), problem, remedy, path=self.path, line=line)

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


@dataclass(frozen=True)
class _Place:
    """Where a complaint points: the schema of the value and of the section around it."""

    schema: Schema
    section: Schema
    keys: tuple[Key, ...]

    @property
    def name(self) -> str:
        return str(self.keys[-1]) if self.keys else "the file"

    @property
    def sample(self) -> str:
        """`key: value` with an example or the default, as it would be written."""
        examples = self.schema.get("examples") or [self.schema.get("default"), *self.schema.get("enum", ())]
        value = next((value for value in examples if value not in (None, [], {})), None)
        if value is None and self.schema.get("type") == "array":
            return f"`{self.name}:` with an item in each line, indented, after `- `"
        if value is None:
            value = {"integer": 1, "number": 1.0, "boolean": True}.get(self.schema.get("type", "string"), "...")
        return f"`{self.name}: {value if isinstance(value, str) else json.dumps(value)}`"

    @property
    def meaning(self) -> str:
        description = self.schema.get("description", "")
        return f" ({description})" if description else ""


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


def _schema_at(schema: Schema, keys: Sequence[Key]) -> Schema:
    """The part of a JSON Schema that describes the value under `keys`; without content where there is none."""
    definitions = schema.get("$defs", {})
    here = _merged(schema, definitions)
    for key in keys:
        here = _merged(here.get("items", {}) if isinstance(key, int) else here["properties"].get(key, {}), definitions)
    return here


def _merged(schema: Schema, definitions: Schema) -> Schema:
    """A schema and its alternatives as one: all their properties, their choices, and what is said of the whole."""
    merged: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    choices: list[Any] = []
    for variant in _variants(schema, definitions):
        merged = {**variant, **merged}
        properties |= variant.get("properties", {})
        choices += variant.get("enum", [])
    return {**merged, **schema, "properties": properties, "enum": choices}


def _variants(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    """A schema with its reference followed and its alternatives one by one, without null."""
    if "$ref" in schema:
        yield from _variants(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    for alternative in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if alternative.get("type") != "null":
            yield from _variants(alternative, definitions)
    if not {"$ref", "anyOf", "oneOf"} & set(schema):
        yield schema


def _nearest(word: object, known: Sequence[object]) -> str | None:
    matches = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.6)
    return matches[0] if matches else None


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def _unknown_key(_: Detail, where: _Place) -> tuple[str, str]:
    known = list(where.section.get("properties", {}))
    nearest = _nearest(where.name, known)
    return "unknown key", f"Did you mean `{nearest}`?" if nearest else f"Known here: {_listed(known)}"


def _missing(_: Detail, where: _Place) -> tuple[str, str]:
    return "is required and missing", f"Add {where.sample}{where.meaning}"


def _not_a_choice(detail: Detail, where: _Place) -> tuple[str, str]:
    choices = where.schema.get("enum") or [where.schema.get("const", detail["ctx"].get("expected"))]
    nearest = _nearest(detail["input"], choices)
    remedy = f"Did you mean `{nearest}`?" if nearest else f"Choose one of {_listed(choices)}"
    return f"{detail['input']!r} is not one of {_listed(choices)}", remedy


def _no_variant(_: Detail, where: _Place) -> tuple[str, str]:
    return "does not say its type", f"Add `type: ...`{where.meaning}"


def _wrong_variant(detail: Detail, where: _Place) -> tuple[str, str]:
    tags = [tag.strip("' ") for tag in detail["ctx"]["expected_tags"].split(",")]
    nearest = _nearest(detail["ctx"]["tag"], tags)
    remedy = f"Did you mean `type: {nearest}`?" if nearest else f"Choose one of {_listed(tags)}"
    return f"type {detail['ctx']['tag']!r} is not known", remedy


def _not_a_section(detail: Detail, where: _Place) -> tuple[str, str]:
    known = _listed(list(where.schema.get("properties", {})))
    if detail["input"] is None:
        return "is empty", f"Write its keys below it, or remove it to take the defaults. Known: {known}"
    return f"must be a section of keys, not {_seen(detail['input'])}", f"Write keys below it, indented. Known: {known}"


def _empty_list(_: Detail, where: _Place) -> tuple[str, str]:
    return "is empty", f"List at least one{where.meaning}"


def _not_a_key(_: Detail, where: _Place) -> tuple[str, str]:
    return "a key must be text", f"Known here: {_listed(list(where.section.get('properties', {})))}"


def _own(detail: Detail, _: _Place) -> tuple[str, str]:
    return detail["ctx"]["problem"], detail["ctx"]["remedy"]


def _wrong_text(detail: Detail, where: _Place) -> tuple[str, str]:
    form = f"Write it like {where.sample}{where.meaning}"
    if where.schema.get("pattern", "").startswith("^[A-Za-z0-9][A-Za-z0-9_-]*"):
        form = "Use letters, digits, _ and -, beginning with a letter or digit"
    return f"{detail['input']!r} is not of the right form", form


def _wrong_type(detail: Detail, where: _Place) -> tuple[str, str]:
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}
    wanted = words.get(where.schema.get("type", "string"), "text")
    quotes = " (in quotes if it looks like something else)" if wanted == "text" else ""
    return f"must be {wanted}, not {_seen(detail['input'])}", f"Write it like {where.sample}{where.meaning}{quotes}"


def _other(detail: Detail, where: _Place) -> tuple[str, str]:
    """A value of the right type that a limit refuses; pydantic's sentence names the limit."""
    if detail["type"].endswith("_type") or detail["type"] == "int_from_float":
        return _wrong_type(detail, where)
    limit = detail["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{detail['input']!r} {limit}", f"Write it like {where.sample}{where.meaning}"


def _seen(value: object) -> str:
    """What stands in the file, in words."""
    words = {dict: "a section of keys", list: "a list", type(None): "nothing"}
    return words.get(type(value)) or (
        f"the text {value!r}" if isinstance(value, str) else f"{json.dumps(value, default=str)}"
    )


_EXPLANATIONS: dict[str, Callable[[Detail, _Place], tuple[str, str]]] = {
    "edge": _own,
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "invalid_key": _not_a_key,
    "too_short": _empty_list,
    "literal_error": _not_a_choice,
    "union_tag_not_found": _no_variant,
    "union_tag_invalid": _wrong_variant,
    "model_type": _not_a_section,
    "model_attributes_type": _not_a_section,
    "dict_type": _not_a_section,
    "string_pattern_mismatch": _wrong_text,
}
