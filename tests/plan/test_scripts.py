"""The plan says what the scripts of the lake hold; it changes none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.errors import AccessDenied, Unreachable
from migrator.plan import scripts
from migrator.store import Store
from plan.handmade import planned, put

SCRIPTS = {
    "etl/a.py": b"spark.read.load('s3a://bronze/x') # s3a://warehouse/\n",
    "etl/b.py": b"get_object(Bucket='bronze')\ns3a://bronze\n",
    "etl/c.sql": b"SELECT * FROM iceberg.bronze.raw_events",
    "d.jar": b"PK\0s3a://bronze/x",
    "empty.py": b"",
}


@pytest.fixture
def scripted(lake: Store) -> Store:
    lake.create_bucket("scripts")
    for name, data in SCRIPTS.items():
        put(lake, f"s3://scripts/{name}", data)
    return lake


LAYOUT = {"s3://scripts/": "scripts/", "s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/"}


def said(lake: Store, tmp_path: Path, **settings: Any) -> list[tuple[str, str, int]]:
    found = planned(lake, tmp_path, layout=LAYOUT, **settings)["findings"]
    return [(f["place"], f["message"], f["count"]) for f in found if f["code"] == "scripts-unchanged"]


def test_what_would_change_is_counted(scripted: Store, tmp_path: Path) -> None:
    message = "are copied as they are: 2 files would change in 3 places, 1 place must be looked at"
    assert said(scripted, tmp_path) == [("s3://scripts/", message, 5)]


def test_what_is_not_read_is_counted(scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MOST_BYTES", 50)
    monkeypatch.setattr(scripts, "MOST_SCRIPTS", 2)
    message = "are copied as they are: 1 file would change in 1 place, 1 place must be looked at, 2 files not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", message, 5)]


def test_a_plan_that_is_made_anew_reads_none(scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_read", None)
    assert said(scripted, tmp_path, read_scripts=False) == [("s3://scripts/", "are copied as they are", 5)]


def test_no_more_is_read_than_a_plan_has_time_for(
    scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = len(SCRIPTS["d.jar"]) + len(SCRIPTS["etl/a.py"])  # the first two
    monkeypatch.setattr(scripts, "MOST_TOTAL", total)
    message = "are copied as they are: 1 file would change in 2 places, 2 files not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", message, 5)]


def test_the_names_of_lake_toml_are_used(scripted: Store, tmp_path: Path) -> None:
    put(scripted, "s3://scripts/list.sh", b"mc ls m/bronze/x")
    assert "3 files would change in 4 places" in said(scripted, tmp_path, script_aliases=("m",))[0][1]


def test_a_script_that_the_server_refuses_is_counted(
    scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = Store.get

    def refused(store: Store, bucket: str, key: str, **how: Any) -> Any:
        if key == "etl/a.py":
            raise error("no")
        return get(store, bucket, key, **how)

    monkeypatch.setattr(Store, "get", refused)
    error: type[Exception] = AccessDenied
    message = "are copied as they are: 1 file would change in 1 place, 1 place must be looked at, 1 file not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", message, 5)]
    error = Unreachable
    (tmp_path / "again").mkdir()
    with pytest.raises(Unreachable):
        said(scripted, tmp_path / "again")
