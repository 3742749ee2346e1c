"""For tests about the places of tables: pyiceberg writes tables into the store, they are moved and written to at the
target, and the advice of a plan is followed."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from migrator.catalogs import Catalog
from migrator.store import Content, Store
from plan.handmade import LAYOUT, Named, migrated, planned
from plan.memory import PROPERTIES, Memory, opened, written

ROWS = pa.table({"n": range(3)})

Layout = dict[str, str | bool]


def make(store: Store, location: str, *, appends: int = 2, **properties: str) -> Table:
    """A new table at this location, with three rows for each append."""

    def create(catalog: SqlCatalog) -> Table:
        table = catalog.create_table("db.t", ROWS.schema, location=location, properties=properties)
        for _ in range(appends):
            table.append(ROWS)
        return table

    return written(store, create)


def append(store: Store, metadata: str, bucket: str) -> str:
    """Append three rows to the table in its present place, and return its new metadata location."""
    opened(store, metadata, bucket)
    before = set(Memory.store)
    with closing(SqlCatalog("memory", uri="sqlite:///:memory:", **PROPERTIES)) as catalog:
        catalog.create_namespace("db")
        table = catalog.register_table("db.t", metadata)
        table.append(ROWS)
    for path in set(Memory.store) - before:
        at, _, key = path.removeprefix("/").partition("/")
        store.put(at, key, Content(Memory.store[path].getvalue(), ""))
    return table.metadata_location


def rows(store: Store, metadata: str) -> int:
    """How many rows the table has, read from the target alone."""
    return int(opened(store, metadata).scan().to_arrow().num_rows)


def replan(store: Store, folder: Path, *catalogs: Catalog, **settings: Any) -> dict[str, Any]:
    """Replace the last plan by a new one."""
    (folder / "plan.db").unlink(missing_ok=True)
    return planned(store, folder, *catalogs, **settings)


def cut_over(store: Store, folder: Path, catalog: Named, layout: Layout | None = None) -> None:
    """Plan and migrate, and set the catalog's pointers to the target."""
    described = replan(store, folder, catalog, layout=layout or LAYOUT)
    assert not described["blocked"], described["findings"]
    migrated(store, folder)
    for table in described["tables"]:
        if table["catalog"] == catalog.name and table["new_metadata"]:
            catalog.pointers[table["name"]] = table["new_metadata"]


def advised(described: dict[str, Any], code: str) -> Layout:
    """The rules that the blocking findings of this code propose."""
    moves = [f["next_move"] for f in described["findings"] if f["code"] == code and f["severity"] == "block"]
    rules = [match for move in moves for match in re.findall(r'("[^"]+") = ("[^"]+"|false)', move)]
    return {json.loads(old): json.loads(new) for old, new in rules}


def new_locations(described: dict[str, Any]) -> dict[str, str]:
    return {table["identifier"]: table["new_location"] for table in described["tables"]}
