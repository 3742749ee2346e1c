"""Several plans of one lake.toml, made up front, and carried out with one ``migrate`` and one approval."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.sql import SqlCatalog

from e2e.crashes import CATALOG, die_at
from e2e.test_two_servers import profile
from e2e.test_waves import LOOSE, OLD, TARGET, Lake
from e2e.world import Template
from migrator import api
from migrator.cli import main
from migrator.config import load
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server
from migrator.errors import PlanStale
from migrator.layout import MEDALLION

RULES = tuple(f"s3://{bucket}/" for bucket in OLD)


class Parts(Lake):
    """The lake of the waves without the table that spans two buckets; with one plan for each rule."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(server, folder)
        self.catalog.purge_table("gold.span")
        self.drop_keys("silver", "span-data/")
        self.drop_keys("gold", "wh/span/")
        self.plan("whole")  # writes lake.toml for all rules
        self.before = self.rows()

    def rows(self) -> dict[str, list[int]]:
        names = [name for name in ("bronze.raw", "silver.orders", "gold.report")]
        catalog = self.catalog
        found = {name: sorted(catalog.load_table(name).scan().to_arrow()["id"].to_pylist()) for name in names}
        self.close()
        return found

    def pointers(self) -> dict[str, str]:
        catalog = self.catalog
        found = {
            name: catalog.load_table(name).metadata_location.split("/")[2]
            for name in ("bronze.raw", "silver.orders", "gold.report")
        }
        self.close()
        return found

    def drop_keys(self, bucket: str, prefix: str) -> None:
        for key in self.keys(bucket):
            if key.startswith(prefix):
                self.client.delete_object(Bucket=bucket, Key=key)

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]}

    def part(self, name: str, *rules: str) -> Path:
        """A plan of these rules."""
        self.close()
        path = self.folder / f"{name}.db"
        self.described = api.plan_lake(load(self.folder / "whole.toml").override(rules=rules), path)
        return path

    def parts(self) -> list[Path]:
        return [self.part(bucket, f"s3://{bucket}/") for bucket in OLD]


@pytest.fixture
def lake(own_server: Server, tmp_path: Path) -> Parts:
    return Parts(own_server, tmp_path)


def run(*arguments: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
    return result


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_plans_one_approval_and_the_old_buckets_can_go(lake: Parts, order: tuple[int, ...]) -> None:
    made = lake.parts()
    plans = [made[number] for number in order]
    result = run("migrate", *plans, "--yes")
    assert "3 plans for s3://lake/" in result.stderr and "All 3 plans are carried out" in result.stdout
    assert set(lake.pointers().values()) == {TARGET} and lake.rows() == lake.before
    assert {lake.location_of(bucket) for bucket in OLD} == {f"s3://{TARGET}/{bucket}/wh" for bucket in OLD}
    assert {f"{bucket}/{key}" for bucket, key in LOOSE} <= lake.keys(TARGET)
    moved = lake.keys(TARGET)
    lake.drop(*OLD)
    assert lake.rows() == lake.before
    verified = json.loads(run("verify", *plans, "--json").stdout)
    assert verified["ok"] and [one["plan"] for one in verified["plans"]] == [str(plan) for plan in plans]
    assert run("verify", *plans).stdout.count("Everything is as expected.") == 3
    again = json.loads(run("migrate", *plans, "--json", "--quiet").stdout)  # nothing is left to ask
    assert again["ok"] and [one["nothing_to_do"] for one in again["plans"]] == [True] * 3
    assert (again["not_done"], again["not_begun"]) == (None, []) and lake.keys(TARGET) == moved


def test_each_part_is_rolled_back_and_retired_by_itself(lake: Parts) -> None:
    bronze, silver, gold = lake.parts()
    run("migrate", gold, bronze, "--yes", "--quiet")
    api.rollback_lake(bronze)
    assert lake.pointers() == {"bronze.raw": "bronze", "silver.orders": "silver", "gold.report": TARGET}
    run("migrate", bronze, silver, gold, "--yes", "--quiet")
    assert set(lake.pointers().values()) == {TARGET}
    for plan in (silver, bronze, gold):
        assert api.retire_lake(plan, confirm=TARGET, cooling="0", remove_buckets=True).ok
    assert not lake.buckets() & {*OLD} and lake.rows() == lake.before


def test_copy_and_cutover_of_one_part_keep_the_choice_after_another_part_was_moved(lake: Parts) -> None:
    bronze, silver, gold = lake.parts()
    api.copy_lake(silver)
    run("migrate", gold, bronze, "--yes", "--quiet")
    lake.append("silver.orders", range(900, 903))
    lake.append("gold.report", range(910, 912))
    before = lake.rows()
    api.copy_lake(silver)
    assert api.show_plan(silver)["rules"] == ["s3://silver/"]
    assert api.cutover_lake(silver, quiet_for=0.2, wait=30).migration.ok
    lake.drop(*OLD)
    assert lake.rows() == before and set(lake.pointers().values()) == {TARGET}


def keep_versions(lake: Parts) -> None:
    """Give some objects of two buckets an older version or a delete marker, and plan for all versions."""
    for bucket in ("bronze", "gold"):
        lake.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for data in (b"one", b"two"):
            lake.client.put_object(Bucket=bucket, Key="versioned", Body=data)
        lake.client.put_object(Bucket=bucket, Key="deleted", Body=b"before")
        lake.client.delete_object(Bucket=bucket, Key="deleted")
    config = lake.folder / "whole.toml"
    config.write_text(config.read_text().replace("[plan]\n", "[plan]\nall_versions = true\n"))


def test_parts_with_all_versions(lake: Parts) -> None:
    keep_versions(lake)
    bronze, silver, gold = lake.parts()
    run("migrate", gold, silver, bronze, "--yes", "--quiet")
    assert json.loads(run("verify", bronze, silver, gold, "--json").stdout)["ok"]
    for bucket in ("bronze", "gold"):
        found = lake.client.list_object_versions(Bucket=TARGET, Prefix=f"{bucket}/")
        versions = [(e["Key"], e["Size"], e["IsLatest"]) for e in found["Versions"] if not e["Key"].count("/wh/")]
        assert sorted(v for v in versions if v[0] == f"{bucket}/versioned") == [
            (f"{bucket}/versioned", 3, False),
            (f"{bucket}/versioned", 3, True),
        ]
        assert (f"{bucket}/deleted", 6, False) in versions
        assert [e["Key"] for e in found["DeleteMarkers"]] == [f"{bucket}/deleted"]
    assert lake.rows() == lake.before and set(lake.pointers().values()) == {TARGET}


def test_parts_into_another_catalog(lake: Parts) -> None:
    config = lake.folder / "whole.toml"
    uri = f"sqlite:///{lake.folder}/new.db"
    SqlCatalog("ice", uri=uri).close()  # makes the tables of the catalog
    target = f'[catalogs.ice.target]\ntype = "sql"\nuri = "{uri}"\n'
    config.write_text(config.read_text().replace("[tables]", f"{target}[tables]"))
    old, parts = lake.pointers(), lake.parts()
    run("migrate", *parts, "--yes", "--quiet")
    assert lake.pointers() == old, "the old catalog is only read"
    lake.drop(*OLD)
    assert json.loads(run("verify", *parts, "--json").stdout)["ok"]
    with closing(SqlCatalog("ice", uri=uri, **lake.server.properties())) as new:
        assert {name: sorted(new.load_table(name).scan().to_arrow()["id"].to_pylist()) for name in old} == lake.before
        found = {str(new.load_namespace_properties(bucket)["location"]) for bucket in OLD}
        assert found == {f"s3://{TARGET}/{bucket}/wh" for bucket in OLD}


def test_parts_onto_another_server(lake: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        accounts = lake.folder / "accounts"
        known = {"old": lake.server, "new": server}
        accounts.write_text("".join(profile(name, s.access_key, s.secret_key) for name, s in known.items()))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(accounts))
        config = lake.folder / "whole.toml"
        text = config.read_text().replace("[source]\n", '[source]\nprofile = "old"\n')
        text = text.replace("[target]\n", f'[target]\nendpoint_url = "{server.endpoint_url}"\nprofile = "new"\n')
        config.write_text(text)
        names, (bronze, silver, gold) = lake.pointers(), lake.parts()
        run("migrate", silver, gold, bronze, "--yes", "--quiet")
        assert TARGET not in lake.buckets()
        lake.drop(*OLD)
        assert json.loads(run("verify", bronze, silver, gold, "--json").stdout)["ok"]
        uri = f"sqlite:///{lake.folder}/catalog.db"
        with closing(SqlCatalog("ice", uri=uri, **server.properties())) as new:
            assert {n: sorted(new.load_table(n).scan().to_arrow()["id"].to_pylist()) for n in names} == lake.before


KILL = """
import os, signal, sys
from pathlib import Path
from migrator.cli import main
from migrator.cutover import swap
repoint, calls = swap.repoint, []
def dying(run, catalog):
    calls.append(1)
    if len(calls) == 2:
        if sys.argv[1] == "after":
            repoint(run, catalog)
        os.kill(os.getpid(), signal.SIGKILL)
    repoint(run, catalog)
swap.repoint = dying
main(sys.argv[2:])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_in_the_second_plan_the_same_command_continues(lake: Parts, when: str) -> None:
    plans = lake.parts()
    command = ["migrate", *map(str, plans), "--yes", "--quiet"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILL, when, *command], env=environ, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    where = {"bronze.raw": TARGET, "silver.orders": "silver" if when == "before" else TARGET, "gold.report": "gold"}
    assert lake.pointers() == where and lake.rows() == lake.before
    assert [api.plan_status(plan).phase for plan in plans][::2] == ["finished", "planned"]
    result = run(*command)
    assert "Nothing to do: the plan was carried out" in result.stdout
    lake.drop(*OLD)
    assert lake.rows() == lake.before and set(lake.pointers().values()) == {TARGET}


def test_it_stops_at_the_first_plan_that_fails(lake: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    bronze, silver, gold = lake.parts()
    lake.client.put_object(Bucket="silver", Key="late", Body=b"x")  # found only when its turn comes
    result = run("migrate", bronze, silver, gold, "--yes", "--json", "--quiet", exit_code=PlanStale.exit_code)
    told = json.loads(result.stdout)
    assert not told["ok"] and [one["plan"] for one in told["plans"]] == [str(bronze)]
    assert (told["not_done"], told["not_begun"]) == (str(silver), [str(gold)])
    go_on = f"migrator migrate {bronze} NEW.db {gold}"
    for words in (f"Done: {bronze}.", f"Not done: {silver}.", f"Not begun: {gold}.", go_on):
        assert words in result.stderr, result.stderr
    assert lake.pointers() == {"bronze.raw": TARGET, "silver.orders": "silver", "gold.report": "gold"}
    again = lake.part("again", "s3://silver/")
    run("migrate", bronze, again, gold, "--yes", "--quiet")
    lake.drop(*OLD)
    assert lake.rows() == lake.before and "silver/late" in lake.keys(TARGET)


def test_interrupted_in_the_second_plan(lake: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = lake.parts()
    with monkeypatch.context() as patch:
        die_at(patch, 2, CATALOG)
        run("migrate", *plans, "--yes", "--quiet", exit_code=130)
    assert lake.pointers()["bronze.raw"] == TARGET and lake.pointers()["silver.orders"] == "silver"
    run("migrate", *plans, "--yes", "--quiet")
    assert set(lake.pointers().values()) == {TARGET}


def test_a_whole_lake_rule_by_rule(template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams, logs, scripts, a Hadoop catalog, and a rule inside of another one, each in its own plan."""
    groups = {
        "scripts": ("s3://scripts/",),
        "checkpoints": ("s3://checkpoints/",),
        "bronze": ("s3://bronze/",),
        "warehouse": ("s3://warehouse/", "s3://bronze/iceberg-warehouse/", "s3://gold/"),
        "silver": ("s3://silver/",),
        "logs": ("s3://logs/",),
    }
    with template.world(tmp_path) as world:
        for name, value in world.server.environ().items():
            monkeypatch.setenv(name, value)
        world.plan("gold.db", "--rule", "s3://gold/", exit_code=3)
        move = next(f["next_move"] for f in api.show_plan(tmp_path / "gold.db")["findings"] if f["severity"] == "block")
        assert "--rule s3://warehouse/" in move
        refused = world.run("plan", "--config", world.config, "--rule", "s3://warehouse/", exit_code=2).stderr
        assert "--rule s3://warehouse/ --rule s3://bronze/iceberg-warehouse/" in refused
        plans = []
        for name, rules in groups.items():
            plans.append(world.plan(f"{name}.db", *(word for rule in rules for word in ("--rule", rule))))
        world.run("migrate", *plans, "--yes", "--quiet")
        delete_buckets(world.client, sorted(MEDALLION))
        verified = json.loads(world.run("verify", *plans, "--json").stdout)
        assert [one["result"] for one in verified["plans"]] == ["same"] * len(plans)
        assert "nothing names an old bucket" in world.run("check", "--config", world.config).stdout
        world.run("migrate", *plans, "--yes", "--quiet")


# -- refused before anything is written -----------------------------------------------------------------------


def refused(lake: Parts, *plans: Path, exit_code: int, yes: bool = True) -> str:
    before = lake.buckets()
    result = run("migrate", *plans, *(["--yes"] if yes else []), exit_code=exit_code)
    assert lake.buckets() == before and TARGET not in before
    assert lake.pointers() == {"bronze.raw": "bronze", "silver.orders": "silver", "gold.report": "gold"}
    return " ".join(result.stderr.split())


def test_a_stale_and_a_blocked_plan_are_told_at_once(lake: Parts) -> None:
    bronze, silver, _ = lake.parts()
    pointer = lake.catalog.load_table("gold.report").metadata_location
    key = pointer.removeprefix("s3://gold/")
    body = lake.client.get_object(Bucket="gold", Key=key)["Body"].read()
    lake.client.delete_object(Bucket="gold", Key=key)
    blocked = lake.part("blocked", "s3://gold/")
    lake.client.put_object(Bucket="gold", Key=key, Body=body)
    lake.append("silver.orders", range(900, 903))
    text = refused(lake, bronze, silver, blocked, exit_code=4)
    assert "Nothing was started: 2 of 3 plans" in text
    assert f"{silver}: ice.silver.orders moved on since planning" in text and f"{blocked}" in text
    refused(lake, bronze, blocked, exit_code=3)


def test_a_table_of_two_rules_blocks_both_plans_and_names_the_rules(lake: Parts) -> None:
    table: Any = lake.catalog.load_table("gold.report")
    with table.transaction() as change:
        change.set_properties({"write.data.path": "s3://silver/far"})
    lake.append("gold.report", range(970, 973))
    lake.before = lake.rows()
    bronze, silver, gold = lake.parts()
    text = refused(lake, bronze, silver, gold, exit_code=3)
    assert "2 of 3 plans" in text and "--rule s3://gold/" in text and "--rule s3://silver/" in text
    both = lake.part("both", "s3://silver/", "s3://gold/")
    run("migrate", bronze, both, "--yes", "--quiet")
    lake.drop(*OLD)
    assert lake.rows() == lake.before


def test_plans_that_do_not_fit_together(lake: Parts) -> None:
    bronze, silver, _ = lake.parts()
    whole = lake.folder / "whole.db"
    assert "both move s3://bronze/" in refused(lake, bronze, whole, exit_code=2)
    assert "are the same plan" in refused(lake, bronze, silver, bronze, exit_code=2)
    other = load(lake.folder / "whole.toml").override(rules=("s3://gold/",), target="elsewhere")
    api.plan_lake(other, lake.folder / "other.db")
    assert "differ in the target" in refused(lake, bronze, lake.folder / "other.db", exit_code=2)
    assert "Add --yes" in refused(lake, bronze, silver, exit_code=2, yes=False)
    listed = lake.folder / "failed.txt"
    listed.write_text("s3://bronze/landing/a.csv\n")
    assert "--files-from" in run("migrate", bronze, silver, "--files-from", listed, "--yes", exit_code=2).stderr


def test_a_plan_that_was_really_superseded_is_refused(lake: Parts) -> None:
    bronze, silver, _ = lake.parts()
    newer = lake.part("newer", "s3://silver/")
    assert api.migrate_lake(newer).ok
    result = run("migrate", bronze, silver, "--yes", exit_code=4)
    assert "superseded" in result.stderr and lake.pointers()["bronze.raw"] == "bronze"
