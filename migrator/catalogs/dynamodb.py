"""Tables of a DynamoDB catalog, as Iceberg's DynamoDbCatalog (Java) and pyiceberg write them.

One DynamoDB table has an item for each table and for each namespace. The attribute ``v`` gets a new UUID with each
change, and every writer compares it.
"""

from __future__ import annotations

import json
import shlex
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrator.catalogs.aws import Service
from migrator.catalogs.base import CatalogTable, NamespaceRepoint, Neighbour, Repoint, WarehouseReader, unexpected
from migrator.catalogs.dynamodb_entries import NAMESPACE, NOT_MET, POINTER, PROPERTY, DynamoDbEntries, key_of
from migrator.errors import CatalogError

DEFAULT_TABLE = "iceberg"
PREVIOUS, TYPE = f"{PROPERTY}previous_metadata_location", f"{PROPERTY}table_type"
ATTEMPTS = 3
"""How often a change is tried while others change the same item, but not the compared attribute."""

Item = Mapping[str, str]
"""The texts and numbers of an item."""


class DynamoDbCatalog:
    """The items of one DynamoDB table. The catalog's own name is stored nowhere."""

    kind = "dynamodb"
    stores_pointers = True
    swaps_together = False
    longest_pointer: int | None = None

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> DynamoDbCatalog:
        """See :class:`Catalog`. ``dynamodb.endpoint`` and ``dynamodb.table-name`` are Java's names."""
        return cls(name, properties, reader)

    def __init__(self, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> None:
        """Raises ConfigError, or CatalogError if the DynamoDB table does not answer. Never creates the DynamoDB table,
        unlike other clients."""
        self.name, self._reader = name, reader
        self._service = Service(name, "dynamodb", properties)
        self._client = self._service.client
        self._table = properties.get("table-name") or properties.get("dynamodb.table-name") or DEFAULT_TABLE
        with self._service.errors(f"table {self._table}"):
            self._client.scan(TableName=self._table, Limit=1)["Items"]

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._service.endpoint} table {self._table}"

    def close(self) -> None:
        """See :class:`Catalog`."""
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """See :class:`Catalog`."""
        found = [
            CatalogTable(self.name, item["namespace"], _name(item), item[POINTER])
            for item in self._items()
            if _is_table(item)
        ]
        return sorted(found, key=lambda table: (table.namespace, table.name))

    def neighbours(self) -> Iterator[Neighbour]:
        """None: a DynamoDB table has one catalog."""
        return iter(())

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`."""
        return sorted(
            (item["namespace"], key.removeprefix(PROPERTY), value)
            for item in self._items()
            if item["identifier"] == NAMESPACE
            for key, value in item.items()
            if key.startswith(PROPERTY)
        )

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`."""
        item = self._item(f"{namespace}.{name}", namespace)
        return item.get(POINTER) if item else None

    def _items(self) -> Iterator[Item]:
        """Every item. Reads the table itself, because its index may lack new items."""
        with self._service.errors(f"table {self._table}"):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
            for page in pages:
                yield from map(_plain, page["Items"])

    def _item(self, identifier: str, namespace: str) -> Item | None:
        key = key_of(identifier, namespace)
        with self._service.errors(f"{identifier} in {namespace}"):
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _plain(answer["Item"]) if "Item" in answer else None

    # -- the swap ------------------------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`. One conditional update after the other."""
        for table in tables:
            key = (f"{table.namespace}.{table.name}", table.namespace)
            what = f"The pointer of {self.name}.{table.namespace}.{table.name}"
            self._change(what, key, POINTER, table, {POINTER: table.new, PREVIOUS: table.expected})
        for item in namespaces:
            attribute = f"{PROPERTY}{item.key}"
            what = f"The property {item.key!r} of namespace {self.name}.{item.namespace}"
            self._change(what, (NAMESPACE, item.namespace), attribute, item, {attribute: item.new})

    def _change(
        self, what: str, key: tuple[str, str], compared: str, asked: Repoint | NamespaceRepoint, new: Mapping[str, str]
    ) -> None:
        """Set the attributes ``new`` of one item, if its attribute ``compared`` and its version are as read."""
        for _ in range(ATTEMPTS):
            item = self._item(*key)
            value = item.get(compared) if item else None
            if value == asked.new:
                return
            if item is None or value != asked.expected:
                raise unexpected(what, value, asked.expected)
            if self._update(key, compared, asked.expected, item.get("v"), new):
                return
        raise CatalogError(f"{what} could not be changed: others change it all the time.", next_move="Stop writers.")

    def _update(
        self, key: tuple[str, str], compared: str, expected: str, version: str | None, new: Mapping[str, str]
    ) -> bool:
        """False if the condition did not hold."""
        change = {**new, "v": str(uuid.uuid4())}
        names = {f"#n{number}": name for number, name in enumerate(change)}
        values: dict[str, Any] = {f":n{number}": {"S": value} for number, value in enumerate(change.values())}
        sets = ", ".join(f"#n{number} = :n{number}" for number in range(len(change)))
        values[":expected"], values[":now"] = {"S": expected}, {"N": str(round(time.time() * 1000))}
        condition = "#c = :expected AND attribute_not_exists(v)"
        if version is not None:
            condition, values[":v"] = "#c = :expected AND v = :v", {"S": version}
        return self._conditional(
            key,
            UpdateExpression=f"SET {sets}, updated_at = :now",
            ConditionExpression=condition,
            ExpressionAttributeNames={**names, "#c": compared},
            ExpressionAttributeValues=values,
        )

    def _conditional(self, key: tuple[str, str], **update: Any) -> bool:
        """False if the condition did not hold."""
        place, of = f"{key[0]} in {key[1]}", {"TableName": self._table, "Key": key_of(*key)}
        return self._service.send(place, "update_item", (NOT_MET,), **of, **update) is not None

    def entries(self) -> DynamoDbEntries:
        """See :class:`Catalog`."""
        return DynamoDbEntries(self.name, self._service, self._table, self._reader)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Send an update whose condition never holds: it needs the permission, and changes nothing."""
        keys = [(f"{table.namespace}.{table.name}", table.namespace) for table in tables]
        keys += [(NAMESPACE, item.namespace) for item in namespaces]
        for key in keys[:1]:
            if self._item(*key) is not None:
                never = "attribute_not_exists(identifier)"
                now = {":now": {"N": "0"}}
                self._conditional(
                    key,
                    UpdateExpression="SET updated_at = :now",
                    ConditionExpression=never,
                    ExpressionAttributeValues=now,
                )

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        key = json.dumps(key_of(f"{namespace}.{name}", namespace), ensure_ascii=False)
        values = json.dumps({":new": {"S": metadata_location}, ":v": {"S": str(uuid.uuid4())}}, ensure_ascii=False)
        words = ["aws", "dynamodb", "update-item", "--table-name", self._table, "--key", key]
        words += ["--update-expression", "SET #p = :new, v = :v"]
        words += ["--expression-attribute-names", json.dumps({"#p": POINTER}), "--expression-attribute-values", values]
        return f"point the catalog at it and plan again: {shlex.join(words)}"


def _plain(item: Mapping[str, Mapping[str, Any]]) -> Item:
    return {name: str(value[kind]) for name, value in item.items() for kind in value if kind in ("S", "N")}


def _is_table(item: Item) -> bool:
    """An item of another type, or without a location, is not a table yet."""
    return item["identifier"] != NAMESPACE and item.get(TYPE, "").lower() == "iceberg" and bool(item.get(POINTER))


def _name(item: Item) -> str:
    return item["identifier"].removeprefix(f"{item['namespace']}.")
