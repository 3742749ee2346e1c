"""REST catalogs: what servers answer is untrusted, and no message has a secret. The swaps are in test_contract.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from catalogs.contract import NoReader
from catalogs.rest_double import RestDouble, error
from migrator.catalogs import Repoint, open_catalog
from migrator.catalogs.base import Catalog
from migrator.catalogs.rest import client as rest_client
from migrator.catalogs.rest.client import Answer, RestClient
from migrator.errors import CannotRepoint, CatalogError, ConfigError, MigratorError, PlanStale

TOKEN = "t0p-secret"
TRY = {"try-namespace": "a.trial"}
MOVE = Repoint("a", "t", "s3://old/t/1.json", "s3://new/t/1.json")
BACK = Repoint("a", "t", "s3://new/t/1.json", "s3://old/t/1.json")


@pytest.fixture
def server() -> Iterator[RestDouble]:
    with RestDouble() as double:
        double.add("a", "t", MOVE.expected)
        yield double


@contextmanager
def opened(server: RestDouble, **properties: Any) -> Iterator[Catalog]:
    with closing(open_catalog("lake", {"uri": server.uri, "token": TOKEN, **properties}, NoReader())) as catalog:
        yield catalog


# -- reading ---------------------------------------------------------------------------------------------


def test_reads_page_after_page_and_namespaces_with_dots(server: RestDouble) -> None:
    server.page = 2
    for number in range(5):
        server.add("a", f"t{number}", f"s3://old/{number}.json", f"u{number}")
    for number in range(3):
        server.namespaces[("b", f"x{number}")] = {"location": f"s3://old/{number}"}
    server.namespaces[("b",)] = {}
    server.namespaces[("v1.2",)] = {}
    server.tables[("v1.2", "t")] = "s3://old/dot.json", "ud"
    with opened(server) as catalog:
        assert [t.identifier for t in catalog.tables()] == [
            *("lake.a.t", "lake.a.t0", "lake.a.t1", "lake.a.t2", "lake.a.t3", "lake.a.t4", "lake.v1.2.t")
        ]
        assert catalog.current("v1.2", "t") == "s3://old/dot.json"
        assert catalog.namespace_properties() == [("b.x0", "location", "s3://old/0")] + [
            (f"b.x{n}", "location", f"s3://old/{n}") for n in (1, 2)
        ]
    assert server.tokens == {f"Bearer {TOKEN}"}


def test_two_namespaces_with_one_dotted_name_are_named(server: RestDouble) -> None:
    server.namespaces |= {("a", "b"): {}, ("a.b",): {}}
    with opened(server) as catalog, pytest.raises(CatalogError, match=r"both written a\.b"):
        catalog.tables()


def test_a_server_that_ignores_the_parent(server: RestDouble) -> None:
    server.replies["GET namespaces"] = 200, {"namespaces": [["a"], ["b"]]}
    with opened(server) as catalog:
        assert [t.name for t in catalog.tables()] == ["t"]


def test_views_are_left_out_only_where_the_server_has_none(server: RestDouble) -> None:
    server.replies["GET namespaces/a/views"] = 200, {"identifiers": [{"namespace": ["a"], "name": "v"}]}
    answer = {"metadata-location": "s3://old/v.json", "metadata": {"view-uuid": "x"}}
    server.replies["GET namespaces/a/views/v"] = 200, answer
    with opened(server, **TRY) as catalog:
        assert [(t.name, t.kind) for t in catalog.tables()] == [("t", "table"), ("v", "view")]
        assert catalog.current("a", "v") == "s3://old/v.json"
        view = Repoint("a", "v", "s3://old/v.json", "s3://new/v.json", "view")
        with pytest.raises(CannotRepoint, match=r"has views.*a\.v") as caught:
            catalog.check_repoint([MOVE, view], [])
        assert "backend" in caught.value.next_move
    server.replies["GET namespaces/a/views"] = error(403, "no")
    with opened(server) as catalog, pytest.raises(CatalogError, match="403 no"):
        catalog.tables()
    server.config = {"endpoints": ["GET /v1/{prefix}/namespaces"]}
    with opened(server) as catalog:
        assert [t.name for t in catalog.tables()] == ["t"]


@pytest.mark.parametrize(
    ("path", "reply", "said"),
    [
        ("namespaces", b"<html>", "no JSON object"),
        ("namespaces", b"[" * 100_000, "no JSON object"),
        ("namespaces", (200, ["a"]), "no JSON object"),
        ("namespaces", (200, {}), "no list of namespaces"),
        ("namespaces", (200, {"namespaces": [7]}), "no list of texts"),
        ("namespaces", (200, {"namespaces": [], "next-page-token": "x"}), "is repeated"),
        ("namespaces", (200, {"namespaces": [], "next-page-token": 7}), "is not text"),
        ("namespaces", error(403, f"bad {TOKEN}"), r"refused GET namespaces: 403 bad \*\*\*"),
        ("namespaces", (500, "x"), "500"),
        ("namespaces/a/tables", (200, {"identifiers": [{}]}), "without a name"),
        ("namespaces/a/tables", (200, {"identifiers": "x"}), "no list of identifiers"),
        ("namespaces/a/tables/t", (200, {"metadata": {}}), "no metadata-location"),
        ("namespaces/a/tables/t", (200, {"metadata-location": 7}), "no metadata-location"),
        ("namespaces/a/tables/t", error(404, "the file is gone", "NotFoundException"), "404 the file is gone"),
        ("namespaces/a", (200, {"properties": []}), ""),
        ("namespaces/a", (200, {"properties": [1]}), "no object"),
    ],
)
def test_strange_answers_name_the_place(server: RestDouble, path: str, reply: Any, said: str) -> None:
    server.replies[f"GET {path}"] = reply
    with opened(server) as catalog:
        if not said:
            assert catalog.tables() and not catalog.namespace_properties()
            return
        with pytest.raises(CatalogError, match=said) as caught:
            catalog.tables()
    assert "'lake'" in str(caught.value) and TOKEN not in str(caught.value)


def test_an_answer_that_is_too_long(server: RestDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_client, "MAX_ANSWER", 1000)
    server.replies["GET namespaces"] = b" " * 2000
    with opened(server) as catalog, pytest.raises(CatalogError, match="longer than 1,000 bytes"):
        catalog.tables()


def test_a_table_that_goes_while_it_is_listed(server: RestDouble) -> None:
    server.replies["GET namespaces/a/tables"] = 200, {"identifiers": [{"name": "t"}, {"name": "gone"}]}
    with opened(server) as catalog:
        assert [t.name for t in catalog.tables()] == ["t"]


# -- opening ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [b"<html>", (500, "x"), (401, f"no {TOKEN}"), (200, {"defaults": TOKEN})])
def test_a_configuration_that_cannot_be_read(server: RestDouble, reply: Any) -> None:
    server.replies["GET config"] = reply
    with pytest.raises(CatalogError, match="'lake' does not answer") as caught, opened(server):
        pass
    assert TOKEN not in str(caught.value) and caught.value.__cause__ is None


def test_no_server() -> None:
    properties = {"type": "rest", "uri": "http://me:pa55word@127.0.0.1:1/x?token=hidden", "credential": "id:s3cret"}
    with pytest.raises(CatalogError, match="refused") as caught:
        open_catalog("lake", properties, NoReader())
    assert not any(secret in str(caught.value) for secret in ("pa55word", "hidden", "s3cret"))


def test_describes_itself_without_secrets(server: RestDouble) -> None:
    uri = server.uri.replace("//", "//me:pa55word@") + "?key=hidden"
    server.config = {"overrides": {"uri": server.uri}}
    server.replies["GET config"] = 200, server.config
    with opened(server, uri=server.uri, warehouse="s3://me:pa55word@old/wh?x=hidden") as catalog:
        assert catalog.describe() == f"rest {server.uri} s3://old/wh"
    from migrator.catalogs.rest.catalog import without_secrets

    assert without_secrets(uri) == server.uri


@pytest.mark.parametrize(
    "given",
    [
        {"repoint-by": "magic"},
        {"repoint-by": "drop", "try-namespace": "x"},
        {"repoint-by": "backend"},
        {"allow-drop": "perhaps"},
        {"try-namespace": "a..b"},
    ],
)
def test_options_that_cannot_be_right(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"\[catalogs.lake\] "):
        open_catalog("lake", {"type": "rest", "uri": "http://127.0.0.1:1", **given}, NoReader())


def test_no_uri() -> None:
    with pytest.raises(ConfigError, match="'uri'"):
        open_catalog("lake", {"type": "rest"}, NoReader())


def test_a_token_is_fetched_for_a_credential_and_renewed_when_it_expired(
    server: RestDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = iter(["first-token", "second-token"])
    answer = server.answer

    def answering(method: str, url: str, body: dict[str, Any]) -> Any:
        if url == "/v1/oauth/tokens":
            return 200, {"access_token": next(tokens), "token_type": "bearer"}
        if url == "/v1/namespaces" and "Bearer second-token" not in server.tokens:
            return error(401, "first-token is over")
        if url == "/v1/namespaces/a/tables/t?snapshots=refs":
            return error(403, "no, second-token")
        return answer(method, url, body)

    monkeypatch.setattr(server, "answer", answering)
    properties = {"type": "rest", "uri": server.uri, "credential": "me:s3cret", "header.X-Tenant": "blue"}
    refused = pytest.raises(CatalogError, match=r"403 no, \*\*\*")
    with closing(open_catalog("lake", properties, NoReader())) as catalog, refused as caught:
        catalog.tables()
    assert not any(secret in str(caught.value) for secret in ("first-token", "second-token", "s3cret"))
    assert server.tokens >= {"Bearer first-token", "Bearer second-token"} and server.tenants == {"blue"}


# -- overwriting, which no real server here supports -------------------------------------------------------------


def test_registers_over_the_old_entry(server: RestDouble) -> None:
    with opened(server, **TRY) as catalog:
        catalog.check_repoint([MOVE], [])
        assert server.tables == {("a", "t"): (MOVE.expected, "u1")}  # the trial left nothing
        assert ("a", "trial") not in server.namespaces
        assert catalog.swaps_together is False
        catalog.repoint([MOVE], [])
        catalog.repoint([MOVE], [])
        assert catalog.current("a", "t") == MOVE.new
        server.add("a", "t", "s3://new/t/2.json")
        with pytest.raises(PlanStale, match=r"s3://new/t/2\.json"):
            catalog.repoint([MOVE], [])
        del server.tables[("a", "t")]
        with pytest.raises(PlanStale, match="is gone"):
            catalog.repoint([MOVE], [])
    assert server.tables == {}


@pytest.mark.parametrize("status", [400, 403, 406, 409, 500])
def test_a_server_that_refuses_to_overwrite_is_no_success(server: RestDouble, status: int) -> None:
    for name in ("a\x1ftrial", "a%1Ftrial"):
        server.replies[f"POST namespaces/{name}/register"] = error(status, f"no, {TOKEN}")
    with opened(server, **TRY) as catalog, pytest.raises(CannotRepoint) as caught:
        catalog.check_repoint([MOVE], [])
    said = caught.value.message
    assert f"overwrite: Catalog 'lake' refused POST namespaces/a.trial/register: {status} no, ***" in said
    assert "rename: " in said and "drop: not tested" in said and TOKEN not in str(caught.value)
    assert server.tables == {("a", "t"): (MOVE.expected, "u1")}


def test_a_server_that_says_yes_and_does_nothing(server: RestDouble) -> None:
    server.replies["POST namespaces/a%1Ftrial/register"] = 200, {}
    said = pytest.raises(CannotRepoint, match="but the server of catalog 'lake' shows it at")
    with opened(server, **TRY, **{"repoint-by": "overwrite"}) as catalog, said:
        catalog.check_repoint([MOVE], [])


# -- dropping --------------------------------------------------------------------------------------------


def test_a_registration_that_fails_after_the_drop_puts_the_table_back(
    server: RestDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = RestClient.request

    def request(self: RestClient, method: str, path: str, body: Any = None, *more: Any, **named: Any) -> Any:
        if path.endswith("/register") and body["metadata-location"] == MOVE.new:
            raise CatalogError("no")
        return send(self, method, path, body, *more, **named)

    with opened(server, **TRY, **{"repoint-by": "drop", "allow-drop": "true"}) as catalog:
        catalog.check_repoint([MOVE], [])
        monkeypatch.setattr(RestClient, "request", request)
        with pytest.raises(CatalogError, match="no"):
            catalog.repoint([MOVE], [])
        assert catalog.current("a", "t") == MOVE.expected
    assert server.tables == {("a", "t"): (MOVE.expected, "u1")} and server.namespaces[("a",)] == {}


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("status", [0, 404, 409, 503, 504], ids=["lost", "404", "409", "503", "504"])
@pytest.mark.parametrize("request_of", ["DELETE", "register new", "register both"])
def test_an_answer_that_is_no_success_never_costs_the_table(
    server: RestDouble, monkeypatch: pytest.MonkeyPatch, request_of: str, status: int, done: bool
) -> None:
    """A gateway may answer for a server that has done what it was asked. Run again, the swap ends in the new place."""
    send = RestClient.request

    def request(self: RestClient, method: str, path: str, body: Any = None, *more: Any, **named: Any) -> Any:
        new = path.endswith("/register") and body["metadata-location"] == MOVE.new
        hit = {
            "DELETE": method == "DELETE",
            "register new": new,
            "register both": path.endswith("/register"),
        }[request_of]
        if not hit:
            return send(self, method, path, body, *more, **named)
        if done:
            send(self, method, path, body, *more, **named)
        if not status:
            raise CatalogError("no answer")
        return Answer(status, {"error": {"message": "no", "type": "", "code": status}})

    with opened(server, **TRY, **{"repoint-by": "drop", "allow-drop": "true"}) as catalog:
        catalog.check_repoint([MOVE], [])
        with monkeypatch.context() as faults:
            faults.setattr(RestClient, "request", request)
            try:
                catalog.repoint([MOVE], [])
            except CatalogError as error:
                untrue = server.tables and "confirmed neither" in error.message
                assert not untrue and catalog.current("a", "t") in (MOVE.expected, MOVE.new)
                assert [table.name for table in catalog.tables()] == ["t"]
        catalog.repoint([MOVE], [])
    assert server.tables == {("a", "t"): (MOVE.new, "u1")} and server.namespaces[("a",)] == {}


@pytest.mark.parametrize("then", [MOVE, BACK], ids=["again", "back"])
@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("status", [0, 409, 503], ids=["lost", "409", "503"])
@pytest.mark.parametrize(("way", "number"), [("overwrite", 0), *(("rename", n) for n in range(4))])
def test_after_any_answer_that_is_lost_a_swap_continues_or_goes_back(
    server: RestDouble, monkeypatch: pytest.MonkeyPatch, way: str, number: int, status: int, done: bool, then: Repoint
) -> None:
    """``number``: of the request that changes something."""
    send, server.renames, changes = RestClient.request, True, []

    def request(self: RestClient, method: str, path: str, *more: Any, **named: Any) -> Any:
        changes.append(path) if method != "GET" else None
        if method == "GET" or len(changes) != number + 1:
            return send(self, method, path, *more, **named)
        if done:
            send(self, method, path, *more, **named)
        if not status:
            raise CatalogError("no answer")
        return Answer(status, {"error": {"message": "no", "type": "", "code": status}})

    with opened(server, **TRY, **{"repoint-by": way}) as catalog:
        catalog.check_repoint([MOVE], [])
        with monkeypatch.context() as faults, pytest.raises(CatalogError):
            faults.setattr(RestClient, "request", request)
            catalog.repoint([MOVE], [])
        assert len(changes) == number + 1 and [table.name for table in catalog.tables()] == ["t"]
        catalog.repoint([then], [])
        assert catalog.current("a", "t") == then.new
    assert server.tables[("a", "t")] == (then.new, "u1")


@pytest.mark.parametrize("body", [b"<html>Not found</html>", b"not here"])
def test_the_404_of_a_proxy_is_no_missing_table(server: RestDouble, body: bytes) -> None:
    """The table would be left out of a plan, or somebody would be blamed for having dropped it."""
    server.raw["GET namespaces/a/tables/t"] = 404, body
    with opened(server, **TRY, **{"repoint-by": "overwrite"}) as catalog:
        for ask in (lambda: catalog.current("a", "t"), catalog.tables, lambda: catalog.repoint([MOVE], [])):
            with pytest.raises(CatalogError, match="404"):
                ask()
    assert server.tables == {("a", "t"): (MOVE.expected, "u1")}


def test_a_table_that_somebody_else_dropped_is_not_registered(server: RestDouble) -> None:
    del server.tables[("a", "t")]
    gone = pytest.raises(PlanStale, match="is gone")
    with opened(server, **TRY, **{"repoint-by": "drop", "allow-drop": "true"}) as catalog, gone:
        catalog.repoint([MOVE], [])
    assert server.tables == {}


# -- Nessie ----------------------------------------------------------------------------------------------


def test_nessies_own_api_on_another_server_does_not_get_the_token(server: RestDouble) -> None:
    nessie = {"nessie.is-nessie-catalog": "true", "nessie.core-base-uri": "http://127.0.0.2:1/api/"}
    server.config = {"overrides": nessie}
    with opened(server) as catalog, pytest.raises(MigratorError, match="another host"):
        catalog.check_repoint([MOVE], [])


# -- the database behind it --------------------------------------------------------------------------------


def test_the_database_behind_the_server_may_be_mariadb(server: RestDouble, mariadb_database: str) -> None:
    engine = sa.create_engine(mariadb_database)
    columns = "catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location"
    with engine.begin() as connection:
        definition = ", ".join(f"{column} VARCHAR(200)" for column in columns.split(", "))
        connection.exec_driver_sql(f"CREATE TABLE iceberg_tables ({definition})")
        connection.exec_driver_sql(f"INSERT INTO iceberg_tables VALUES ('prod', 'a', 't', '{MOVE.expected}', NULL)")
    with opened(server, backend=mariadb_database) as catalog:
        assert catalog.swaps_together
        catalog.check_repoint([MOVE], [])
        with pytest.raises(CatalogError, match="but the server of catalog 'lake' shows it at"):
            catalog.repoint([MOVE], [])  # the double does not read the database
        server.tables[("a", "t")] = MOVE.new, server.tables[("a", "t")][1]
        catalog.repoint([MOVE], [])
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT {columns} FROM iceberg_tables").all()
    assert rows == [("prod", "a", "t", MOVE.new, MOVE.expected)]
    engine.dispose()
