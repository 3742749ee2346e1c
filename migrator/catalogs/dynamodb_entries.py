"""Makes and removes entries of a DynamoDB catalog: items as Iceberg's DynamoDbCatalog makes them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.catalogs.aws import Service
from migrator.catalogs.base import Repoint, WarehouseReader, moved_on, taken
from migrator.catalogs.entry_metadata import check_names, made_from_metadata

NAMESPACE = "NAMESPACE"
"""The ``identifier`` of an item that is a namespace."""
PROPERTY = "p."
"""The beginning of the names of attributes that are properties."""
POINTER = f"{PROPERTY}metadata_location"
NOT_MET = "ConditionalCheckFailedException"
"""The code of the answer to a change whose condition did not hold."""
_NEW = "attribute_not_exists(identifier)"


class DynamoDbEntries:
    """See :class:`Entries`. One conditional request after the other."""

    together = False

    def __init__(self, name: str, service: Service, table: str, reader: WarehouseReader) -> None:
        """``table``: the DynamoDB table."""
        self._name, self._service, self._table, self._reader = name, service, table, reader

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. Also sends a request whose condition never holds: it needs the permission, and changes
        nothing."""
        check_names(self._name, "DynamoDB", tables, lower=False)
        for table in tables:
            self._properties(table, table.expected)
        for table in tables[:1]:
            item = self._item(f"{table.namespace}.{table.name}", table.namespace, {})
            self._conditional("put_item", item, f"attribute_exists(identifier) AND {_NEW}", Item=item)

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`."""
        for table in tables:
            found = self._found(table)
            if found is None:
                properties = namespaces.get(table.namespace, {})
                item = self._item(NAMESPACE, table.namespace, properties)
                self._conditional("put_item", item, _NEW, Item=item)
                item = self._item(
                    f"{table.namespace}.{table.name}", table.namespace, self._properties(table, table.new)
                )
                self._conditional("put_item", item, _NEW, Item=item)
                found = self._found(table)
            if found != table.new:
                raise taken(self._name, table, found or "nothing: it is gone")

    def remove(self, tables: Sequence[Repoint]) -> None:
        """See :class:`Entries`."""
        for table in tables:
            key = key_of(f"{table.namespace}.{table.name}", table.namespace)
            self._conditional(
                "delete_item",
                key,
                "#p = :p",
                Key=key,
                ExpressionAttributeNames={"#p": POINTER},
                ExpressionAttributeValues={":p": {"S": table.expected}},
            )
            if (found := self._found(table)) is not None:
                raise moved_on(self._name, table, found)

    def _properties(self, table: Repoint, uri: str) -> dict[str, str]:
        """The properties of the item, from the metadata at ``uri``, as pyiceberg writes them."""
        properties = made_from_metadata(
            self._name, self._reader, table, uri, lambda metadata: dict(metadata.properties)
        )
        return {
            **properties,
            "table_type": "ICEBERG",
            "metadata_location": table.new,
            "previous_metadata_location": "",
        }

    @staticmethod
    def _item(identifier: str, namespace: str, properties: Mapping[str, str]) -> dict[str, dict[str, str]]:
        now = {"N": str(round(time.time() * 1000))}
        item = {**key_of(identifier, namespace), "v": {"S": str(uuid.uuid4())}, "created_at": now, "updated_at": now}
        return {**item, **{f"{PROPERTY}{key}": {"S": value} for key, value in properties.items()}}

    def _found(self, table: Repoint) -> str | None:
        """The pointer of the item; a description if it has none; None if there is no item."""
        key = key_of(f"{table.namespace}.{table.name}", table.namespace)
        with self._service.errors(f"{table.namespace}.{table.name}"):
            answer = self._service.client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            return None
        return str((answer["Item"].get(POINTER) or {}).get("S") or "no Iceberg metadata")

    def _conditional(self, operation: str, what: Mapping[str, Any], condition: str, **arguments: Any) -> None:
        """Send a change with a condition."""
        place = f"{what['identifier']['S']} in {what['namespace']['S']}"
        of = {"TableName": self._table, "ConditionExpression": condition}
        self._service.send(place, operation, (NOT_MET,), **of, **arguments)


def key_of(identifier: str, namespace: str) -> dict[str, dict[str, str]]:
    """The key of an item."""
    return {"identifier": {"S": identifier}, "namespace": {"S": namespace}}
