"""Only necessary requests are sent. On a server that ignores conditions on CopyObject, as MinIO does, one listing is
enough for many copies, and no object of others is overwritten. The target is listed only as often as necessary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer

from e2e.world import World
from migrator import migration
from migrator.cli import main
from migrator.copying import free_keys
from migrator.planfile.file import PlanFile
from migrator.store import Store, is_own, lists_in_order
from migrator.target import compare, guard
from migrator.verifying import verifier as verify

COUNT = 100
FOREIGN = b"written by somebody else"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a mock with a bucket of objects, and a lake.toml."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(free_keys, "SLOW", float("inf"))  # so that the requests do not depend on the machine
    monkeypatch.setattr(free_keys, "MAX_AGE_SECONDS", float("inf"))
    mock = ThreadedMotoServer(port=0, verbose=False)
    mock.start()
    try:
        url = "http://{}:{}".format(*mock.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", config=Config(retries={"max_attempts": 1})
        )
        bucket = f"old-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
        for name in (bucket, f"{bucket}-to"):
            client.create_bucket(Bucket=name)
        for n in range(COUNT):
            client.put_object(Bucket=bucket, Key=f"t/part-{n:04}", Body=str(n).encode())
        (tmp_path / "lake.toml").write_text(
            f'[target]\nbucket = "{bucket}-to"\n\n[layout]\n"s3://{bucket}/" = "bronze/"\n'
        )
        client.old = bucket
        yield client
    finally:
        mock.stop()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def planned(folder: Path) -> Path:
    made = run("plan", "--config", folder / "lake.toml", "-o", folder / "plan.db")
    assert made.exit_code == 0, made.output + made.stderr
    return folder / "plan.db"


def here(client: Any) -> dict[str, bytes]:
    bucket = f"{client.old}-to"
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for entry in found
        if not is_own(entry["Key"])
    }


def test_a_listing_for_many_copies_instead_of_a_question_for_each(lake: Any, tmp_path: Path) -> None:
    assert lists_in_order(Store(), f"{lake.old}-to")
    done = run("migrate", planned(tmp_path), "--yes", "--json")
    assert done.exit_code == 0, done.output + done.stderr
    assert json.loads(done.stdout)["copy"]["requests"] < COUNT + COUNT // 2
    assert here(lake) == {f"bronze/t/part-{n:04}": str(n).encode() for n in range(COUNT)}


def test_what_appears_while_copying_is_seen_by_the_listing(
    lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, theirs = planned(tmp_path), [f"bronze/t/part-{n:04}" for n in (0, 31, 32, 77, 99)]
    copy = migration.copy_current_objects

    def after_somebody_wrote(*arguments: Any) -> None:
        for key in theirs:
            lake.put_object(Bucket=f"{lake.old}-to", Key=key, Body=FOREIGN)
        copy(*arguments)

    monkeypatch.setattr(migration, "copy_current_objects", after_somebody_wrote)
    done = run("migrate", plan, "--yes")
    assert done.exit_code == 4 and theirs[0] in done.stderr, done.stderr
    found = here(lake)
    assert len(found) == COUNT and all(found[key] == FOREIGN for key in theirs)


def test_next_to_objects_of_others_each_key_is_asked_for(lake: Any, tmp_path: Path) -> None:
    """Below them MinIO hides what it has from listings."""
    lake.put_object(Bucket=f"{lake.old}-to", Key="theirs", Body=FOREIGN)
    done = run("migrate", planned(tmp_path), "--yes", "--json")
    assert done.exit_code == 0, done.output + done.stderr
    assert json.loads(done.stdout)["copy"]["requests"] >= 2 * COUNT


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The target of every listing of a whole target that a migration makes."""
    made: list[str] = []
    list_target = compare.list_target

    def counted(plan: PlanFile, *arguments: Any) -> None:
        made.append(plan.layout.target_bucket)
        list_target(plan, *arguments)

    for module in (guard, verify, compare):
        monkeypatch.setattr(module, "list_target", counted)
    return made


def test_without_a_pointer_to_swap_the_listing_before_the_cutover_is_the_last(
    lake: Any, tmp_path: Path, listings: list[str]
) -> None:
    assert run("migrate", planned(tmp_path), "--yes").exit_code == 0
    assert len(listings) == 2, "before the first write, and after the last one"


def test_after_pointers_were_swapped_the_target_is_listed_again(world: World, listings: list[str]) -> None:
    world.run("migrate", world.plan(), "--yes")
    assert len(listings) == 3


def test_a_server_with_another_order_is_recognized(world: World) -> None:
    store = Store()
    store.create_bucket("data-lake")
    assert not lists_in_order(store, "data-lake")
    assert not list(store.list("data-lake"))
