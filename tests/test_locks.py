"""The plugin of tests/locks.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pyiceberg.catalog import sql
from sqlalchemy import text


def test_a_query_of_pyiceberg_that_is_not_read_to_its_end_locks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    with closing(sql.SqlCatalog("lake", uri=f"sqlite:///{file}")) as catalog:
        for name in "abc":
            catalog.create_namespace(name, {"location": f"s3://bucket/{name}"})
        with sql.Session(catalog.engine) as session:
            # Kept in a variable, so that it does not depend on chance whether the cursor exists at the end.
            unread = session.execute(text("SELECT 1 FROM iceberg_namespace_properties"))
    with closing(sqlite3.connect(file, timeout=0)) as other, other:
        assert other.execute("UPDATE iceberg_namespace_properties SET property_value = 's3://other/'").rowcount == 3
    assert unread.closed
