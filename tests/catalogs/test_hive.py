"""What only a Hive Metastore has: its lock, its connection, and tables that are not Iceberg's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from hive_metastore.ttypes import (
    Database,
    FieldSchema,
    GetTableResult,
    GetTablesResult,
    LockResponse,
    LockState,
    MetaException,
    NoSuchObjectException,
    Partition,
    SerDeInfo,
    ShowLocksRequest,
    ShowLocksResponse,
    ShowLocksResponseElement,
    StorageDescriptor,
    Table,
    UnlockRequest,
)
from pyiceberg.catalog.hive import HiveCatalog as Pyiceberg
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import TTransportException

from catalogs.contract import NEW, OLD, Place, hive_place
from catalogs.servers.java import HiveMetastore
from migrator.catalogs import Catalog, CatalogTable, NamespaceRepoint, Repoint, open_catalog
from migrator.catalogs.hive import HiveCatalog, connection, lock, metastore
from migrator.catalogs.hive.connection import Connection
from migrator.errors import CatalogError, ConfigError, PlanBusy, PlanStale

BEFORE, AFTER = "s3://old/db/t/metadata/1.metadata.json", "s3://new/lake/db/t/metadata/1.metadata.json"
METADATA = {"location": "s3://new/lake/db/t", "properties": {"write.data.path": "s3://new/d", "more": "x"}}
SWAP = Repoint("db", "t", BEFORE, AFTER)


def table(name: str = "t", pointer: str | None = BEFORE, kind: str = "ICEBERG", **parameters: str) -> Table:
    stored = {"table_type": kind, **parameters} | ({"metadata_location": pointer} if pointer else {})
    return Table(name, "db", sd=StorageDescriptor(location="s3://old/db/t"), parameters=stored)


class Reader:
    def keys(self, bucket: str, prefix: str) -> list[str]:
        raise AssertionError

    def get(self, bucket: str, key: str) -> bytes:
        assert f"s3://{bucket}/{key}" == AFTER
        return json.dumps(METADATA).encode()


class Client:
    """A metastore in memory, with one database."""

    def __init__(self, *tables: Table) -> None:
        self.tables = {t.tableName: t for t in tables or (table(),)}
        self.calls: list[str] = []
        self.broken: dict[str, list[Callable[[], Any]]] = {}
        """Name of a request → what happens instead, the first time, the second time, …"""
        self.states = [LockState.ACQUIRED]
        """What the lock's request answers, and each check."""
        self.agent = ""
        self.context: dict[str, str] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        do = type(self).__dict__[f"do_{name}"]

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if self.broken.get(name):
                return self.broken[name].pop(0)()
            return do(self, *arguments)

        return call

    def do_get_all_databases(self) -> list[str]:
        return ["db"]

    def do_get_database(self, name: str) -> Database:
        return Database(name, locationUri="s3://old/db", parameters={"owner": "me"})

    def do_get_all_tables(self, database: str) -> list[str]:
        return list(self.tables)

    def do_get_table(self, database: str, name: str) -> Table:
        if name not in self.tables:
            raise NoSuchObjectException("db.t")
        return deepcopy(self.tables[name])

    def do_get_table_req(self, request: Any) -> GetTableResult:
        return GetTableResult(self.do_get_table(request.dbName, request.tblName))

    def do_get_table_objects_by_name_req(self, request: Any) -> GetTablesResult:
        return GetTablesResult([self.tables[name] for name in request.tblNames])

    def do_get_table_objects_by_name(self, database: str, names: list[str]) -> list[Table]:
        return [self.tables[name] for name in names]

    def do_lock(self, request: Any) -> LockResponse:
        self.agent = request.agentInfo
        (component,) = request.component
        assert (component.dbname, component.tablename) == ("db", "t")
        return LockResponse(7, self.states.pop(0))

    def do_check_lock(self, request: Any) -> LockResponse:
        return LockResponse(request.lockid, self.states.pop(0))

    def do_unlock(self, request: Any) -> None:
        assert request.lockid == 7

    def do_show_locks(self, request: Any) -> ShowLocksResponse:
        shown = {"dbname": "db", "tablename": "t", "user": "spark", "hostname": "h1", "lockid": 7}
        ours = ShowLocksResponseElement(**shown, state=LockState.ACQUIRED, agentInfo=self.agent)
        return ShowLocksResponse([ours, ShowLocksResponseElement(**{**shown, "tablename": "other"})])

    def do_alter_table_with_environment_context(self, database: str, name: str, new: Table, context: Any) -> None:
        self.tables[name], self.context = new, context.properties

    def do_alter_database(self, name: str, database: Database) -> None:
        """Before Hive 3 the location is ignored."""


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def catalog(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setattr(Connection, "_connected", lambda self: client)
    monkeypatch.setattr(lock, "FIRST_PAUSE", 0)
    yield open_catalog("lake", {"uri": "thrift://h"}, Reader())


def cut() -> Any:
    raise TTransportException(TTransportException.END_OF_FILE, "read 0 bytes")


def refused() -> Any:
    raise MetaException("no permission")


# -- the swap ------------------------------------------------------------------------------------------------


def test_the_swap_changes_pointers_location_and_paths_under_the_lock(catalog: Catalog, client: Client) -> None:
    client.tables["t"] = table(**{"write.data.path": "s3://old/d", "uuid": "u", "previous_metadata_location": "x"})
    catalog.repoint([SWAP], [])
    assert client.tables["t"].parameters == {
        "table_type": "ICEBERG",
        "metadata_location": AFTER,
        "previous_metadata_location": BEFORE,
        "write.data.path": "s3://new/d",
        "uuid": "u",
    }
    assert client.tables["t"].sd.location == "s3://new/lake/db/t"
    assert client.context == {
        "expected_parameter_key": "metadata_location",
        "expected_parameter_value": BEFORE,
        "DO_NOT_UPDATE_STATS": "true",
    }
    alter = client.calls.index("alter_table_with_environment_context")
    assert client.calls[alter - 2 : alter] == ["lock", "get_table_req"] and client.calls[-1] == "unlock"


def test_a_table_may_go_back_to_where_its_metadata_cannot_be_read(catalog: Catalog, client: Client) -> None:
    client.tables["t"] = table(pointer="s3://new/lake/db/t/metadata/1.metadata.json")
    client.tables["t"].sd.location = "s3://new/lake/db/t"
    old = "hdfs://nn:8020/wh/db/t/metadata/1.metadata.json"
    catalog.repoint([Repoint("db", "t", "s3://new/lake/db/t/metadata/1.metadata.json", old)], [])
    assert client.tables["t"].parameters["metadata_location"] == old
    assert client.tables["t"].sd.location == "hdfs://nn:8020/wh/db/t"


def test_a_lock_of_another_writer_is_waited_for(catalog: Catalog, client: Client) -> None:
    client.states = [LockState.WAITING, LockState.WAITING, LockState.ACQUIRED]
    catalog.repoint([SWAP], [])
    assert client.calls.count("check_lock") == 2 and catalog.current("db", "t") == AFTER


def test_a_lock_that_is_never_released(catalog: Catalog, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0)
    client.states = [LockState.WAITING] * 2
    with pytest.raises(CatalogError, match=r"db.t is locked by spark on h1"):
        catalog.repoint([SWAP], [])
    assert client.calls.count("unlock") == 1  # or it would still be granted later
    with pytest.raises(PlanBusy, match=r"db.t is locked by spark on h1"):
        catalog.check_repoint([SWAP], [])
    assert client.calls.count("unlock") == 2 and catalog.current("db", "t") == BEFORE


@pytest.mark.parametrize("state", [LockState.ABORT, LockState.NOT_ACQUIRED, None])
def test_a_lock_that_is_refused(catalog: Catalog, client: Client, state: int) -> None:
    client.states = [state]
    with pytest.raises(CatalogError, match=r"does not lock db.t"):
        catalog.repoint([SWAP], [])
    assert client.calls[-1] == "unlock" and catalog.current("db", "t") == BEFORE


def test_a_commit_before_the_lock_is_noticed(catalog: Catalog, client: Client) -> None:
    def commit() -> LockResponse:
        client.tables["t"] = table(pointer="s3://old/db/t/metadata/2.metadata.json")
        return LockResponse(7, LockState.ACQUIRED)

    client.broken["lock"] = [commit]
    with pytest.raises(PlanStale, match=r"lake.db.t is 's3://old/db/t/metadata/2"):
        catalog.repoint([SWAP], [])
    assert client.calls[-1] == "unlock" and "alter_table_with_environment_context" not in client.calls


def test_what_became_another_kind_is_not_swapped(catalog: Catalog, client: Client) -> None:
    client.tables["t"] = table(kind="iceberg-view")
    with pytest.raises(PlanStale, match="is gone, or is none of Iceberg's"):
        catalog.repoint([SWAP], [])


@pytest.mark.parametrize("failure", [refused, cut])
def test_a_failed_change_is_reported_and_the_lock_is_released(
    catalog: Catalog, client: Client, failure: Callable[[], Any]
) -> None:
    client.broken["alter_table_with_environment_context"] = [failure]
    with pytest.raises(CatalogError, match=r"cannot change db.t: "):
        catalog.repoint([SWAP], [])
    assert client.calls[-1] == "unlock" and catalog.current("db", "t") == BEFORE


def test_a_change_that_the_metastore_refuses_since_somebody_else_was_faster(catalog: Catalog, client: Client) -> None:
    def faster() -> None:
        client.tables["t"] = table(pointer="s3://old/db/t/metadata/2.metadata.json")
        raise MetaException("The table has been modified")

    client.broken["alter_table_with_environment_context"] = [faster]
    with pytest.raises(PlanStale):
        catalog.repoint([SWAP], [])
    assert client.calls[-1] == "unlock"


def test_a_change_whose_answer_is_lost_counts(catalog: Catalog, client: Client) -> None:
    def done_and_cut() -> None:
        client.tables["t"] = table(pointer=AFTER)
        cut()

    client.broken["alter_table_with_environment_context"] = [done_and_cut]
    catalog.repoint([SWAP], [])
    assert client.calls.count("alter_table_with_environment_context") == 1 and client.calls[-1] == "unlock"


def test_a_change_that_is_answered_and_not_made(catalog: Catalog, client: Client) -> None:
    client.broken["alter_table_with_environment_context"] = [lambda: None]
    with pytest.raises(CatalogError, match=r"did not change db.t"):
        catalog.repoint([SWAP], [])


def test_a_lock_whose_answer_is_lost_is_looked_up(
    catalog: Catalog, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked_and_cut(self: Client, request: Any) -> Any:
        self.agent = request.agentInfo
        return cut()

    monkeypatch.setattr(Client, "do_lock", locked_and_cut)
    catalog.repoint([SWAP], [])
    assert catalog.current("db", "t") == AFTER
    assert client.calls.count("unlock") == 1


def test_a_lock_that_was_not_taken_is_an_error(catalog: Catalog, client: Client) -> None:
    client.broken["lock"] = [cut]
    with pytest.raises(CatalogError, match=r"cannot lock db.t"):
        catalog.repoint([SWAP], [])
    assert "unlock" not in client.calls


def test_a_lock_that_cannot_be_released_does_not_undo_the_swap(catalog: Catalog, client: Client) -> None:
    client.broken["unlock"] = [refused]
    catalog.repoint([SWAP], [])
    assert catalog.current("db", "t") == AFTER


def test_a_location_that_an_old_metastore_does_not_change(catalog: Catalog, client: Client) -> None:
    with pytest.raises(CatalogError, match="did not change 'location' of the database db") as caught:
        catalog.repoint([], [NamespaceRepoint("db", "location", "s3://old/db", "s3://new/db")])
    assert "ALTER DATABASE db SET LOCATION 's3://new/db';" in caught.value.next_move


# -- reading -------------------------------------------------------------------------------------------------


def test_a_broken_connection_is_opened_once_more_for_reading(catalog: Catalog, client: Client) -> None:
    client.broken["get_table_req"] = [cut]
    assert catalog.current("db", "t") == BEFORE
    client.broken["get_table_req"] = [cut, cut]
    with pytest.raises(CatalogError, match=r"Catalog 'lake' \(thrift://h:9083\) cannot read db.t: read 0 bytes\."):
        catalog.current("db", "t")


def test_a_metastore_that_answers_too_late_is_not_asked_again(catalog: Catalog, client: Client) -> None:
    def late() -> Any:
        raise TTransportException(TTransportException.TIMED_OUT, "read timeout")

    client.broken["get_table_req"] = [late]
    with pytest.raises(CatalogError, match="read timeout"):
        catalog.current("db", "t")


def test_an_old_metastore_lists_its_tables_in_the_old_way(catalog: Catalog, client: Client) -> None:
    def unknown() -> Any:
        raise TApplicationException(TApplicationException.UNKNOWN_METHOD, "Invalid method name")

    client.broken = {"get_table_objects_by_name_req": [unknown], "get_table_req": [unknown]}
    assert catalog.tables() == [CatalogTable("lake", "db", "t", BEFORE)]
    assert catalog.current("db", "t") == BEFORE


def test_tables_views_and_what_is_neither(catalog: Catalog, client: Client) -> None:
    odd = Table("odd", "db", sd=None, parameters=None)
    tables = (
        table("t", "s3://old/1", "iceberg"),
        table("v", "s3://old/2", "ICEBERG-VIEW"),
        table("plain", None, "EXTERNAL"),
        table("of_hive", None, "ICEBERG"),  # it has a location only
        table("empty", "", "ICEBERG"),
        odd,
    )
    client.tables = {t.tableName: t for t in tables}
    assert catalog.tables() == [
        CatalogTable("lake", "db", "t", "s3://old/1", "table"),
        CatalogTable("lake", "db", "v", "s3://old/2", "view"),
    ]
    places = [(namespace, key) for namespace, key, _ in catalog.namespace_properties()]
    assert places == [
        ("db", "location"),
        ("db", "owner"),
        *((f"db.{name}", "location") for name in ("empty", "of_hive", "plain")),
    ]
    assert catalog.current("db", "of_hive") is None and catalog.current("db", "odd") is None


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("get_all_databases", None),
        ("get_all_databases", [None]),
        ("get_all_tables", ["t", 7]),
        ("get_table_objects_by_name_req", None),
        ("get_table_objects_by_name_req", GetTablesResult([Table(None, None)])),
        ("get_table_objects_by_name_req", GetTablesResult([Table("x", "db")])),
        ("get_table_objects_by_name_req", GetTablesResult([None])),
    ],
)
def test_hostile_answers(catalog: Catalog, client: Client, request_: str, answer: Any) -> None:
    client.broken[request_] = [lambda: answer]
    with pytest.raises(CatalogError, match="Catalog 'lake'"):
        catalog.tables()


def test_a_damaged_answer(catalog: Catalog, client: Client) -> None:
    client.broken["get_table_req"] = [lambda: b"\xff".decode()]
    with pytest.raises(CatalogError, match=r"cannot read db.t"):
        catalog.current("db", "t")
    client.broken["lock"] = [lambda: SimpleNamespace(lockid=None, state=LockState.ACQUIRED)]
    with pytest.raises(CatalogError, match=r"cannot lock db.t: its answer has no id"):
        catalog.repoint([SWAP], [])


# -- the connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["http://h", "thrift://", "thrift://h:wr0ng", "h:9083", "thrift://a,"])
def test_a_uri_that_is_not_one_of_a_metastore(uri: str) -> None:
    with pytest.raises(ConfigError, match="The uri of catalog 'lake' is not one of a Hive Metastore") as caught:
        open_catalog("lake", {"type": "hive", "uri": uri}, Reader())
    assert "wr0ng" not in str(caught.value)


def test_nobody_answers_and_no_secret_is_shown() -> None:
    with pytest.raises(CatalogError, match=r"\(thrift://127.0.0.1:1,thrift://127.0.0.1:2\) cannot list") as caught:
        open_catalog("lake", {"uri": "thrift://me:wr0ng@127.0.0.1:1, thrift://127.0.0.1:2"}, Reader())
    assert "wr0ng" not in str(caught.value)


def test_kerberos_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("puresasl")

    monkeypatch.setattr(connection.TTransport, "TSaslClientTransport", missing)
    given = {"uri": "thrift://127.0.0.1:1", "hive.kerberos-authentication": "true"}
    with pytest.raises(ConfigError, match="Kerberos"):
        open_catalog("lake", given, Reader())


def test_without_thrift_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['thrift'] = None\n"
        "from migrator.catalogs import open_catalog\n"
        "try: open_catalog('lake', {'uri': 'thrift://h'}, None)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ConfigError The Python package thrift")
    assert said.rstrip().endswith("pip install 'lake-migrator[hive]'")


# -- a real metastore ----------------------------------------------------------------------------------------


@pytest.fixture
def place(hive: HiveMetastore) -> Place:
    place = hive_place("Hive", hive)
    place.theirs.create_namespace(place.namespace)
    return place


def stored(place: Place, do: Callable[[Any], Any]) -> Any:
    """What pyiceberg's own client does."""
    assert isinstance(place.theirs, Pyiceberg)
    with place.theirs._client as client:
        return do(client)


def storage(location: str | None, **serde: str) -> StorageDescriptor:
    formats = (f"org.apache.hadoop.hive.ql.io.parquet.MapredParquet{way}Format" for way in ("Input", "Output"))
    library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    return StorageDescriptor(
        [FieldSchema("id", "bigint")], location, *formats, serdeInfo=SerDeInfo("", library, parameters=serde)
    )


def make_plain(place: Place, name: str, *days: str, location: str = "", **parameters: str) -> str:
    """A table of Parquet files with a partition for each day. Returns its namespace for migrator."""
    at = location or f"s3://{OLD}/plain/{name}"
    keys = [FieldSchema("day", "string"), FieldSchema("city", "string")] if days else []
    entry = Table(name, place.namespace, "me", tableType="EXTERNAL_TABLE", partitionKeys=keys)
    entry.sd, entry.parameters = storage(at, path=at), {"EXTERNAL": "TRUE", **parameters}
    stored(place, lambda client: client.create_table(entry))
    partitions = [
        Partition([day, "Rome/1 é"], place.namespace, name, sd=storage(f"{at}/{day}"), parameters={}) for day in days
    ]
    if partitions:
        stored(place, lambda client: client.add_partitions(partitions))
    return f"{place.namespace}.{name}"


def changes(catalog: Catalog, namespace: str) -> list[NamespaceRepoint]:
    """What a plan would change in a table that is not Iceberg's."""
    return [
        NamespaceRepoint(n, key, value, value.replace(f"s3://{OLD}/", f"s3://{NEW}/"))
        for n, key, value in catalog.namespace_properties()
        if n == namespace and f"s3://{OLD}/" in value
    ]


def back(asked: list[NamespaceRepoint]) -> list[NamespaceRepoint]:
    return [NamespaceRepoint(item.namespace, item.key, item.new, item.expected) for item in asked]


@pytest.mark.slow
def test_other_tables_and_their_partitions_are_repointed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metastore, "BATCH", 2)
    days = ("d1", "d2", "d3", "d4", "d5")
    namespace = make_plain(place, "p", *days, **{"avro.schema.url": f"s3://{OLD}/schema.avsc", "owner": "me"})
    with place.opened() as catalog:
        asked = changes(catalog, namespace)
        keys = sorted(item.key for item in asked)
        assert keys[:3] == ["location", *(f"location of partition day=d{n}/city=Rome%2F1 %C3%A9" for n in (1, 2))]
        assert keys[-2:] == ["parameter avro.schema.url", "serde path"] and len(keys) == 3 + len(days)
        catalog.repoint([], asked)
        assert not changes(catalog, namespace)
        catalog.repoint([], asked)  # nothing is left to do
        entry = stored(place, lambda client: client.get_table(place.namespace, "p"))
        assert entry.sd.location == entry.sd.serdeInfo.parameters["path"] == f"s3://{NEW}/plain/p"
        assert entry.parameters["avro.schema.url"] == f"s3://{NEW}/schema.avsc"
        assert entry.parameters["owner"] == "me" and entry.sd.cols[0].name == "id"
        found = stored(place, lambda client: client.get_partitions(place.namespace, "p", -1))
        assert [partition.sd.location for partition in found] == [f"s3://{NEW}/plain/p/{day}" for day in days]
        catalog.repoint([], back(asked))
        assert len(changes(catalog, namespace)) == len(asked)


@pytest.mark.slow
def test_other_tables_that_changed_or_went_meanwhile(place: Place) -> None:
    namespace = make_plain(place, "p", "d1", "d2")
    gone = make_plain(place, "gone")
    with place.opened() as catalog:
        asked = [*changes(catalog, namespace), *changes(catalog, gone)]
        stored(place, lambda client: client.drop_partition(place.namespace, "p", ["d1", "Rome/1 é"], False))
        stored(place, lambda client: client.drop_table(place.namespace, "gone", False))
        catalog.repoint([], asked)
        assert not changes(catalog, namespace)
        moved = stored(place, lambda client: client.get_partition(place.namespace, "p", ["d2", "Rome/1 é"]))
        moved.sd.location = "s3://elsewhere/d2"
        stored(place, lambda client: client.alter_partition(place.namespace, "p", moved))
        with pytest.raises(PlanStale, match=r"location of partition day=d2.* is 's3://elsewhere/d2' now"):
            catalog.repoint([], back(asked))


@pytest.mark.slow
def test_an_insert_only_table_does_not_hide_the_others(place: Place) -> None:
    table = place.make("t")
    properties = {"transactional": "true", "transactional_properties": "insert_only"}
    entry = Table("only", place.namespace, "me", tableType="MANAGED_TABLE", partitionKeys=[])
    entry.sd, entry.parameters = storage(f"s3://{OLD}/only"), properties
    stored(place, lambda client: client.create_table(entry))
    with pytest.raises(TApplicationException):
        stored(place, lambda client: client.get_table_objects_by_name(place.namespace, ["t", "only"]))
    assert {name: t.metadata_location for name, t in place.listed().items()} == {"t": table.metadata_location}
    with place.opened() as catalog:
        asked = changes(catalog, f"{place.namespace}.only")
        catalog.repoint([], asked)
        assert asked and not changes(catalog, f"{place.namespace}.only")


@pytest.mark.slow
def test_a_view_of_iceberg_is_swapped_too(place: Place) -> None:
    old, new = (f"s3://{bucket}/views/{place.namespace}/v/metadata/0.metadata.json" for bucket in (OLD, NEW))
    document = {"location": new.rpartition("/metadata/")[0], "properties": {}}
    place.s3.client().put_object(Bucket=NEW, Key=new.split("/", 3)[3], Body=json.dumps(document).encode())
    entry = Table("v", place.namespace, "me", tableType="VIRTUAL_VIEW", partitionKeys=[])
    entry.sd, entry.viewOriginalText, entry.viewExpandedText = storage(f"s3://{OLD}/views"), "SELECT 1", "SELECT 1"
    entry.parameters = {"table_type": "ICEBERG-VIEW", "metadata_location": old}
    stored(place, lambda client: client.create_table(entry))
    assert {name: (t.kind, t.metadata_location) for name, t in place.listed().items()} == {"v": ("view", old)}
    with place.opened() as catalog:
        catalog.repoint([Repoint(place.namespace, "v", old, new, "view")], [])
        assert catalog.current(place.namespace, "v") == new
    entry = stored(place, lambda client: client.get_table(place.namespace, "v"))
    assert entry.sd.location == document["location"] and entry.viewOriginalText == "SELECT 1"


@pytest.mark.slow
def test_the_entry_stays_as_iceberg_writes_it(place: Place) -> None:
    there = place.moved(place.make("t"))
    before = stored(place, lambda client: client.get_table(place.namespace, "t"))
    with place.opened() as catalog:
        catalog.repoint([there], [])
    after = stored(place, lambda client: client.get_table(place.namespace, "t"))
    assert after.sd.location == before.sd.location.replace(OLD, NEW, 1) != before.sd.location
    assert after.parameters["previous_metadata_location"] == there.expected
    changing = {"metadata_location", "previous_metadata_location", "transient_lastDdlTime"}
    kept = [{k: v for k, v in entry.parameters.items() if k not in changing} for entry in (before, after)]
    assert kept[0] == kept[1] and before.sd.cols == after.sd.cols


@pytest.mark.slow
def test_a_real_lock_of_another_writer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    there = place.moved(place.make("t"))
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0)
    assert isinstance(place.theirs, Pyiceberg)
    theirs = place.theirs._create_lock_request(place.namespace, "t")
    held = stored(place, lambda client: client.lock(theirs))
    with place.opened() as catalog:
        with pytest.raises(CatalogError, match=f"{place.namespace}.t is locked by .+ on "):
            catalog.repoint([there], [])
        assert catalog.current(place.namespace, "t") == there.expected
        stored(place, lambda client: client.unlock(UnlockRequest(held.lockid)))
        catalog.repoint([there], [])
        shown = stored(place, lambda client: client.show_locks(ShowLocksRequest(place.namespace, "t"))).locks
        assert not [one for one in shown if one.dbname == place.namespace]


@pytest.mark.slow
def test_a_connection_that_was_closed_meanwhile(place: Place) -> None:
    there = place.moved(place.make("t"))
    with place.opened() as catalog:
        assert isinstance(catalog, HiveCatalog)
        catalog._connection._transport.close()
        catalog.repoint([there], [])
        assert catalog.current(place.namespace, "t") == there.new


@pytest.mark.slow
def test_the_second_metastore_is_used_if_the_first_does_not_answer(place: Place) -> None:
    place.properties["uri"] = f"thrift://127.0.0.1:1,{place.properties['uri']}"
    place.properties["ugi"] = "me:group"
    table = place.make("t")
    with place.opened() as catalog:
        assert catalog.current(place.namespace, "t") == table.metadata_location
