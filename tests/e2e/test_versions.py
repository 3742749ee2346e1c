"""Older versions on a real server: copied in order, each exactly once, also after any interruption."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.faults import FaultProxy, Request
from e2e.test_interrupted import start
from e2e.world import World
from migrator.demo import lake as old_lake
from migrator.demo.server import Server
from migrator.errors import SourceChanged, StoreError
from migrator.store import Store, StoredObject

MIB = 1024**2
CONFIG = """
[target]
bucket = "data-lake"
[layout]
"s3://bronze/" = "bronze/"
"s3://silver/" = "silver/"
[plan]
all_versions = true
"""

History = dict[str, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def world(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two empty old buckets, one of which keeps versions, and no target."""
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    world = World(server, None, tmp_path)  # type: ignore[arg-type]
    world.config.write_text(CONFIG)
    for bucket in ("bronze", "silver"):
        world.client.create_bucket(Bucket=bucket)
    keep_versions(world, "bronze")
    yield world
    for bucket in world.buckets():
        remove(world.client, bucket)


def keep_versions(world: World, bucket: str) -> None:
    world.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def remove(client: Any, bucket: str) -> None:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            client.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket=bucket)


def write(world: World, key: str, *contents: bytes | None, bucket: str = "bronze", **more: Any) -> None:
    """One version after the other; None deletes."""
    for data in contents:
        if data is None:
            world.client.delete_object(Bucket=bucket, Key=key)
        else:
            world.client.put_object(Bucket=bucket, Key=key, Body=data, **more)


def histories(world: World, bucket: str, prefix: str = "") -> History:
    """Key, less the prefix → (size, ETag) of all versions, the oldest first, a delete marker being (-1, "").

    Put in order by SeaweedFS' version ids, which get smaller with time: independent of listings and clocks."""
    listed: dict[str, list[tuple[str, tuple[int, str]]]] = {}
    for page in world.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            version = (entry["Size"], entry["ETag"].strip('"')) if "ETag" in entry else (-1, "")
            listed.setdefault(entry["Key"].removeprefix(prefix), []).append((entry["VersionId"], version))
    return {key: [version for _, version in sorted(entries, reverse=True)] for key, entries in listed.items()}


def fill(world: World, keys: int = 40) -> None:
    """Histories of every kind, and objects that have none."""
    random_ = random.Random(5)
    for number in range(keys):
        contents: list[bytes | None] = [random_.randbytes(random_.randrange(1, 2000)) for _ in range(4)]
        if number % 3 == 0:
            contents.insert(2, None)
        if number % 4 == 0:
            contents.append(None)
        if number % 5 == 0:
            contents[1:1] = [contents[0], contents[0]]  # the same bytes three times
        write(world, f"many/{number:04}", *contents)
    write(world, "only/now", b"x")
    write(world, "plain", b"x", bucket="silver")


def finding(plan: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [f for f in plan["findings"] if f["code"] == code]
    return found


def shown(world: World, plan: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(world.run("show", plan, "--json").stdout)
    return described


def test_the_history_of_every_key_is_carried_over(world: World) -> None:
    world.client.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": "Suspended"})
    write(world, "a/from before+ü%2F", b"null", Metadata={"of": "null"}, Tagging="n=0")
    keep_versions(world, "bronze")
    write(world, "a/from before+ü%2F", b"one", Metadata={"of": "one"}, Tagging="n=1", ContentType="text/x-one")
    write(world, "a/from before+ü%2F", b"two")
    write(world, "a/deleted between", b"1", None, b"2", None, None, b"3")
    write(world, "a/deleted", b"1", b"2", None)
    write(world, "a/deleted first", None, b"1")
    fill(world, 10)
    plan = world.plan()
    described = shown(world, plan)
    assert described["all_versions"] and described["changes_pending"]
    before = histories(world, "bronze")
    older = [v for h in before.values() for v in (h if h[-1][0] < 0 else h[:-1])]
    assert described["versions"]["copy"]["versions"] == sum(1 for size, _ in older if size >= 0)
    assert described["versions"]["copy"]["markers"] == sum(1 for size, _ in older if size < 0)
    assert described["versions"]["copy"]["bytes"] == sum(size for size, _ in older if size >= 0)
    assert "Older versions" in world.run("show", plan).stdout
    status = json.loads(world.run("status", plan, "--json").stdout)
    assert (status["versions"], status["versions_done"], status["phase"]) == (len(older), 0, "planned")

    migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
    assert (migrated["copied_versions"], migrated["ok"]) == (len(older), True)
    assert histories(world, "data-lake", "bronze/") == before
    status = json.loads(world.run("status", plan, "--json").stdout)
    assert (status["versions_done"], status["phase"]) == (len(older), "finished")
    assert "Nothing to do" in world.run("migrate", plan, "--yes").stdout
    attributes_of_versions(world)

    # A new plan finds nothing to do, with the option and without.
    again = shown(world, world.plan("again.db"))
    assert not again["changes_pending"] and again["versions"]["same"]["keys"] == described["versions"]["copy"]["keys"]
    assert "versions_too_late" not in {f["code"] for f in again["findings"]}
    world.config.write_text(CONFIG.replace("true", "false"))
    without = shown(world, world.plan("without.db"))
    assert not without["changes_pending"]
    assert "To copy them, too: --all-versions." in finding(without, "versioned-bucket")["next_move"]

    world.run("verify", plan, "--deep")
    for bucket in ("bronze", "silver"):
        remove(world.client, bucket)
        world.client.create_bucket(Bucket=bucket)
    checks = json.loads(world.run("verify", plan, "--json").stdout)["checks"]
    (check,) = [c for c in checks if c["name"] == "every older version is at the target, in its order"]
    assert (check["checked"], check["failed"]) == (len(older), 0)
    assert "no longer in the old bucket" in world.run("verify", "--deep", plan).stdout
    assert histories(world, "data-lake", "bronze/") == before


def attributes_of_versions(world: World) -> None:
    key = {"Bucket": "data-lake", "Key": "bronze/a/from before+ü%2F"}
    listed = world.client.list_object_versions(Bucket="data-lake", Prefix=key["Key"])["Versions"]
    found = []
    for version in reversed(listed):
        answer = world.client.get_object(**key, VersionId=version["VersionId"])
        tags = world.client.get_object_tagging(**key, VersionId=version["VersionId"])["TagSet"]
        found.append((answer["Body"].read(), answer["Metadata"].get("of"), [t["Value"] for t in tags]))
        if found[-1][0] == b"one":
            assert answer["ContentType"] == "text/x-one"
    assert found == [(b"null", "null", ["0"]), (b"one", "one", ["1"]), (b"two", None, [])]


def test_killed_at_any_instant_no_version_is_there_twice(world: World) -> None:
    fill(world)
    before, plain = histories(world, "bronze"), histories(world, "silver")
    total = sum(map(len, before.values())) + 1
    seen = [0]
    with FaultProxy(world.server.endpoint_url) as proxy:
        plan = world.plan("plan.db", "--endpoint-url", proxy.url)
        for _ in range(6):
            kill_at_copy(proxy, total // 7, "migrate", "--yes", plan)
            seen.append(there(world))
            beginnings(before, histories(world, "data-lake", "bronze/"))
        assert len(set(seen)) > 3, f"the kills must come at different points: {seen}"
        world.run("migrate", plan, "--yes")
        assert histories(world, "data-lake", "bronze/") == before
        assert histories(world, "data-lake", "silver/") == plain
        world.run("verify", plan, "--deep")


def kill_at_copy(proxy: FaultProxy, number: int, *arguments: str | Path) -> None:
    """Run the command line, and kill it when it requests the copy with this number. This does not depend on the speed
    of the machine."""
    started = threading.Event()
    copies = iter(range(1, 1 << 30))

    def kill(request: Request) -> None:
        if request.copies and next(copies) == number:
            started.wait()
            process.kill()

    proxy.choose = kill
    process = start(*arguments)
    started.set()
    process.communicate()
    proxy.choose = lambda request: None


def test_killed_and_planned_anew_no_version_is_there_twice(world: World) -> None:
    fill(world, 25)
    before = histories(world, "bronze")
    how = ("migrate", "--yes", "--config", world.config, "--endpoint-url")
    with FaultProxy(world.server.endpoint_url) as proxy:
        for _ in range(3):
            kill_at_copy(proxy, sum(map(len, before.values())) // 4, *how, proxy.url)
    world.run("migrate", "--config", world.config, "--yes")
    assert histories(world, "data-lake", "bronze/") == before
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout


def there(world: World) -> int:
    if "data-lake" not in world.buckets():
        return 0
    page = world.client.list_object_versions(Bucket="data-lake")
    return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))


def beginnings(whole: History, parts: History) -> None:
    for key, part in parts.items():
        assert part == whole[key][: len(part)], key


def test_what_came_since_is_put_on_top(world: World) -> None:
    """Copied while the lake is in use, again and again: each time only what is new."""
    fill(world, 8)
    world.run("migrate", "--config", world.config, "--yes", "--no-cutover")
    write(world, "many/0001", b"new", None, b"newer")
    write(world, "many/0002", None)
    write(world, "many/0004", b"back again")
    write(world, "new", b"1", b"2")
    plan = world.plan()
    described = shown(world, plan)
    assert not described["blocked"] and described["versions"]["copy"]["keys"] == 3
    world.run("migrate", plan, "--yes")
    assert histories(world, "data-lake", "bronze/") == histories(world, "bronze")


def test_a_target_that_keeps_no_versions_blocks(world: World) -> None:
    fill(world, 2)
    world.client.create_bucket(Bucket="data-lake")
    plan = world.plan(exit_code=3)
    assert "Enable versioning on it" in finding(shown(world, plan), "target-not-versioned")["next_move"]
    assert "does not keep versions" in world.run("migrate", plan, "--yes", exit_code=3).stdout
    keep_versions(world, "data-lake")
    world.run("migrate", world.plan("again.db"), "--yes")
    assert histories(world, "data-lake", "bronze/") == histories(world, "bronze")


def test_the_option_on_the_command_line(world: World) -> None:
    world.config.write_text(CONFIG.replace("true", "false"))
    fill(world, 3)
    assert shown(world, world.plan("a.db", "--all-versions"))["versions"]["copy"]["keys"] == 3
    assert shown(world, world.plan("b.db"))["versions"]["copy"]["keys"] == 0
    assert "--all-versions" in world.run("migrate", world.folder / "b.db", "--all-versions", exit_code=2).stderr
    world.run("migrate", "--config", world.config, "--all-versions", "--yes")
    assert histories(world, "data-lake", "bronze/") == histories(world, "bronze")


def test_without_the_option_only_what_is_current_is_copied(world: World) -> None:
    world.config.write_text(CONFIG.replace("true", "false"))
    fill(world, 5)
    world.run("migrate", "--config", world.config, "--yes")
    assert "Status" not in world.client.get_bucket_versioning(Bucket="data-lake")
    current = {key: history[-1:] for key, history in histories(world, "bronze").items() if history[-1][0] >= 0}
    assert histories(world, "data-lake", "bronze/") == current


def test_a_version_that_is_gone_makes_the_plan_stale(world: World) -> None:
    write(world, "a", b"1", b"2", b"3")
    plan = world.plan()
    oldest = world.client.list_object_versions(Bucket="bronze", Prefix="a")["Versions"][-1]["VersionId"]
    world.client.delete_object(Bucket="bronze", Key="a", VersionId=oldest)
    error = world.run("migrate", plan, "--yes", exit_code=4).stderr
    assert oldest in error and "is gone since planning" in error
    world.run("migrate", world.plan("again.db"), "--yes")
    assert histories(world, "data-lake", "bronze/") == histories(world, "bronze")


def test_verify_finds_what_is_missing_or_out_of_order(world: World) -> None:
    write(world, "a", b"1", b"2", b"3")
    plan = world.plan()
    world.run("migrate", plan, "--yes")
    listed = world.client.list_object_versions(Bucket="data-lake", Prefix="bronze/a")["Versions"]
    world.client.delete_object(Bucket="data-lake", Key="bronze/a", VersionId=listed[-1]["VersionId"])
    shown = world.run("verify", plan, exit_code=3).stdout
    assert "not all of its 2 older versions are there in their order" in shown


def test_large_versions_go_in_parts(world: World) -> None:
    data = [random.Random(n).randbytes(11 * MIB) for n in range(2)]
    write(world, "big", data[0], Metadata={"n": "0"}, Tagging="n=0")
    write(world, "big", data[1])
    world.client.create_bucket(Bucket="data-lake")
    keep_versions(world, "data-lake")
    store = Store(endpoint_url=world.server.endpoint_url, multipart_above=6 * MIB, part_size=5 * MIB)
    oldest = store.versions_of("bronze", "big")[0]
    source = StoredObject("big", oldest.size, oldest.etag, oldest.modified)
    etag = store.copy("bronze", source, "data-lake", "big", version_id=oldest.version_id)
    assert etag.endswith("-3")
    answer = world.client.get_object(Bucket="data-lake", Key="big")
    assert (answer["Body"].read() == data[0], answer["Metadata"], answer["TagCount"]) == (True, {"n": "0"}, 1)
    with pytest.raises(SourceChanged, match="is gone since planning"):
        store.copy("bronze", source, "data-lake", "big", version_id="0" * 32)


def test_an_answer_that_gets_lost_adds_no_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write(world, "a", b"1", None, b"2", b"3")
    done: list[str] = []

    def lossy(whole: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            result = whole(*arguments, **options)
            if "version_id" in options or whole.__name__ == "delete_marker":
                done.append(whole.__name__)
                if len(done) in (1, 2, 4):
                    raise StoreError("the answer got lost.")
            return result

        return called

    monkeypatch.setattr(Store, "copy", lossy(Store.copy))
    monkeypatch.setattr(Store, "delete_marker", lossy(Store.delete_marker))
    monkeypatch.setattr("migrator.copying.versions.WAIT_SECONDS", 0)
    world.run("migrate", "--config", world.config, "--yes")
    assert done == ["copy", "delete_marker", "copy"] and histories(world, "data-lake", "bronze/") == histories(
        world, "bronze"
    )


def sizes(history: list[tuple[int, str]]) -> list[int]:
    return [size for size, _ in history]


def test_older_versions_of_table_files_stay_as_they_are(own_world: World) -> None:
    """Only current versions are rewritten, and no version of a version hint is at the target before the cutover."""
    world = own_world
    world.config.write_text(world.config.read_text() + "\n[plan]\nall_versions = true\n")
    for bucket in old_lake.BUCKETS:
        keep_versions(world, bucket)
    hint = "ops/audit_log/metadata/version-hint.text"
    keys = [key.partition("/")[2] for key in world.listing("warehouse")]
    metadata = next(key for key in keys if key.startswith("ops/") and key.endswith(".metadata.json"))
    manifest = next(key for key in keys if key.startswith("ops/") and key.endswith(".avro"))
    for key in (hint, metadata, manifest):
        now = world.client.get_object(Bucket="warehouse", Key=key)["Body"].read()
        write(world, key, b"1", now, bucket="warehouse")  # over what is there, now the version "null"
    plan = world.plan()
    world.run("migrate", plan, "--yes", "--no-cutover")
    target = histories(world, "data-lake", "warehouse/")
    source = histories(world, "warehouse")
    assert hint not in target
    for key in (metadata, manifest):
        assert len(source[key]) == len(target[key]) == 3
        assert sizes(source[key])[:2] == sizes(target[key])[:2]  # SeaweedFS mixes up ETags of "null" versions
        assert source[key][1] == target[key][1] and source[key][2] != target[key][2]
    world.run("migrate", plan, "--yes")
    assert sizes(histories(world, "data-lake", "warehouse/")[hint]) == sizes(source[hint])
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout
    for bucket in old_lake.BUCKETS:
        remove(world.client, bucket)
    world.run("verify", plan)


def test_a_null_version_uploaded_in_parts(world: World) -> None:
    """SeaweedFS 4.48 lists it with an ETag that is not its own, and refuses to copy an object of that ETag."""
    client, key = world.client, {"Bucket": "silver", "Key": "parts"}
    upload = client.create_multipart_upload(**key)["UploadId"]
    part = client.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"null")
    client.complete_multipart_upload(
        **key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    keep_versions(world, "silver")
    write(world, "parts", b"now", bucket="silver")
    world.run("migrate", "--config", world.config, "--yes")
    target = histories(world, "data-lake", "silver/")["parts"]
    assert sizes(target) == sizes(histories(world, "silver")["parts"]) == [4, 3]
    assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout
