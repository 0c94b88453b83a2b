# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The keys of a mapping of the inventory, each declared once: how the plan reads it, and what an editor may expect there.

A subclass of ``Keys`` is a mapping, each attribute one of its keys:

    class MountKeys(Keys):
        source = text(required=True, pattern=PATH)
        read_only = boolean(True)

``MountKeys.read_only.read(fields)`` is the typed value, ``MountKeys.schema()`` the mapping as JSON Schema (draft 7, which editors know).
What an editor accepts is never less than what the plan reads; it may be more, since a schema cannot tell all that can be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Generic, TypeVar

from .findings import ADDRESS, Fields, Report, Size

Value = TypeVar("Value")
#: A part of a JSON Schema.
Schema = Mapping[str, Any]

#: A value that Ansible makes of a template can be of any type.
TEMPLATE: Schema = {"type": "string", "pattern": r"\{[{%]"}
ANYTHING: Schema = {}
MAPPING: Schema = {"type": "object"}
TEXT: Schema = {"type": ["string", "number"]}
SECRET: Schema = {"type": "string"}
_SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?(GiB|MiB)\s*$"
SIZE: Schema = {"type": "string", "pattern": _SIZE_PATTERN}
#: A size, or a fraction of what there is.
SHARE: Schema = {
    "anyOf": [
        SIZE,
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*(0?\.[0-9]+|0\.[0-9]+|1(\.0+)?)\s*$"},
    ]
}
#: YAML 1.2, as editors read it, has no other words for them than true and false; Ansible's YAML has.
BOOLEAN: Schema = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "string", "pattern": r"^\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])\s*$"},
    ]
}


class Key(Generic[Value]):
    """One key: its reader, and the JSON Schema of what may be written there. Its name is that of the attribute."""

    name: str

    def __init__(
        self,
        reader: Callable[[Fields, str], Value],
        schema: Schema,
        *,
        required: bool = False,
        hide: Callable[[Any], Any] | None = None,
    ) -> None:
        self._reader = reader
        self.schema = schema
        self.required = required
        #: What a plan sees of a value that may be a secret, or has some in it.
        self.hide = hide

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def read(self, fields: Fields) -> Value:
        return self.read_at(fields, self.name)

    def read_at(self, fields: Fields, name: str) -> Value:
        """For a key that stands in a mapping of keys, under several names."""
        return self._reader(fields, name)


class Keys:
    """A mapping of the inventory. Subclasses name its keys, in the order in which they are listed to the user."""

    @classmethod
    def all(cls) -> dict[str, Key[Any]]:
        """The keys by name, those of a base class first."""
        return {name: key for base in reversed(cls.__mro__) for name, key in vars(base).items() if isinstance(key, Key)}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(cls.all())

    @classmethod
    def fields(cls, data: Any, path: str, report: Report, hosts: Sequence[str] = ()) -> Fields:
        """Typed access to such a mapping; what is none, and keys that are unknown, go to the report."""
        return Fields(data, path, report, cls.names(), hosts)

    @classmethod
    def schema(cls) -> Schema:
        return mapping_with(cls.all())


def mapping_with(keys: Mapping[str, Key[Any]]) -> Schema:
    """A mapping that has these keys and no others."""
    required = [name for name, key in keys.items() if key.required]
    return {
        "type": "object",
        "properties": {name: value_of(key.schema) for name, key in keys.items()},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def value_of(schema: Schema) -> Schema:
    """What may stand where such a value is wanted: a template makes one, and null is the same as leaving it out."""
    if not schema:
        return schema
    return {"anyOf": [schema, {"$ref": "#/definitions/template"}, {"type": "null"}]}


def any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def matching(pattern: str) -> Schema:
    r"""A text that matches as a whole. Editors know JavaScript's expressions, which have no ``\Z``."""
    return {"type": "string", "pattern": f"^(?:{pattern})$".replace(r"\Z", "$")}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": any_of(schema, {"$ref": "#/definitions/template"}) if schema else schema}


def mapping_of(schema: Schema, names: str = "") -> Schema:
    """A mapping whose names are free, or match a pattern as a whole."""
    return {"type": "object", "additionalProperties": value_of(schema), **({"propertyNames": matching(names)} if names else {})}


def whole_number(minimum: int, maximum: int = 2**53) -> Schema:
    upper = {"maximum": maximum} if maximum < 2**53 else {}
    return any_of({"type": "integer", "minimum": minimum, **upper}, {"type": "string", "pattern": r"^\s*[0-9]+(\.0+)?\s*$"})


# --- keys of the usual types -------------------------------------------------------------------------------------


def text(default: str = "", *, required: bool = False, pattern: str = "", expected: str = "", schema: Schema | None = None) -> Key[str]:
    """A text; ``schema`` where a pattern says it less well, or not in a form that editors know."""

    def read(fields: Fields, name: str) -> str:
        return fields.text(name, default, required=required, pattern=pattern, expected=expected)

    return Key(read, schema or (matching(pattern) if pattern else TEXT), required=required)


def maybe_text(*, pattern: str = "", expected: str = "") -> Key[str | None]:
    return Key(lambda fields, name: fields.maybe_text(name, pattern=pattern, expected=expected), matching(pattern) if pattern else TEXT)


def secret() -> Key[bool]:
    """Whether it is given: a plan never has the secret itself."""
    return Key(Fields.secret, SECRET)


def address(*, required: bool = False, expected: str) -> Key[str | None]:
    return Key(lambda fields, name: fields.address(name, required=required, expected=expected), matching(ADDRESS), required=required)


def choice(choices: Sequence[str], default: str) -> Key[str]:
    return Key(lambda fields, name: fields.choice(name, choices, default), {"enum": list(choices)})


def integer(minimum: int, maximum: int = 2**53, *, what: str = "a whole number") -> Key[int | None]:
    return Key(lambda fields, name: fields.integer(name, minimum, maximum, what=what), whole_number(minimum, maximum))


def number() -> Key[float | None]:
    return Key(Fields.number, any_of({"type": "number"}, {"type": "string", "pattern": r"^\s*-?[0-9]+(\.[0-9]+)?\s*$"}))


def boolean(default: bool) -> Key[bool]:
    return Key(lambda fields, name: fields.boolean(name, default), BOOLEAN)


def maybe_boolean(default: bool) -> Key[bool | None]:
    """None where nothing is said; the default where what is said is wrong."""
    return Key(lambda fields, name: fields.boolean(name, default) if fields.has(name) else None, BOOLEAN)


def size() -> Key[Size | None]:
    return Key(Fields.size, SHARE)


def texts(*, pattern: str = "", expected: str = "text", choices: Sequence[str] = ()) -> Key[tuple[str, ...]]:
    items: Schema = {"enum": list(choices)} if choices else matching(pattern) if pattern else {"type": "string"}
    return Key(lambda fields, name: fields.texts(name, pattern=pattern, expected=expected, choices=choices), list_of(items))


def with_reader(schema: Schema, reader: Callable[[Fields], Value], *, required: bool = False) -> Key[Value]:
    """A key whose reader finds its name itself."""
    return Key(lambda fields, _name: reader(fields), schema, required=required)


def mapping(schema: Schema) -> Key[dict[str, Any]]:
    """A mapping whose values are read by whoever asks for it."""
    return Key(Fields.mapping, schema)


def items(schema: Schema, *, required: bool = False) -> Key[list[Any]]:
    """A list whose entries are read by whoever asks for it."""
    return Key(Fields.items, list_of(schema), required=required)


def raw(schema: Schema) -> Key[Any]:
    """What is read by whoever asks for it, or by nobody."""
    return Key(lambda fields, name: fields.data.get(name), schema)
