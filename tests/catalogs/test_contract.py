"""Every catalog that stores pointers fulfils the same contract, on real servers. pyiceberg writes before a swap and
reads after it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog as Pyiceberg

from catalogs.contract import NEW, OLD, Place, dynamodb_place, glue_place, hive_place, sql_place
from catalogs.servers.java import FIXTURE, NESSIE, Nessie, RestFixture, require
from migrator.catalogs import NamespaceRepoint, Repoint
from migrator.catalogs.rest import catalog as rest_catalog
from migrator.catalogs.rest.client import RestClient
from migrator.catalogs.rest.reading import RestReader
from migrator.catalogs.rest.ways import DropSwap, OneByOne, RenameSwap
from migrator.demo.server import Server
from migrator.errors import CatalogError, MigratorError, PlanStale
from postgres import PASSWORD

pytestmark = pytest.mark.slow

REST = ("REST by backend", "REST by rename", "REST by drop", "Nessie")
KINDS = (
    "SQL on SQLite",
    "SQL on Postgres",
    "SQL on MariaDB",
    "Glue",
    "DynamoDB",
    "Hive",
    *REST,
)
TRY = {"try-namespace": "migrator_try"}


@pytest.fixture(scope="session")
def fixture(s3: Server) -> Iterator[RestFixture]:
    require(FIXTURE)
    with (
        tempfile.TemporaryDirectory() as folder,
        RestFixture(s3, f"s3://{OLD}/rest", Path(folder) / "rest.db") as server,
    ):
        yield server


@pytest.fixture(scope="session")
def nessie(s3: Server) -> Iterator[Nessie]:
    require(NESSIE)
    with Nessie(s3, f"s3://{OLD}/nessie/") as server:
        yield server


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Place:
    return made_place(request.param, request, s3, tmp_path)


@pytest.fixture(params=REST)
def rest_place(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Place:
    return made_place(request.param, request, s3, tmp_path)


def made_place(kind: str, request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Place:
    if kind == "SQL on SQLite":
        place = sql_place(kind, f"sqlite:///{tmp_path}/sql.db", s3)
    elif kind == "SQL on Postgres":
        place = sql_place(kind, request.getfixturevalue("postgres_database"), s3, (PASSWORD,))
    elif kind == "SQL on MariaDB":
        place = sql_place(kind, request.getfixturevalue("mariadb_database"), s3, (PASSWORD,))
    elif kind in ("Glue", "DynamoDB"):
        place = (glue_place if kind == "Glue" else dynamodb_place)(kind, request.getfixturevalue("aws"), s3)
    elif kind == "Hive":
        place = hive_place(kind, request.getfixturevalue("hive"))
    else:
        server: RestFixture | Nessie = request.getfixturevalue("nessie" if kind == "Nessie" else "fixture")
        token = "t0p-secret-of-the-catalog"
        properties = {"type": "rest", "uri": server.uri, "token": token}
        if isinstance(server, RestFixture):
            properties |= {
                "REST by backend": {"backend": f"sqlite:///{server.database}"},
                "REST by rename": TRY,
                "REST by drop": {**TRY, "repoint-by": "drop", "allow-drop": "true"},
            }[kind]
        place = Place(kind, Pyiceberg("lake", **server.properties()), properties, s3, (token,))
    place.theirs.create_namespace(place.namespace)
    return place


# -- reading ---------------------------------------------------------------------------------------------


def test_lists_what_pyiceberg_made(place: Place) -> None:
    north = place.inside("eu", "north")
    place.theirs.create_namespace(place.inside("eu"))
    place.theirs.create_namespace(north)
    tables = [place.make("t"), place.make("t", namespace=north, rows=2)]
    listed = place.listed()
    assert {name: t.metadata_location for name, t in listed.items()} == {
        "t": tables[0].metadata_location,
        f"{north[len(place.namespace) + 1 :]}.t": tables[1].metadata_location,
    }
    assert {t.kind for t in listed.values()} == {"table"}
    with place.opened() as catalog:
        assert catalog.current(place.namespace, "t") == tables[0].metadata_location
        assert catalog.current(north, "t") == tables[1].metadata_location
        assert catalog.current(place.namespace, "nothing") is None
        assert catalog.current(place.inside("nowhere"), "t") is None


def test_describes_itself_without_secrets_and_always_the_same(place: Place) -> None:
    with place.opened() as one, place.opened() as other:
        assert one.describe() == other.describe()
        assert one.describe().startswith(place.properties["type"] + " ")
        assert not any(secret in one.describe() for secret in place.secrets)


# -- the swap --------------------------------------------------------------------------------------------


def test_swaps_and_swaps_back(place: Place) -> None:
    table = place.make("t", rows=2)
    there = place.moved(table)
    with place.opened() as catalog:
        catalog.check_repoint([there], [])
        catalog.repoint([there], [])
        assert catalog.current(there.namespace, "t") == there.new
        catalog.repoint([there], [])  # nothing is left to do
    assert place.seen(table) == (there.new, [0, 1])
    assert {name: t.metadata_location for name, t in place.listed().items()} == {"t": there.new}

    back = Repoint(there.namespace, "t", there.new, there.expected)
    with place.opened() as catalog:
        catalog.check_repoint([back], [])
        catalog.repoint([back], [])
        catalog.repoint([back], [])
    assert place.seen(table) == (there.expected, [0, 1])
    with place.opened() as catalog:
        catalog.repoint([there], [])
    assert place.seen(table) == (there.new, [0, 1])

    again = place.theirs.load_table(table.name())
    again.append(pa.table({"id": [7]}))
    location, rows = place.seen(table)
    assert rows == [0, 1, 7]
    assert {name: t.metadata_location for name, t in place.listed().items()} == {"t": location}
    with place.opened() as catalog, pytest.raises(PlanStale):
        catalog.repoint([back], [])  # it would lose a row
    assert place.seen(table) == (location, rows)


def test_a_table_that_moved_on_is_not_swapped(place: Place) -> None:
    tables = [place.make(name) for name in ("a", "b", "c")]
    there = [place.moved(table) for table in tables]
    tables[1].append(pa.table({"id": [5]}))
    before = [place.seen(table) for table in tables]
    with place.opened() as catalog:
        together = catalog.swaps_together
        with pytest.raises(PlanStale, match=r"n\w+\.b\b") as caught:
            catalog.repoint(there, [])
    assert not any(secret in str(caught.value) for secret in place.secrets)
    after = [place.seen(table) for table in tables]
    assert after[1:] == before[1:]
    assert after[0] == (before[0] if together else (there[0].new, [0]))


def test_a_table_that_is_gone(place: Place) -> None:
    there = place.moved(place.make("t"))
    place.theirs.drop_table((place.namespace, "t"))
    with place.opened() as catalog:
        assert catalog.current(place.namespace, "t") is None
        with pytest.raises(PlanStale):
            catalog.repoint([there], [])
        assert catalog.current(place.namespace, "t") is None


def test_tables_of_nested_namespaces_and_their_locations(place: Place) -> None:
    nested = place.inside("eu")
    old, new = (f"s3://{bucket}/there/eu" for bucket in (OLD, NEW))
    place.theirs.create_namespace(nested, {"location": old, "owner": "me"})
    there = place.moved(place.make("t", namespace=nested))
    change = NamespaceRepoint(nested, "location", old, new)
    with place.opened() as catalog:
        assert (nested, "location", old) in catalog.namespace_properties()
        catalog.check_repoint([there], [change])
        catalog.repoint([there], [change])
        catalog.repoint([there], [change])
        assert (nested, "location", new) in catalog.namespace_properties()
        assert catalog.current(nested, "t") == there.new
        with pytest.raises(PlanStale):
            catalog.repoint([], [NamespaceRepoint(nested, "location", "s3://elsewhere/", old)])
    properties = place.theirs.load_namespace_properties(nested)
    assert properties["location"] == new and properties["owner"] == "me"
    assert not [key for key in properties if key.startswith("migrator.dropped")]


def test_the_location_that_a_server_derives_can_be_changed_too(rest_place: Place) -> None:
    with rest_place.opened() as catalog:
        (old,) = [v for n, k, v in catalog.namespace_properties() if (n, k) == (rest_place.namespace, "location")]
        change = NamespaceRepoint(rest_place.namespace, "location", old, f"s3://{NEW}/derived")
        catalog.check_repoint([], [change])
        catalog.repoint([], [change])
    assert rest_place.theirs.load_namespace_properties(rest_place.namespace)["location"] == f"s3://{NEW}/derived"


def test_checking_leaves_nothing_behind(place: Place) -> None:
    there = place.moved(place.make("t"))
    before = place.everything()
    with place.opened() as catalog:
        catalog.check_repoint([there], [])
    assert place.everything() == before


@pytest.mark.parametrize("change", ["committed to", "dropped"])
def test_what_is_in_use_while_it_is_planned_can_be_repointed(place: Place, change: str) -> None:
    """The check tests what the catalog supports. The cutover handles changes that a writer made after the listing."""
    table, other = place.make("t"), place.moved(place.make("u"))
    there = place.moved(table)
    if change == "dropped":
        place.theirs.drop_table(table.name())
    else:
        table.append(pa.table({"id": [9]}))
    before = place.everything()
    with place.opened() as catalog:
        catalog.check_repoint([there, other], [])
        catalog.check_repoint([other, there], [])
    assert place.everything() == before


def test_views_are_swapped_by_those_who_can(rest_place: Place) -> None:
    place = rest_place
    table = place.make("t")
    schema = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": False, "type": "long"}]}
    sql = {"type": "sql", "sql": f"SELECT id FROM {place.namespace}.t", "dialect": "spark"}
    version = {"version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "representations": [sql]}
    version["default-namespace"] = [place.namespace]
    body = {"name": "v", "schema": schema, "view-version": version, "properties": {}}
    assert isinstance(place.theirs, Pyiceberg)
    made = place.theirs._session.post(place.theirs.url(f"namespaces/{place.namespace}/views"), json=body)
    assert made.status_code == 200, made.text
    listed = place.listed()
    assert {name: entry.kind for name, entry in listed.items()} == {"t": "table", "v": "view"}

    old = listed["v"].metadata_location
    new = old.replace(f"s3://{OLD}/", f"s3://{NEW}/")
    client = place.s3.client()
    client.copy_object(CopySource=old.removeprefix("s3://"), Bucket=NEW, Key=new.split("/", 3)[3])
    asked = [place.moved(table), Repoint(place.namespace, "v", old, new, "view")]
    with place.opened() as catalog:
        if place.kind in ("REST by rename", "REST by drop"):
            with pytest.raises(CatalogError, match=rf"has views.*{place.namespace}\.v"):
                catalog.check_repoint(asked, [])
            return
        catalog.check_repoint(asked, [])
        catalog.repoint(asked, [])
        catalog.repoint(asked, [])
        assert [catalog.current(place.namespace, name) for name in ("t", "v")] == [asked[0].new, new]
        catalog.repoint([Repoint(place.namespace, "v", new, old, "view")], [])
        assert catalog.current(place.namespace, "v") == old


# -- interruptions of catalogs that send several requests ------------------------------------------------------


class Crash(Exception):
    """The process ends here."""


def test_a_crash_before_any_request_can_be_resumed(rest_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place, crashes = rest_place, 0
    if "try-namespace" in place.properties:

        def found(_: object, client: RestClient, reader: RestReader) -> OneByOne:
            """The result of the trial, without its many requests. Other tests test the trial itself."""
            drops = place.kind == "REST by drop"
            return OneByOne(client, reader, DropSwap(client, reader) if drops else RenameSwap(client))

        monkeypatch.setattr(rest_catalog, "find_way", found)
    for back in (False, True):
        for after in range(100):
            for identifier in place.theirs.list_tables(place.namespace):
                place.theirs.drop_table(identifier)
            table = place.make(f"t{after}{'b' if back else ''}")
            asked = place.moved(table)
            if back:
                with place.opened() as catalog:
                    catalog.repoint([asked], [])
                asked = Repoint(asked.namespace, asked.name, asked.new, asked.expected)
            if not crashed(place, asked, after, monkeypatch):
                break
            crashes += 1
            with place.opened() as catalog:
                assert catalog.current(asked.namespace, asked.name) in (asked.expected, asked.new)
                assert isinstance(catalog, rest_catalog.RestCatalog)
                # Not tables(), which would list what all other tests have left on this server.
                assert [name for _, name, _ in catalog._reader.entries((place.namespace,))] == [asked.name]
            with place.opened() as catalog:
                catalog.repoint([asked], [])
            assert place.seen(table) == (asked.new, [0])
        else:
            raise AssertionError("it never ends")
    assert crashes >= (2 if place.kind == "REST by backend" else 4)


def crashed(place: Place, asked: Repoint, after: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Re-point, with a crash after that many requests. False if it needed fewer requests."""
    send, sent = RestClient.request, [0]

    def request(self: RestClient, *arguments: Any, **named: Any) -> Any:
        if sent[0] == after:
            raise Crash
        sent[0] += 1
        return send(self, *arguments, **named)

    with place.opened() as catalog:
        assert isinstance(catalog.swaps_together, bool)  # the trial is over
        with monkeypatch.context() as patch:
            patch.setattr(RestClient, "request", request)
            try:
                catalog.repoint([asked], [])
            except Crash:
                return True
    return False


# -- tables of others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["__migrator_old", "__migrator_new"])
def test_a_users_table_with_the_name_of_a_helper_is_never_touched(
    end: str, request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    table, users = place.make("t"), place.make(f"t{end}", rows=3)
    there, before = place.moved(table), place.seen(users)
    assert sorted(place.listed()) == ["t", f"t{end}"]
    with place.opened() as catalog:
        for refused in (catalog.check_repoint, catalog.repoint):
            with pytest.raises(CatalogError, match=f"an entry t{end}"):
                refused([there], [])
    assert place.seen(users) == before and place.seen(table) == (there.expected, [0])


def test_a_users_table_next_to_a_table_that_is_gone_is_never_touched(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    place.theirs.register_table((place.namespace, "t__migrator_new"), there.new)  # the swap was interrupted
    place.theirs.drop_table((place.namespace, "t"))
    users = place.make("t__migrator_old", rows=2)
    before = place.seen(users)
    with place.opened() as catalog:
        assert catalog.current(place.namespace, "t") is None
        with pytest.raises(PlanStale, match="is gone"):
            catalog.repoint([there], [])
    assert place.seen(users) == before and sorted(place.listed()) == ["t__migrator_new", "t__migrator_old"]


def test_a_table_left_renamed_by_a_swap_to_another_place_blocks_and_the_next_move_is_named(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    place.theirs.register_table((place.namespace, "t__migrator_new"), there.new)
    place.theirs.rename_table((place.namespace, "t"), (place.namespace, "t__migrator_old"))
    assert {name: t.metadata_location for name, t in place.listed().items()} == {"t": there.expected}
    elsewhere = Repoint(there.namespace, "t", there.expected, f"{there.new}.gz")
    with place.opened() as catalog, pytest.raises(CatalogError) as caught:
        catalog.check_repoint([elsewhere], [])
    assert "rename t__migrator_old back to t" in caught.value.next_move
    with place.opened() as catalog:
        catalog.check_repoint([there], [])
        catalog.repoint([there], [])
        assert catalog.current(place.namespace, "t") == there.new


def test_a_commit_right_before_the_rename_is_not_lost(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    table = place.make("t")
    there = place.moved(table)
    send, renames = RestClient.request, list[str]()

    def request_(self: RestClient, method: str, path: str, *arguments: Any, **named: Any) -> Any:
        if path == "tables/rename":
            if not renames:
                table.append(pa.table({"id": [9]}))
            renames.append(path)
        return send(self, method, path, *arguments, **named)

    with place.opened() as catalog:
        assert catalog.swaps_together is False
        monkeypatch.setattr(RestClient, "request", request_)
        with pytest.raises(PlanStale):
            catalog.repoint([there], [])
    assert place.seen(table)[1] == [0, 9]
    assert list(place.listed()) == ["t"]


def test_the_entry_put_aside_stays_hidden_when_the_old_bucket_is_gone(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    with place.opened() as catalog:
        catalog.repoint([there], [])
    properties = place.theirs.load_namespace_properties(place.namespace)
    assert properties["migrator.aside.t__migrator_old"] == str(
        place.theirs.load_table(f"{place.namespace}.t").metadata.table_uuid
    )
    s3.client().delete_object(Bucket=OLD, Key=there.expected.split("/", 3)[3])
    # The server would try for minutes to read that file: it is not asked to.
    assert {name: t.metadata_location for name, t in place.listed().items()} == {"t": there.new}


def test_without_a_trial_nothing_is_known(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    del place.properties["try-namespace"]
    with place.opened() as catalog, pytest.raises(CatalogError, match="is not known") as caught:
        catalog.check_repoint([there], [])
    assert "try-namespace" in caught.value.next_move and "backend" in caught.value.next_move


def test_the_trial_never_uses_a_namespace_with_tables(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    place.properties["try-namespace"] = place.namespace
    before = place.everything()
    with place.opened() as catalog, pytest.raises(CatalogError, match="is not empty: it has t"):
        catalog.check_repoint([there], [])
    assert place.everything() == before


def test_a_server_that_supports_nothing_is_named_with_its_answers(
    request: pytest.FixtureRequest, s3: Server, tmp_path: Path
) -> None:
    place = made_place("REST by rename", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    place.properties["repoint-by"] = "overwrite"
    before = place.everything()
    with place.opened() as catalog, pytest.raises(CatalogError, match=r"overwrite: .*409") as caught:
        catalog.check_repoint([there], [])
    assert place.everything() == before
    assert not any(secret in str(caught.value) for secret in place.secrets)


def test_a_backend_that_is_not_the_servers(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> None:
    place = made_place("REST by backend", request, s3, tmp_path)
    there = place.moved(place.make("t"))
    other = sql_place("other", f"sqlite:///{tmp_path}/other.db", s3)
    other.theirs.create_namespace("x")
    other.make("t", namespace="x")
    place.properties["backend"] = f"sqlite:///{tmp_path}/other.db"
    with place.opened() as catalog, pytest.raises(MigratorError, match="does not have it"):
        catalog.check_repoint([there], [])
