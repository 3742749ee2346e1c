"""Tests for Glue only. The tests for all catalogs are in test_contract.py. moto compares versions here, as AWS does."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from catalogs.contract import NoReader
from catalogs.servers.aws import PAGE, Aws
from migrator.catalogs import NamespaceRepoint, Repoint, open_catalog
from migrator.catalogs.base import Neighbour
from migrator.catalogs.glue import GlueCatalog
from migrator.errors import CannotRepoint, CatalogError, ConfigError, MigratorError, PlanStale

KEY, SECRET, TOKEN = "AKIANEVERSHOWN", "glue-secret-never-shown", "token-never-shown"
OLD, NEW = "s3://bronze/wh/t/metadata/1.metadata.json", "s3://data-lake/bronze/wh/t/metadata/1.metadata.json"


@pytest.fixture
def database(aws: Aws) -> str:
    """A database that only one test uses."""
    name = f"d{uuid.uuid4().hex[:8]}"
    aws.client("glue").create_database(DatabaseInput={"Name": name})
    return name


def properties(aws: Aws, **more: str) -> dict[str, str]:
    keys = {"glue.access-key-id": KEY, "glue.secret-access-key": SECRET, "client.session-token": TOKEN}
    return {"type": "glue", "glue.endpoint": aws.endpoint_url, "client.region": "us-east-1", **keys, **more}


@contextmanager
def opened(aws: Aws, **more: str) -> Iterator[GlueCatalog]:
    with closing(open_catalog("lake", properties(aws, **more), NoReader())) as catalog:
        assert isinstance(catalog, GlueCatalog)
        yield catalog


def create(aws: Aws, database: str, name: str = "t", pointer: str | None = OLD, **more: Any) -> None:
    parameters = {"table_type": "ICEBERG", "metadata_location": pointer} if pointer else {}
    table = {"Name": name, "TableType": "EXTERNAL_TABLE", "Parameters": {**parameters, **more.pop("Parameters", {})}}
    aws.client("glue").create_table(DatabaseName=database, TableInput={**table, **more})


def stored(aws: Aws, database: str, name: str = "t") -> dict[str, Any]:
    table: dict[str, Any] = aws.client("glue").get_table(DatabaseName=database, Name=name)["Table"]
    return table


def commit(aws: Aws, database: str, **parameters: str) -> None:
    """What a writer does."""
    table = stored(aws, database)
    new = {"Name": "t", "Parameters": {**table["Parameters"], **parameters}}
    aws.client("glue").update_table(DatabaseName=database, TableInput=new, VersionId=table["VersionId"])


def before_update(catalog: GlueCatalog, happens: Callable[[], None], times: int = 1) -> list[dict[str, Any]]:
    """Run something between the catalog's reading of a table and its update. Returns the updates."""
    updates: list[dict[str, Any]] = []

    def hook(params: dict[str, Any], **_: object) -> None:
        updates.append(params)
        if len(updates) <= times:
            happens()

    catalog._client.meta.events.register("provide-client-params.glue.UpdateTable", hook)
    return updates


# -- the swap --------------------------------------------------------------------------------------------


def test_the_double_refuses_an_outdated_version(aws: Aws, database: str) -> None:
    """Without that, the tests below would prove nothing."""
    create(aws, database)
    with pytest.raises(ClientError, match="ConcurrentModificationException"):
        aws.client("glue").update_table(DatabaseName=database, TableInput={"Name": "t"}, VersionId="0")


def test_all_but_the_places_stays(aws: Aws, database: str) -> None:
    columns = [{"Name": "id", "Type": "bigint", "Parameters": {"iceberg.field.id": "1"}}]
    storage = {
        "Columns": columns,
        "Location": "s3://bronze/wh/t/",
        "AdditionalLocations": ["s3://bronze/wh/t/data", "s3://bronze/wh/table2"],
    }
    parameters = {"owner": "me", "write.data.path": "s3://bronze/wh/t/data", "write.metadata.path": "s3://silver/m"}
    create(aws, database, Parameters=parameters, Description="d", Owner="o", Retention=7, StorageDescriptor=storage)
    before = stored(aws, database)
    with opened(aws) as catalog:
        updates = before_update(catalog, lambda: None)
        catalog.repoint([Repoint(database, "t", OLD, NEW)], [])
    (update,) = updates
    assert update["SkipArchive"] is False and update["VersionId"] == before["VersionId"]
    after = stored(aws, database)
    assert after["StorageDescriptor"] == {
        "Columns": columns,
        "Location": "s3://data-lake/bronze/wh/t/",
        "AdditionalLocations": ["s3://data-lake/bronze/wh/t/data", "s3://bronze/wh/table2"],
    }
    assert after["Parameters"] == {
        "table_type": "ICEBERG",
        "owner": "me",
        "write.data.path": "s3://data-lake/bronze/wh/t/data",
        "write.metadata.path": "s3://silver/m",
        "metadata_location": NEW,
        "previous_metadata_location": OLD,
    }
    changed = {"StorageDescriptor", "Parameters", "VersionId", "UpdateTime"}
    assert {k: v for k, v in after.items() if k not in changed} == {k: v for k, v in before.items() if k not in changed}


def test_a_location_that_is_not_the_metadatas_folder_stays(aws: Aws, database: str) -> None:
    create(aws, database, pointer="s3://bronze/meta/1.metadata.json", StorageDescriptor={"Location": "s3://bronze/t"})
    new = "s3://data-lake/bronze/meta/1.metadata.json"
    with opened(aws) as catalog:
        catalog.repoint([Repoint(database, "t", "s3://bronze/meta/1.metadata.json", new)], [])
    assert stored(aws, database)["StorageDescriptor"] == {"Location": "s3://bronze/t"}
    assert stored(aws, database)["Parameters"]["metadata_location"] == new


def test_a_commit_between_reading_and_updating_is_never_lost(aws: Aws, database: str) -> None:
    create(aws, database)
    newer = OLD.replace("1.", "2.")
    with opened(aws) as catalog:
        before_update(catalog, lambda: commit(aws, database, metadata_location=newer))
        with pytest.raises(PlanStale, match=newer):
            catalog.repoint([Repoint(database, "t", OLD, NEW)], [])
        assert catalog.current(database, "t") == newer


def test_a_change_of_something_else_is_kept_and_the_swap_done(aws: Aws, database: str) -> None:
    create(aws, database)
    with opened(aws) as catalog:
        before_update(catalog, lambda: commit(aws, database, owner="a crawler"))
        catalog.repoint([Repoint(database, "t", OLD, NEW)], [])
    parameters = stored(aws, database)["Parameters"]
    assert (parameters["owner"], parameters["metadata_location"]) == ("a crawler", NEW)


def test_a_table_that_others_change_all_the_while_is_left(aws: Aws, database: str) -> None:
    create(aws, database)
    with opened(aws) as catalog:
        before_update(catalog, lambda: commit(aws, database, owner="a crawler"), times=100)
        with pytest.raises(CatalogError, match="could not be changed"):
            catalog.repoint([Repoint(database, "t", OLD, NEW)], [])
        assert catalog.current(database, "t") == OLD


def test_a_swap_whose_answer_was_lost_counts(aws: Aws, database: str) -> None:
    """boto3 sends the update again, which is refused as outdated by then."""
    create(aws, database)
    with opened(aws) as catalog:
        before_update(catalog, lambda: commit(aws, database, metadata_location=NEW))
        catalog.repoint([Repoint(database, "t", OLD, NEW)], [])
        assert catalog.current(database, "t") == NEW


def test_a_table_dropped_between_reading_and_updating(aws: Aws, database: str) -> None:
    create(aws, database)
    with opened(aws) as catalog:
        before_update(catalog, lambda: aws.client("glue").delete_table(DatabaseName=database, Name="t"))
        with pytest.raises(PlanStale, match="is gone"):
            catalog.repoint([Repoint(database, "t", OLD, NEW)], [])


def test_a_service_that_forgets_the_update_is_noticed(aws: Aws, database: str) -> None:
    create(aws, database)
    with opened(aws) as catalog:
        catalog._client.update_table = lambda **_: {}
        with pytest.raises(PlanStale, match=f"was set to {NEW}, but"):
            catalog.repoint([Repoint(database, "t", OLD, NEW)], [])


def test_namespaces_keep_their_other_properties(aws: Aws, database: str) -> None:
    given = {
        "Name": database,
        "Description": "d",
        "LocationUri": "s3://bronze/wh",
        "Parameters": {"raw": "s3://bronze/r"},
    }
    aws.client("glue").update_database(Name=database, DatabaseInput=given)
    with opened(aws) as catalog:
        assert [p for p in catalog.namespace_properties() if p[0] == database] == [
            (database, "location", "s3://bronze/wh"),
            (database, "raw", "s3://bronze/r"),
        ]
        changes = [
            NamespaceRepoint(database, "location", "s3://bronze/wh", "s3://data-lake/wh"),
            NamespaceRepoint(database, "raw", "s3://bronze/r", "s3://data-lake/r"),
        ]
        for _ in range(2):
            catalog.repoint([], changes)
        with pytest.raises(PlanStale, match="is gone"):
            catalog.repoint([], [NamespaceRepoint("nowhere", "location", "a", "b")])
    after = aws.client("glue").get_database(Name=database)["Database"]
    assert (after["Description"], after["LocationUri"]) == ("d", "s3://data-lake/wh")
    assert after["Parameters"] == {"raw": "s3://data-lake/r"}


# -- while planning ----------------------------------------------------------------------------------------


def test_on_aws_the_permission_to_update_is_tried_at_an_outdated_version(
    aws: Aws, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(aws, database)
    commit(aws, database, owner="me")
    asked = [Repoint(database, "t", OLD, NEW)]
    before = stored(aws, database)
    with opened(aws) as catalog:
        updates = before_update(catalog, lambda: None)
        catalog.check_repoint(asked, [])
        assert updates == []  # elsewhere it is not known that versions are compared
        monkeypatch.setattr("migrator.catalogs.glue._AWS", ("127.0.0.1",))
        catalog.check_repoint(asked, [])
        assert [update["VersionId"] for update in updates] == [str(int(before["VersionId"]) - 1)]
        assert stored(aws, database) == before

        catalog._client.update_table = denied("UpdateTable")
        with pytest.raises(CatalogError, match=f"does not allow glue:UpdateTable on table {database}.t") as caught:
            catalog.check_repoint(asked, [])
        assert "Allow the IAM action glue:UpdateTable" in caught.value.next_move
        catalog._client.update_table = lambda **_: {}
        with pytest.raises(CannotRepoint, match="does not compare versions"):
            catalog.check_repoint(asked, [])


def test_a_service_without_versions_is_refused(aws: Aws, database: str) -> None:
    create(aws, database)
    with opened(aws) as catalog:
        get = catalog._client.get_table
        catalog._client.get_table = lambda **asked: {
            "Table": {k: v for k, v in get(**asked)["Table"].items() if k != "VersionId"}
        }
        for refused in (catalog.check_repoint, catalog.repoint):
            with pytest.raises(CannotRepoint, match="returns no version"):
                refused([Repoint(database, "t", OLD, NEW)], [])
    assert stored(aws, database)["Parameters"]["metadata_location"] == OLD


# -- what is listed ----------------------------------------------------------------------------------------


def test_lists_have_many_pages(aws: Aws, database: str) -> None:
    names = [f"t{number}" for number in range(3 * PAGE + 1)]
    for name in names:
        create(aws, database, name)
    with opened(aws) as catalog:
        assert [t.name for t in catalog.tables() if t.namespace == database] == names


@pytest.mark.parametrize("kind", ["ICEBERG", "iceberg", "Iceberg"])
def test_iceberg_tables_of_any_spelling(aws: Aws, database: str, kind: str) -> None:
    create(aws, database, Parameters={"table_type": kind})
    create(aws, database, "staged", pointer=None, Parameters={"table_type": kind})  # as Lake Formation needs it
    with opened(aws) as catalog:
        assert [t.name for t in catalog.tables() if t.namespace == database] == ["t"]


def test_tables_of_others_are_named_but_never_swapped(aws: Aws, database: str) -> None:
    glue = aws.client("glue")
    link = f"{database}_link"
    target = {"CatalogId": "111122223333", "DatabaseName": "theirs"}
    glue.create_database(DatabaseInput={"Name": link, "TargetDatabase": target})
    create(aws, link, "in_link")
    create(aws, database, "linked", TargetTable={**target, "Name": "t"})
    create(aws, database, "mine")
    with opened(aws) as catalog:
        assert [t.name for t in catalog.tables() if t.namespace.startswith(database)] == ["mine"]
        found = [n for n in catalog.neighbours() if n.namespace.startswith(database)]
        assert sorted(found, key=lambda n: n.name) == [
            Neighbour("", "lake", link, "in_link", OLD, "a resource link to 111122223333.theirs"),
            Neighbour("", "lake", database, "linked", OLD, "a resource link to 111122223333.theirs.t"),
        ]
        for refused in (catalog.check_repoint, catalog.repoint):
            with pytest.raises(CannotRepoint, match="a resource link to 111122223333"):
                refused([Repoint(database, "linked", OLD, NEW)], [])
        assert link not in {namespace for namespace, _, _ in catalog.namespace_properties()}


def test_tables_that_are_not_icebergs_are_named_with_their_partitions(aws: Aws, database: str) -> None:
    keys = [{"Name": "day", "Type": "string"}]
    create(aws, database, "raw", None, StorageDescriptor={"Location": "s3://bronze/raw"}, PartitionKeys=keys)
    create(aws, database, "view", None, TableType="VIRTUAL_VIEW")
    create(aws, database)
    for day, location in (("1", "s3://bronze/raw/day=1"), ("2", "s3://bronze/raw2/day=2")):
        aws.client("glue").create_partition(
            DatabaseName=database,
            TableName="raw",
            PartitionInput={"Values": [day], "StorageDescriptor": {"Location": location}},
        )
    with opened(aws) as catalog:
        assert [n for n in catalog.neighbours() if n.namespace == database] == [
            Neighbour("", "lake", database, "raw", "s3://bronze/raw", "not an Iceberg table"),
            Neighbour("", "lake", database, "raw", "s3://bronze/raw2/day=2", "not an Iceberg table"),
        ]


# -- how it is reached -------------------------------------------------------------------------------------


def denied(operation: str, code: str = "AccessDeniedException", message: str = "User: x is not authorized") -> Any:
    def call(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    return call


def test_errors_name_the_missing_action_and_never_a_secret(aws: Aws, database: str) -> None:
    quoted = f"the canonical request was x-amz-security-token:{TOKEN} {SECRET}"
    with opened(aws) as catalog:
        catalog._client.get_table = denied("GetTable")
        with pytest.raises(CatalogError, match=r"glue:GetTable on table a\.b \(AccessDeniedException: User: x is not"):
            catalog.current("a", "b")
        for code in ("InvalidSignatureException", "ExpiredTokenException"):
            catalog._client.get_table = denied("GetTable", code, quoted)
            assert_no_secret(lambda: catalog.current("a", "b"), f"refuses the credentials \\({code}\\)")
        catalog._client.get_table = denied("GetTable", "InternalServiceException", quoted)
        assert_no_secret(lambda: catalog.current("a", "b"), r"\(http://.*: glue:GetTable of table a\.b failed")
        shown = f"{catalog.describe()} {catalog!r}"
        assert not any(secret in shown for secret in (KEY, SECRET, TOKEN))


def assert_no_secret(call: Callable[[], object], match: str) -> None:
    with pytest.raises(MigratorError, match=match) as caught:
        call()
    assert not any(secret in f"{caught.value} {caught.value!r}" for secret in (KEY, SECRET, TOKEN))
    assert caught.value.__suppress_context__


def test_a_catalog_that_cannot_be_reached(aws: Aws) -> None:
    assert_no_secret(
        lambda: GlueCatalog("lake", properties(aws, **{"glue.profile-name": "none"}), NoReader()), "cannot be set up"
    )
    bad = properties(aws, **{"glue.endpoint": f"http://u:{SECRET}@x"})
    with pytest.raises(ConfigError, match=r"glue\.endpoint of catalog 'lake'") as caught:
        GlueCatalog("lake", bad, NoReader())
    assert SECRET not in str(caught.value)
    away = {**properties(aws), "glue.endpoint": "http://127.0.0.1:1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrator.catalogs.aws.ATTEMPTS", 1)
        assert_no_secret(lambda: GlueCatalog("lake", away, NoReader()), "did not answer for the catalog")


def test_a_region_must_be_known(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigError, match="region"):
        GlueCatalog("lake", {"type": "glue"}, NoReader())


def test_the_catalog_id_is_sent_with_every_request(aws: Aws, database: str) -> None:
    with opened(aws, **{"glue.id": "123456789012"}) as catalog:
        create(aws, database)
        assert catalog.describe() == f"glue {aws.endpoint_url} catalog 123456789012"
        asked: list[tuple[str, object]] = []
        catalog._client.meta.events.register(
            "provide-client-params.glue", lambda params, model, **_: asked.append((model.name, params.get("CatalogId")))
        )
        list(catalog.neighbours())
        change = Repoint(database, "t", OLD, NEW)
        catalog.check_repoint([change], [])
        catalog.repoint([change], [])
        aws.client("glue").update_database(Name=database, DatabaseInput={"Name": database, "LocationUri": "a"})
        catalog.repoint([], [NamespaceRepoint(database, "location", "a", "b")])
    assert {id_ for _, id_ in asked} == {"123456789012"}
    assert {"GetTables", "GetDatabases", "GetTable", "UpdateTable", "UpdateDatabase", "GetDatabase"} <= {
        n for n, _ in asked
    }


@pytest.mark.parametrize("kind", ["glue", "dynamodb"])
@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Log in</html>"), (403, b"<Error/>"), (200, b"{}")])
def test_an_answer_of_another_server(kind: str, status: int, body: bytes) -> None:
    """Such as that of an S3 server, for which AWS_ENDPOINT_URL was set."""

    given = {
        "type": kind,
        "client.region": "us-east-1",
        "client.access-key-id": KEY,
        "client.secret-access-key": SECRET,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.endpoint.Endpoint._send", lambda self, request: raw(request, status, body))
        with pytest.raises(CatalogError, match=f"https://{kind}.us-east-1.amazonaws.com") as caught:
            open_catalog("lake", given, NoReader())
    assert "AWS_ENDPOINT_URL_S3" in caught.value.next_move


def raw(request: Any, status: int, body: bytes) -> AWSResponse:
    class Body(io.BytesIO):
        def stream(self, **_: object) -> Iterator[bytes]:
            yield self.read()

    return AWSResponse(request.url, status, {}, Body(body))
