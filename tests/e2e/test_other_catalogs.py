"""A lake whose tables are in Glue, in DynamoDB or in MariaDB is migrated, and works without the old buckets."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from catalogs.contract import OLD, NoReader, Place, dynamodb_place, glue_place, sql_place
from catalogs.servers.aws import Aws
from migrator.catalogs import open_catalog
from migrator.cli import main
from migrator.config import load
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server
from postgres import PASSWORD

BUCKETS = (OLD,)
TABLES = ("customers", "orders")


@pytest.fixture(params=["Glue", "DynamoDB", "MariaDB"])
def place(request: pytest.FixtureRequest, s3: Server, aws: Aws) -> Place:
    if request.param == "MariaDB":
        return sql_place(request.param, request.getfixturevalue("mariadb_database"), s3, (PASSWORD,))
    return (glue_place if request.param == "Glue" else dynamodb_place)(request.param, aws, s3)


def run(place: Place, *arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + result.stderr + repr(result.exception)
    assert not any(secret in result.output + result.stderr for secret in place.secrets)
    return result


def write_config(place: Place, folder: Path) -> Path:
    lines = ["[source]", f'endpoint_url = "{place.s3.endpoint_url}"', "[layout]", f'"s3://{OLD}/" = "{OLD}/"']
    lines += ["[catalogs.lake]", *(f'"{key}" = {json.dumps(value)}' for key, value in place.properties.items())]
    (folder / "lake.toml").write_text("\n".join(lines) + "\n")
    return folder / "lake.toml"


def state(place: Place) -> tuple[dict[str, str], list[list[int]], str]:
    """The location of each table, its rows, and the location of the namespace, as pyiceberg reads them."""
    tables = [place.theirs.load_table((place.namespace, name)) for name in TABLES]
    rows = [sorted(table.scan().to_arrow()["id"].to_pylist()) for table in tables]
    location = place.theirs.load_namespace_properties(place.namespace)["location"]
    return {table.name()[-1]: table.metadata_location for table in tables}, rows, str(location)


def test_a_lake_moves_goes_back_and_moves_for_good(place: Place, tmp_path: Path) -> None:
    place.theirs.create_namespace(place.namespace, {"location": f"s3://{OLD}/wh/there"})
    for name in TABLES:
        place.make(name, rows=2)
    before, plan = state(place), tmp_path / "plan.db"
    config = write_config(place, tmp_path)
    run(place, "plan", "--config", config, "-o", plan)
    assert state(place) == before
    run(place, "migrate", plan, "--yes")
    moved = state(place)
    assert moved[1] == before[1]
    run(place, "rollback", plan, "--yes")
    assert state(place) == before
    run(place, "migrate", plan, "--yes")
    assert state(place) == moved

    delete_buckets(place.s3.client(), {OLD})
    run(place, "verify", plan)
    pointers, rows, location = state(place)
    assert (rows, location) == ([[0, 1], [0, 1]], f"s3://data-lake/{OLD}/wh/there")
    assert all(pointer.startswith(f"s3://data-lake/{OLD}/") for pointer in pointers.values())
    for name in TABLES:
        place.theirs.load_table((place.namespace, name)).append(pa.table({"id": [99]}))
    pointers, rows, _ = state(place)
    assert rows == [[0, 1, 99], [0, 1, 99]]
    assert all(pointer.startswith(f"s3://data-lake/{OLD}/") for pointer in pointers.values())
    with closing(open_catalog("lake", load(config).catalogs["lake"], NoReader())) as ours:
        assert {t.name: t.metadata_location for t in ours.tables() if t.namespace == place.namespace} == pointers
    run(place, "log", plan)
    for file in tmp_path.glob("plan*"):
        assert not any(secret.encode() in file.read_bytes() for secret in place.secrets), file
