"""``migrator tables``: what it says of the demo's lake, and that it changes nothing."""

from __future__ import annotations

import json

from e2e.world import World


def test_every_table_is_described(world: World) -> None:
    before = world.listing("warehouse", "bronze", "silver", "gold")
    document = json.loads(world.run("tables", "--config", world.config, "--json").stdout)
    tables = {t["identifier"]: t for t in document["tables"]}
    assert {*world.lake.tables} - {"forgotten"} <= set(tables)
    assert all(t["migratable"] and not t["problems"] for t in tables.values() if t["catalog"])
    sales = tables["iceberg.gold.daily_sales"]
    assert [d["kind"] for d in sales["deletes"]] == ["position deletes"] and sales["delete_bytes"] > 0
    assert sales["format_version"] == 2 and sales["data_bytes"] > 0 and "position deletes" in sales["features"]
    assert tables["iceberg.silver.legacy_v1"]["format_version"] == 1
    text = world.run("tables", "--config", world.config).stdout
    assert "iceberg.gold.daily_sales  v2" in text and "can be migrated" in text
    assert world.listing("warehouse", "bronze", "silver", "gold") == before
    assert "data-lake" not in world.buckets() and not list(world.folder.glob("*.db"))


def test_a_table_that_cannot_be_migrated_is_named_and_the_exit_code_says_so(world: World) -> None:
    bucket, _, key = world.lake.tables["iceberg.gold.empty"].partition("://")[2].partition("/")
    document = json.loads(world.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["encryption-keys"] = [{"key-id": "k", "encrypted-key-metadata": "AAAA"}]
    with world.replaced(bucket, key, json.dumps(document).encode()):
        output = world.run("tables", "--config", world.config, exit_code=3).stdout
    assert "blocked: encrypted-table" in output and "1 of them blocked" in output
