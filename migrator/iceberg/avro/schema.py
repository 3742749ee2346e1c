"""Parsing Avro schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.iceberg.malformed import Malformed


@dataclass(frozen=True, slots=True)
class Type:
    """An Avro type with all names resolved. Logical types are their underlying type."""

    kind: str
    """A primitive type's name, or record, array, map, union, enum, fixed."""
    fields: tuple[Field, ...] = ()
    """The fields of a record."""
    parts: tuple[Type, ...] = ()
    """A union's branches; the one item type of an array or map."""
    size: int = 0
    """The size of a fixed, in bytes."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. ``id`` is Iceberg's ``field-id``; some writers leave it out."""

    name: str
    id: int | None
    type: Type


FIXED_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
"""The sizes of the types whose values have one size, in bytes."""
_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def parse_schema(schema: Any) -> Type:
    """The type that a decoded ``avro.schema`` describes.

    A name may be defined twice (a quirk of some writers); a reference means the definition before it.
    Raises Malformed for an undefined or recursive name and for anything that is not a schema.
    """
    return _parse(schema, "", {})


def _parse(schema: Any, namespace: str, names: dict[str, Type]) -> Type:
    if isinstance(schema, list):
        return Type("union", parts=tuple(_parse(branch, namespace, names) for branch in schema))
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return Type(schema)
        for name in (_full_name(schema, namespace), schema):
            if name in names:
                return names[name]
        raise Malformed(f"its schema uses the type {schema!r}, which is not defined before it or is recursive")
    if not isinstance(schema, dict) or "type" not in schema:
        raise Malformed(f"its schema has {schema!r} where a type belongs")
    match schema["type"]:
        case "array":
            return Type("array", parts=(_parse(schema.get("items"), namespace, names),))
        case "map":
            return Type("map", parts=(_parse(schema.get("values"), namespace, names),))
        case "record" | "enum" | "fixed":
            return _parse_named(schema, namespace, names)
        case inner:
            return _parse(inner, namespace, names)


def _parse_named(schema: dict[str, Any], namespace: str, names: dict[str, Type]) -> Type:
    name = _full_name(str(schema.get("name", "")), str(schema.get("namespace") or namespace))
    namespace = name.rpartition(".")[0]
    match schema:
        case {"type": "record", "fields": [*fields]}:
            made = Type("record", fields=tuple(_parse_field(f, namespace, names) for f in fields))
        case {"type": "enum"}:
            made = Type("enum")
        case {"type": "fixed", "size": int(size)} if size >= 0:
            made = Type("fixed", size=size)
        case _:
            raise Malformed(f"its schema does not say what the {schema['type']} {name!r} is made of")
    names[name] = made
    return made


def _parse_field(schema: Any, namespace: str, names: dict[str, Type]) -> Field:
    match schema:
        case {"name": str(name), "type": of_type}:
            field_id = schema.get("field-id")
            known = field_id if isinstance(field_id, int) else None
            return Field(name, known, _parse(of_type, namespace, names))
    raise Malformed(f"its schema has {schema!r} where a field belongs")


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"
