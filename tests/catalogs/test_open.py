"""Which catalog a set of properties stands for, and where the properties come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrator.catalogs import WarehouseReader, open_catalog, properties_of
from migrator.errors import CatalogError, ConfigError


class NoReader:
    def keys(self, bucket: str, prefix: str) -> Iterable[str]:
        raise AssertionError("opening reads nothing")

    def get(self, bucket: str, key: str) -> bytes:
        raise AssertionError("opening reads nothing")


READER: WarehouseReader = NoReader()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for .pyiceberg.yaml, which is empty. There is no other such file."""
    for variable in ("PYICEBERG_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", [{"type": "sql"}, {"type": "SQL"}, {}])
def test_sql_said_or_inferred(tmp_path: Path, given: dict[str, str]) -> None:
    uri = f"sqlite:///{tmp_path}/catalog.db"
    with pytest.raises(CatalogError, match="does not exist"):
        open_catalog("lake", {"uri": uri, **given}, READER)
    engine = sa.create_engine(uri)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE iceberg_tables (catalog_name VARCHAR)")
    engine.dispose()
    catalog = open_catalog("lake", {"uri": uri, **given}, READER)
    assert (catalog.name, catalog.kind, catalog.describe()) == ("lake", "sql", f"sql {uri}")
    catalog.close()
    catalog.close()


@pytest.mark.parametrize("uri", ["mysql://u:wr0ng@x", "mysql+pymysql://u:wr0ng@x", "mariadb+pymysql://u:wr0ng@x"])
def test_a_uri_of_mysql_means_sql(uri: str) -> None:
    with pytest.raises(ConfigError, match="The uri of catalog 'x' names no database") as caught:
        open_catalog("x", {"uri": uri}, READER)
    assert "wr0ng" not in str(caught.value)


def test_hadoop() -> None:
    catalog = open_catalog("files", {"type": "hadoop", "warehouse": "s3a://lake/wh"}, READER)
    assert (catalog.name, catalog.kind, catalog.describe()) == ("files", "hadoop", "hadoop s3a://lake/wh")


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"type": "in-memory", "uri": "x://user:wr0ng@x"}, "in-memory"),
        ({"type": "BigQuery"}, "bigquery"),
        ({"py-catalog-impl": "my.Catalog", "uri": "http://x"}, "my.catalog"),
    ],
)
def test_other_types_are_refused_by_name(properties: dict[str, str], kind: str) -> None:
    with pytest.raises(ConfigError, match=f"Catalog 'x' is of type '{kind}', which migrator cannot") as caught:
        open_catalog("x", properties, READER)
    assert "wr0ng" not in str(caught.value)
    assert caught.value.next_move


@pytest.mark.parametrize(
    ("properties", "missing"),
    [
        ({"type": "sql"}, "'uri'"),
        ({"type": "hadoop", "uri": "s3://x"}, "'warehouse'"),
        ({"warehouse": "s3://x"}, "type"),
        ({"uri": "oracle://u:wr0ng@x"}, "type"),
    ],
)
def test_what_is_missing_is_named(properties: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigError, match="Catalog 'x'") as caught:
        open_catalog("x", properties, READER)
    assert missing in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_properties_merge_under_what_is_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".pyiceberg.yaml").write_text(
        "catalog:\n  lake:\n    uri: sqlite:///a.db\n    warehouse: s3://a\n    nested:\n      x: y\n"
    )
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__S3__ENDPOINT", "http://s3")
    assert properties_of("lake", {"uri": "sqlite:///b.db"}) == {
        "uri": "sqlite:///b.db",
        "warehouse": "s3://a",
        "s3.endpoint": "http://s3",
    }
    assert properties_of("lake", None)["uri"] == "sqlite:///a.db"
    assert properties_of("new", {"type": "hadoop"}) == {"type": "hadoop"}


@pytest.mark.parametrize("given", [None, {}])
def test_an_unknown_catalog(home: Path, given: dict[str, str] | None) -> None:
    with pytest.raises(ConfigError, match="Catalog 'lake' is not configured"):
        properties_of("lake", given)


@pytest.mark.parametrize(
    "text", ["catalog:\n  lake:\n    uri: [wr0ng\n", "catalog:\n  lake: wr0ng\n", "catalog: wr0ng\n", "\0wr0ng"]
)
def test_a_broken_configuration_is_never_quoted(home: Path, text: str) -> None:
    (home / ".pyiceberg.yaml").write_text(text)
    with pytest.raises(ConfigError, match="'lake'") as caught:
        properties_of("lake", {"uri": "sqlite:///b.db"})
    assert "wr0ng" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
