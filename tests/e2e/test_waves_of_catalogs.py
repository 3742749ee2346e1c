"""Waves over several catalogs, one of which is a Hadoop catalog, whose pointers are objects."""

from __future__ import annotations

from pathlib import Path

from e2e.small_lake import OLD, TARGET, HadoopTable, SmallLake
from migrator import api
from migrator.config import load


def wave(lake: SmallLake, folder: Path, name: str, *only: str) -> tuple[Path, dict[str, str]]:
    """A plan that was carried out, and table → state in it."""
    config, path = folder / f"{name}.toml", folder / f"{name}.db"
    config.write_text(f"{lake.config.read_text()}[tables]\nonly = {list(only)}\n")
    described = api.plan_lake(load(config), path)
    assert not described["blocked"], described["findings"]
    assert api.migrate_lake(path).ok
    return path, {t["identifier"]: t["state"] for t in described["tables"]}


def test_a_hadoop_table_moves_in_a_wave_of_its_own(lake: SmallLake, tmp_path: Path) -> None:
    one, states = wave(lake, tmp_path, "one", "local.*")
    assert states == {"one.db.a": "later", "two.db.b": "later", "local.ops.h": "rewrite"}
    assert all(key.startswith("bronze/hwh/ops/h/") for key in lake.listing(TARGET))
    two, states = wave(lake, tmp_path, "two", "one.db.*")
    assert states == {"one.db.a": "rewrite", "two.db.b": "later", "local.ops.h": "earlier"}
    assert api.retire_lake(two, confirm=TARGET, cooling="0").ok and not lake.listing("bronze", "wh/a")
    assert lake.listing("bronze", "hwh/ops/h")
    assert api.retire_lake(one, confirm=TARGET, cooling="0").ok and not lake.listing("bronze", "hwh/ops/h/data")
    rest, states = wave(lake, tmp_path, "rest")
    assert states["two.db.b"] == "rewrite" and states["one.db.a"] == "migrated"
    for table in lake.tables:
        if isinstance(table, HadoopTable):
            table.set_pointer(f"s3://{TARGET}/")
    for bucket in OLD:
        lake.empty(bucket)
    rows = {table.name: lake.read(table.pointer) for table in lake.tables}
    assert rows == {"a": {0, 1}, "b": {1000, 1001}, "h": {2000, 2001}}
    assert api.verify_lake(rest).ok
