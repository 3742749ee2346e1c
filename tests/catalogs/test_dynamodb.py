"""Tests for DynamoDB only. The tests for all catalogs are in test_contract.py."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog.dynamodb import DynamoDbCatalog as Pyiceberg

from catalogs.contract import NoReader
from catalogs.servers.aws import Aws
from migrator.catalogs import CatalogTable, NamespaceRepoint, Repoint, open_catalog
from migrator.catalogs.dynamodb import DynamoDbCatalog
from migrator.errors import CatalogError, PlanStale

KEY, SECRET = "AKIANEVERSHOWN", "dynamo-secret-never-shown"
OLD, NEW = "s3://bronze/t/metadata/1.metadata.json", "s3://data-lake/t/metadata/1.metadata.json"
ASKED = [Repoint("sales.eu", "t", OLD, NEW)]


class Items:
    """One DynamoDB table, as pyiceberg makes it, and what a writer in Java puts into it."""

    def __init__(self, aws: Aws) -> None:
        self.aws, self.client, self.table = aws, aws.client("dynamodb"), f"t{uuid.uuid4().hex[:8]}"
        Pyiceberg("lake", self.client, **{"table-name": self.table})

    def put(self, identifier: str, namespace: str, **attributes: str) -> None:
        item = {"identifier": identifier, "namespace": namespace, **attributes}
        texts: dict[str, Any] = {key.replace("p_", "p."): {"S": value} for key, value in item.items()}
        self.client.put_item(TableName=self.table, Item={**texts, "created_at": {"N": "1"}, "updated_at": {"N": "1"}})

    def put_table(self, pointer: str = OLD, v: str = "v1", name: str = "t", **more: str) -> None:
        more = {"p_table_type": "ICEBERG", "p_metadata_location": pointer, "v": v, **more}
        self.put(f"sales.eu.{name}", "sales.eu", **more)

    def get(self, identifier: str = "sales.eu.t", namespace: str = "sales.eu") -> dict[str, str]:
        key = {"identifier": {"S": identifier}, "namespace": {"S": namespace}}
        item = self.client.get_item(TableName=self.table, Key=key)["Item"]
        return {name: next(iter(value.values())) for name, value in item.items()}

    def properties(self) -> dict[str, str]:
        keys = {"dynamodb.access-key-id": KEY, "client.secret-access-key": SECRET, "client.region": "us-east-1"}
        place = {"dynamodb.endpoint": self.aws.endpoint_url, "dynamodb.table-name": self.table}
        return {"type": "dynamodb", **place, **keys}

    @contextmanager
    def opened(self) -> Iterator[DynamoDbCatalog]:
        with closing(open_catalog("lake", self.properties(), NoReader())) as catalog:
            assert isinstance(catalog, DynamoDbCatalog)
            yield catalog


@pytest.fixture
def items(aws: Aws) -> Items:
    return Items(aws)


def before_update(catalog: DynamoDbCatalog, happens: Callable[[], None], times: int = 1) -> list[object]:
    """Run something between the catalog's reading of an item and its update."""
    updates: list[object] = []

    def hook(params: object, **_: object) -> None:
        updates.append(params)
        if len(updates) <= times:
            happens()

    catalog._client.meta.events.register("provide-client-params.dynamodb.UpdateItem", hook)
    return updates


def test_nested_namespaces_of_java(items: Items) -> None:
    items.put_table()
    items.put("NAMESPACE", "sales.eu", v="1", p_default_location="s3://bronze/eu", p_owner="me")
    items.put_table("", name="staged")
    with items.opened() as catalog:
        assert catalog.tables() == [CatalogTable("lake", "sales.eu", "t", OLD)]
        assert catalog.namespace_properties() == [
            ("sales.eu", "default_location", "s3://bronze/eu"),
            ("sales.eu", "owner", "me"),
        ]
        assert catalog.current("sales.eu", "t") == OLD
        assert catalog.current("sales", "eu.t") is None
        assert list(catalog.neighbours()) == []
        assert catalog.describe() == f"dynamodb {items.aws.endpoint_url} table {items.table}"


def test_a_list_has_many_pages(items: Items) -> None:
    names = [f"t{number}" for number in range(7)]
    for name in names:
        items.put_table(name=name)
    with items.opened() as catalog:
        pages = []

        def two_each(params: dict[str, Any], **_: object) -> None:
            assert params["ConsistentRead"] is True
            params["Limit"] = 2
            pages.append(params)

        catalog._client.meta.events.register("provide-client-params.dynamodb.Scan", two_each)
        assert [table.name for table in catalog.tables()] == names
        assert len(pages) == 4


def test_the_swap_is_one_that_other_writers_notice(items: Items) -> None:
    items.put_table(p_owner="me")
    with items.opened() as catalog:
        catalog.repoint(ASKED, [])
    item = items.get()
    assert item.pop("v") != "v1" and int(item.pop("updated_at")) > 1
    assert item == {
        "identifier": "sales.eu.t",
        "namespace": "sales.eu",
        "created_at": "1",
        "p.table_type": "ICEBERG",
        "p.owner": "me",
        "p.metadata_location": NEW,
        "p.previous_metadata_location": OLD,
    }


def test_a_commit_between_reading_and_updating_is_never_lost(items: Items) -> None:
    items.put_table()
    with items.opened() as catalog:
        before_update(catalog, lambda: items.put_table("s3://bronze/t/metadata/2.metadata.json", "v2"))
        with pytest.raises(PlanStale, match=r"2\.metadata\.json"):
            catalog.repoint(ASKED, [])
    assert items.get()["p.metadata_location"].endswith("2.metadata.json")


def test_a_table_that_was_dropped_and_made_again_at_the_same_place_is_compared_anew(items: Items) -> None:
    """Only the version shows it. The second attempt expects what it has read."""
    items.put_table()
    with items.opened() as catalog:
        updates = before_update(catalog, lambda: items.put_table(v="v2", p_owner="another"))
        catalog.repoint(ASKED, [])
        assert len(updates) == 2
    assert items.get()["p.owner"] == "another" and items.get()["p.metadata_location"] == NEW


def test_an_item_that_others_change_all_the_while_is_left(items: Items) -> None:
    items.put_table()
    with items.opened() as catalog:
        before_update(catalog, lambda: items.put_table(v=uuid.uuid4().hex), times=100)
        with pytest.raises(CatalogError, match="could not be changed"):
            catalog.repoint(ASKED, [])
    assert items.get()["p.metadata_location"] == OLD


def test_a_swap_whose_answer_was_lost_counts(items: Items) -> None:
    items.put_table()
    with items.opened() as catalog:
        before_update(catalog, lambda: items.put_table(NEW, "v2"))
        catalog.repoint(ASKED, [])
    assert items.get()["v"] == "v2"


def test_an_item_without_a_version(items: Items) -> None:
    key = {"identifier": {"S": "sales.eu.t"}, "namespace": {"S": "sales.eu"}}
    attributes = {"p.table_type": {"S": "ICEBERG"}, "p.metadata_location": {"S": OLD}}
    items.client.put_item(TableName=items.table, Item={**key, **attributes})
    with items.opened() as catalog:
        before_update(catalog, lambda: items.put_table("s3://bronze/3", "v2"))
        with pytest.raises(PlanStale):
            catalog.repoint(ASKED, [])
        items.client.put_item(TableName=items.table, Item={**key, **attributes})
        catalog.repoint(ASKED, [])
    assert items.get()["p.metadata_location"] == NEW and items.get()["v"]


def test_a_namespace_is_compared_too(items: Items) -> None:
    change = NamespaceRepoint("sales.eu", "default_location", "s3://bronze/eu", "s3://data-lake/eu")
    items.put("NAMESPACE", "sales.eu", v="1", p_default_location="s3://bronze/eu", p_owner="me")
    with items.opened() as catalog:
        before_update(catalog, lambda: items.put("NAMESPACE", "sales.eu", v="2", p_default_location="s3://else"))
        with pytest.raises(PlanStale, match="s3://else"):
            catalog.repoint([], [change])
        items.put("NAMESPACE", "sales.eu", v="1", p_default_location="s3://bronze/eu", p_owner="me")
        for _ in range(2):
            catalog.repoint([], [change])
    item = items.get("NAMESPACE")
    assert (item["p.default_location"], item["p.owner"]) == ("s3://data-lake/eu", "me") and item["v"] != "1"


def test_checking_tries_the_permission_without_a_change(items: Items) -> None:
    items.put_table()
    before = items.get()
    with items.opened() as catalog:
        updates = before_update(catalog, lambda: None)
        catalog.check_repoint(ASKED, [])
        assert len(updates) == 1 and items.get() == before
        catalog.check_repoint([Repoint("sales.eu", "nothing", OLD, NEW)], [])
        assert len(updates) == 1
        catalog._client.update_item = denied("UpdateItem")
        with pytest.raises(CatalogError, match=r"does not allow dynamodb:UpdateItem on sales\.eu\.t") as caught:
            catalog.check_repoint(ASKED, [])
        assert caught.value.next_move == "Allow the IAM action dynamodb:UpdateItem on it."


def denied(operation: str) -> Any:
    def call(**_: object) -> None:
        message = f"{KEY} {SECRET} is not authorized"
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)

    return call


def test_errors_never_show_a_secret(items: Items) -> None:
    with items.opened() as catalog:
        catalog._client.get_item = denied("GetItem")
        with pytest.raises(CatalogError, match="dynamodb:GetItem") as caught:
            catalog.current("a", "b")
        shown = f"{caught.value} {catalog.describe()} {catalog!r}"
        assert KEY not in shown and SECRET not in shown and caught.value.__suppress_context__


def test_a_table_that_is_not_there_is_never_made(items: Items) -> None:
    before = items.client.list_tables()["TableNames"]
    with pytest.raises(CatalogError, match=r"dynamodb:Scan of table absent failed \(ResourceNotFoundException"):
        DynamoDbCatalog("lake", {**items.properties(), "table-name": "absent"}, NoReader())
    assert items.client.list_tables()["TableNames"] == before


def test_how_to_adopt_is_a_command_that_points_the_table_there(items: Items) -> None:
    items.put_table()
    with items.opened() as catalog:
        words = shlex.split(catalog.how_to_adopt("sales.eu", "t", "s3://b/it's/1.json").partition(": ")[2])
        assert words[:3] == ["aws", "dynamodb", "update-item"]
        options = {key.lstrip("-"): value for key, value in zip(words[3::2], words[4::2], strict=True)}
        items.client.update_item(
            TableName=options["table-name"],
            Key=json.loads(options["key"]),
            UpdateExpression=options["update-expression"],
            ExpressionAttributeNames=json.loads(options["expression-attribute-names"]),
            ExpressionAttributeValues=json.loads(options["expression-attribute-values"]),
        )
        assert catalog.current("sales.eu", "t") == "s3://b/it's/1.json"
