"""What pydantic finds wrong in config.yaml, in the words of the file's owner: the problem and the remedy.

What a key takes, its example and its meaning come from the field that describes it in the model. Secrets are not
repeated: neither values of secret keys, nor what stands where a section or a list should, and of an address no more
than scheme, host and port.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge.cameras.address import HIDDEN, without_addresses
from edge.config.values import is_secret
from edge.errors import dotted

Key = str | int
Detail = Mapping[str, Any]

_NAME = re.compile(r"[A-Za-z_][A-Za-z_-]{0,39}")
_LONGEST_SHOWN = 100


def explained(
    detail: Detail, model: type[BaseModel], location: Sequence[Key], keys: Sequence[Key]
) -> tuple[str, str, str]:
    """Where something is wrong, what, and what to do about it.

    Args:
        detail: pydantic's own description of one error.
        model: what the whole file was checked against.
        location: pydantic's path to the culprit, with the variants of unions that it passes.
        keys: the path to the culprit as it stands in the file.
    """
    where = _place(model, location, str(keys[-1]) if keys else "the file")
    if where.secret:
        detail = {**detail, "input": HIDDEN}
    problem, remedy = _EXPLANATIONS.get(detail["type"], _other)(detail, where)
    key = dotted(shown_keys(keys, detail, where.siblings))
    return without_addresses(key), without_addresses(problem), remedy  # which has examples, and nothing of the file


def known_keys(model: type[BaseModel]) -> frozenset[str]:
    """Every key of the model and of all sections below it."""
    below = (s for field in model.model_fields.values() for s in _sections(tuple(_innermost(field.annotation))))
    return frozenset(model.model_fields).union(*map(known_keys, below))


def shown_keys(keys: Sequence[Key], detail: Detail, siblings: Sequence[str]) -> list[Key]:
    """The keys, but not one that may be a secret that slipped there, as behind a comma in a password.

    A key that nothing knows is shown if it is nearly one of its siblings, or is a name that was given a value.
    """
    *above, last = keys or ("",)
    slipped = detail["type"] == "invalid_key"
    if detail["type"] == "extra_forbidden":
        named = detail["input"] is not None and _NAME.fullmatch(str(last)) is not None
        slipped = not named and _nearest(last, siblings) is None
    return [*above, HIDDEN] if slipped else list(keys)


@dataclass(frozen=True)
class _Place:
    """Where a complaint points: the value, and the section around it."""

    name: str
    field: FieldInfo | None
    """What describes the value; None where nothing does: unknown keys, items of a list, the whole file."""
    types: tuple[Any, ...]
    """What the value may be, but for null."""
    siblings: tuple[str, ...]
    """The keys known in the section around it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys known in the value itself, if it may be a section."""
        return _keys(self.types)

    @property
    def choices(self) -> tuple[Any, ...]:
        return tuple(c for t in self.types if typing.get_origin(t) is typing.Literal for c in typing.get_args(t))

    @property
    def secret(self) -> bool:
        return is_secret(self.field, *self.types)

    @property
    def sample(self) -> str:
        """`key: value` with an example or the default, as it would be written."""
        default, examples = None, None
        if self.field is not None:
            default, examples = self.field.default, self.field.examples
        likely = [*(examples or (default, *self.choices)), *(_SAMPLES[t] for t in self.types if t in _SAMPLES)]
        value = next((v for v in likely if isinstance(v, str | int | float) and v != ""), None)
        if value is None and _is_list(self.types):
            return f"`{self.name}:` with an item in each line, indented, after `- `"
        return f"`{self.name}: {value if isinstance(value, str) else '...' if value is None else json.dumps(value)}`"

    @property
    def meaning(self) -> str:
        return f" ({self.field.description})" if self.field is not None and self.field.description else ""


_SAMPLES: dict[Any, Any] = {int: 1, float: 1.0, bool: True}


def _place(model: type[BaseModel], location: Sequence[Key], name: str) -> _Place:
    """Follow pydantic's location through the models; `name` is the last key as it stands in the file."""
    field: FieldInfo | None = None
    here: tuple[Any, ...] = (model,)
    siblings: tuple[str, ...] = ()
    for part in location:
        variant = tuple(t for t in _sections(here) if _tag(t) == part)
        if variant and part not in _keys(here):
            here = variant  # pydantic names the variant of a union, which is no key
            continue
        siblings = _keys(here)
        if isinstance(part, int):
            field = None
            here = tuple(t for parent in here if _is_list((parent,)) for t in _members(typing.get_args(parent)[0]))
        else:
            field = next((t.model_fields[part] for t in _sections(here) if part in t.model_fields), None)
            here = () if field is None else tuple(_members(field.annotation))
    return _Place(name, field, here, siblings)


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, but for null."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for alternative in typing.get_args(annotation):
            yield from _members(alternative)
    elif annotation is not type(None):
        yield annotation


def _innermost(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, and those of the items of its lists."""
    for member in _members(annotation):
        if typing.get_origin(member) is tuple:
            yield from _innermost(typing.get_args(member)[0])
        else:
            yield member


def _sections(alternatives: Sequence[Any]) -> list[type[BaseModel]]:
    return [t for t in alternatives if isinstance(t, type) and issubclass(t, BaseModel)]


def _keys(alternatives: Sequence[Any]) -> tuple[str, ...]:
    """Every key of every section among the alternatives, once each."""
    return tuple(dict.fromkeys(key for section in _sections(alternatives) for key in section.model_fields))


def _tag(section: type[BaseModel]) -> str | None:
    """What tells the section from its alternatives: the one value that its `type` may have."""
    field = section.model_fields.get("type")
    return None if field is None else typing.get_args(field.annotation)[0]


def _is_list(alternatives: Sequence[Any]) -> bool:
    return any(typing.get_origin(t) is tuple for t in alternatives)


def _nearest(word: object, known: Sequence[object]) -> str | None:
    matches = difflib.get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.6)
    return matches[0] if matches else None


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def _unknown_key(_: Detail, where: _Place) -> tuple[str, str]:
    nearest = _nearest(where.name, where.siblings)
    return "unknown key", f"Did you mean `{nearest}`?" if nearest else f"Known here: {_listed(where.siblings)}"


def _missing(_: Detail, where: _Place) -> tuple[str, str]:
    return "is required and missing", f"Add {where.sample}{where.meaning}"


def _not_a_choice(detail: Detail, where: _Place) -> tuple[str, str]:
    choices = _listed(where.choices)
    nearest = _nearest(detail["input"], where.choices)
    remedy = f"Did you mean `{nearest}`?" if nearest else f"Choose one of {choices}"
    return f"{_quoted(detail['input'])} is not one of {choices}", remedy


def _no_variant(_: Detail, where: _Place) -> tuple[str, str]:
    return "does not say its type", f"Add `type: ...`{where.meaning}"


def _wrong_variant(detail: Detail, where: _Place) -> tuple[str, str]:
    tags = [tag for tag in map(_tag, _sections(where.types)) if tag is not None]
    nearest = _nearest(detail["ctx"]["tag"], tags)
    remedy = f"Did you mean `type: {nearest}`?" if nearest else f"Choose one of {_listed(tags)}"
    return f"type {detail['ctx']['tag']!r} is not known", remedy


def _not_a_section(detail: Detail, where: _Place) -> tuple[str, str]:
    known = _listed(where.keys)
    if detail["input"] is None:
        return "is empty", f"Write its keys below it, or remove it to take the defaults. Known: {known}"
    kind = _kind(detail["input"])
    return f"must be a section of keys, not {kind}", f"Write keys below it, indented. Known: {known}"


def _not_a_list(detail: Detail, where: _Place) -> tuple[str, str]:
    return f"must be a list, not {_kind(detail['input'])}", f"Write it like {where.sample}{where.meaning}"


def _empty_list(_: Detail, where: _Place) -> tuple[str, str]:
    return "is empty", f"List at least one{where.meaning}"


def _not_a_key(_: Detail, where: _Place) -> tuple[str, str]:
    return "a key must be text", f"Known here: {_listed(where.siblings)}"


def _own(detail: Detail, _: _Place) -> tuple[str, str]:
    return detail["ctx"]["problem"], detail["ctx"]["remedy"]


def _wrong_text(detail: Detail, where: _Place) -> tuple[str, str]:
    form = f"Write it like {where.sample}{where.meaning}"
    if detail["ctx"]["pattern"].startswith("^[A-Za-z0-9][A-Za-z0-9_-]*"):
        form = "Use letters, digits, _ and -, beginning with a letter or digit"
    return f"{_quoted(detail['input'])} is not of the right form", form


def _wrong_type(wanted: str) -> Callable[[Detail, _Place], tuple[str, str]]:
    quotes = " (in quotes if it looks like something else)" if wanted == "text" else ""

    def wrong_type(detail: Detail, where: _Place) -> tuple[str, str]:
        remedy = f"Write it like {where.sample}{where.meaning}{quotes}"
        text = "the text " if isinstance(detail["input"], str) else ""
        return f"must be {wanted}, not {text}{_quoted(detail['input'])}", remedy

    return wrong_type


def _other(detail: Detail, where: _Place) -> tuple[str, str]:
    """A value of the right type that a limit refuses; pydantic's sentence names the limit."""
    limit = detail["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{_quoted(detail['input'])} {limit}", f"Write it like {where.sample}{where.meaning}"


def _kind(value: object) -> str:
    """What stands where a section or a list should, without repeating it: it may hold a password."""
    words = {dict: "a section of keys", list: "a list", type(None): "nothing", str: "a text", bool: "true or false"}
    return words.get(type(value), "a number")


def _quoted(value: object) -> str:
    """The number or text that stands in the file, or what stands there instead."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return _kind(value)
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."


_EXPLANATIONS: dict[str, Callable[[Detail, _Place], tuple[str, str]]] = {
    "edge": _own,
    "edge_not_there": _own,
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
    "list_type": _not_a_list,
    "tuple_type": _not_a_list,
    "string_pattern_mismatch": _wrong_text,
    "string_type": _wrong_type("text"),
    "is_instance_of": _wrong_type("text"),
    "int_type": _wrong_type("a whole number"),
    "int_from_float": _wrong_type("a whole number"),
    "float_type": _wrong_type("a number"),
    "bool_type": _wrong_type("true or false"),
}
