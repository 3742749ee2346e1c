"""Scripts of the lake with old paths are rewritten at the target. The plan says how many, and how many places are
doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.errors import AccessDenied, Unreachable
from migrator.plan import scripts
from migrator.planfile.file import PlanFile
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


PACKED = "1 file that cannot be rewritten (packed, or no text) may name old paths, such as 'd.jar'"
KEPT = "has scripts, which are copied as they are"
LAYOUT = {"s3://scripts/": "scripts/", "s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/"}


def said(lake: Store, tmp_path: Path, **settings: Any) -> list[tuple[str, str, int]]:
    """The findings about scripts. By default, the plan keeps the scripts."""
    settings.setdefault("rewrite_scripts", False)
    found = planned(lake, tmp_path, layout=LAYOUT, **settings)["findings"]
    codes = ("scripts-rewritten",) if settings["rewrite_scripts"] else ("scripts-unchanged",)
    return [(f["place"], f["message"], f["count"]) for f in found if f["code"] in codes]


def test_what_would_change_is_counted(scripted: Store, tmp_path: Path) -> None:
    message = "has scripts, which are copied as they are: 2 files would change in 3 places, 1 place must be looked at, "
    message += PACKED
    assert said(scripted, tmp_path) == [("s3://scripts/", message, 5)]


def test_what_changes_is_rewritten(scripted: Store, tmp_path: Path) -> None:
    message = "has scripts with old paths: 2 files are rewritten at the target in 3 places, 1 place must be "
    message += f"looked at, {PACKED}"
    assert said(scripted, tmp_path, rewrite_scripts=True) == [("s3://scripts/", message, 5)]
    (tmp_path / "again").mkdir()
    described = planned(scripted, tmp_path / "again", layout=LAYOUT)
    assert described["actions"]["rewrite"]["objects"] == 2 and described["actions"]["copy"]["objects"] == 3


def test_scripts_without_old_paths_are_copied(lake: Store, tmp_path: Path) -> None:
    lake.create_bucket("scripts")
    put(lake, "s3://scripts/a.py", b"print(1)")
    (found,) = [f for f in planned(lake, tmp_path, layout=LAYOUT)["findings"] if f["code"].startswith("scripts-")]
    assert (found["code"], found["message"]) == (
        "scripts-unchanged",
        "has scripts, which are copied as they are: 0 files would change in 0 places",
    )


def test_the_configuration_of_migrator_is_not_rewritten(lake: Store, tmp_path: Path) -> None:
    lake.create_bucket("scripts")
    put(lake, "s3://scripts/lake.toml", b'[layout]\n"s3://bronze/" = "bronze/"\n')
    put(lake, "s3://scripts/wave-2.toml", b'[layout]\n"s3://bronze/" = "bronze/"\n')
    assert planned(lake, tmp_path, layout=LAYOUT)["actions"]["rewrite"]["objects"] == 0


def test_what_is_not_read_is_counted(scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MOST_BYTES", 50)
    monkeypatch.setattr(scripts, "MOST_SCRIPTS", 2)
    message = f"1 file would change in 1 place, 1 place must be looked at, {PACKED}, 2 files not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", f"{KEPT}: {message}", 5)]


def test_a_plan_that_is_made_anew_reads_what_is_new(scripted: Store, tmp_path: Path) -> None:
    planned(scripted, tmp_path, layout=LAYOUT)
    with PlanFile.open(tmp_path / "plan.db", read_only=True) as plan:
        known = scripts.known_scripts(plan)
    assert sorted(key for (_, key, _), rewritten in known.items() if rewritten) == ["etl/a.py", "etl/b.py"]
    put(scripted, "s3://scripts/etl/b.py", b"nothing old any more")
    put(scripted, "s3://scripts/new.sh", b"ls s3://bronze/\n")
    read: list[str] = []
    get = Store.get

    def noted(store: Store, bucket: str, key: str, **how: Any) -> Any:
        read.append(key)
        return get(store, bucket, key, **how)

    (tmp_path / "again").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "get", noted)
        found = said(scripted, tmp_path / "again", rewrite_scripts=True, known_scripts=known)
    assert found == [("s3://scripts/", "has scripts with old paths: 2 files are rewritten at the target", 6)]
    assert sorted(key for key in read if key in (*SCRIPTS, "new.sh")) == ["etl/b.py", "new.sh"]


def test_no_more_is_read_than_a_plan_has_time_for(
    scripted: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = len(SCRIPTS["d.jar"]) + len(SCRIPTS["etl/a.py"])  # the first two
    monkeypatch.setattr(scripts, "MOST_TOTAL", total)
    message = f"1 file would change in 2 places, {PACKED}, 2 files not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", f"{KEPT}: {message}", 5)]


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
    message = f"1 file would change in 1 place, 1 place must be looked at, {PACKED}, 1 file not read"
    assert said(scripted, tmp_path) == [("s3://scripts/", f"{KEPT}: {message}", 5)]
    error = Unreachable
    (tmp_path / "again").mkdir()
    with pytest.raises(Unreachable):
        said(scripted, tmp_path / "again")
