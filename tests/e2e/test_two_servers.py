"""The target is on another server, or under another account: two real servers that have no connection with each
other."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from e2e.test_copying import in_parts
from e2e.test_migration import check_every_object, documented_keys, get_all, keys_of, mapped, read_all, rows
from e2e.world import World, build_world
from migrator.copying.copy_objects import copy_objects
from migrator.copying.options import Options
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.demo import lake as old_lake
from migrator.demo.server import Server
from migrator.errors import SourceChanged
from migrator.planfile.copied import Copied
from migrator.store import Content, RunningETag, Store, StoredObject, connect, part_count
from migrator.store.wire import Wire

MIB = 1 << 20


@dataclass
class Two:
    """The same lake and folder, on the old server and on the new one."""

    old: World
    new: World

    def store(self) -> Any:
        ends = (
            {"endpoint_url": world.server.endpoint_url, "region": None, "profile": profile}
            for world, profile in ((self.old, "old"), (self.new, "new"))
        )
        return connect(**next(ends), target=next(ends), target_bucket="data-lake")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """The servers for all tests that do not change the old server."""
    with two_servers(tmp_path_factory.mktemp("two")) as two:
        yield two


@pytest.fixture
def two(servers: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    return without_target(servers, tmp_path, monkeypatch)


def test_the_old_server_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_servers(tmp_path) as two:
        use_accounts(two, tmp_path, monkeypatch)
        world = two.old
        before, old_objects = read_all(world), get_all(world, *old_lake.BUCKETS)
        old_state = world.listing(*old_lake.BUCKETS)
        plan = world.plan()
        migrated = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
        assert migrated["ok"] and len(migrated["tables_cut_over"]) == 6
        assert {"what": "fs.s3a.endpoint, s3.endpoint", "before": world.server.endpoint_url,
                "after": two.new.server.endpoint_url} in migrated["changes"]  # fmt: skip
        assert world.listing(*old_lake.BUCKETS) == old_state and "data-lake" not in world.buckets()
        assert "nothing to do" in world.run("migrate", plan, "--yes").stdout.lower()
        deep = world.run("verify", plan, "--deep").stdout
        assert "gone" not in deep
        assert "Nothing to do" in world.run("migrate", "--config", world.config, "--yes").stdout

        world.server.stop()
        assert read_all(two.new) == before
        assert sum(len(snapshots) for snapshots in before.values()) == 20
        world.run("verify", plan)
        deep = world.run("verify", plan, "--deep").stdout
        assert f"the old server {world.server.endpoint_url} did not answer" in deep and "gone" not in deep
        assert json.loads(world.run("status", plan, "--json").stdout)["phase"] == "finished"
        check_without_the_old_server(world)
        new_objects = get_all(two.new, "data-lake")
        assert set(new_objects) == {mapped(place) for place in old_objects}
        check_every_object(old_objects, new_objects)
        with closing(
            SqlCatalog("iceberg", uri=world.lake.catalogs["iceberg"]["uri"], **two.new.server.properties())
        ) as c:
            table = c.load_table("silver.legacy_v1")  # the tables are used there
            table.append(old_lake._events(900, 10))
            assert len(rows(table)) == len(before["silver.legacy_v1"]) + 1
        world.run("verify", plan)


def check_without_the_old_server(world: World) -> None:
    """The check continues. It cannot read the old warehouse of the Hadoop catalog, until lake.toml names the new
    one."""
    found = json.loads(world.run("check", "--config", world.config, "--json", exit_code=3).stdout)
    assert {bucket["state"] for bucket in found["old_buckets"]} == {"unknown"}
    assert {folder["state"] for folder in found["folders"]} == {"present"} and found["tables_read"] == 7
    warned = {(f["code"], f["place"]) for f in found["findings"] if f["severity"] == "warn"}
    assert warned == {("not-checked", "catalog local")}
    new = world.folder / "new.toml"
    new.write_text(world.config.read_text().replace('"s3a://warehouse/"', '"s3a://data-lake/warehouse/"'))
    assert json.loads(world.run("check", "--config", new, "--json").stdout)["ok"]


def test_in_worker_processes(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_all(two.old)
    monkeypatch.setattr("migrator.rewriting.rewriter.PARALLEL_ABOVE", 0)
    monkeypatch.setattr("migrator.copying.stage.copy_objects", partial(copy_objects, processes=2))
    two.old.run("migrate", two.old.plan(), "--yes")
    assert read_all(two.new) == before


def test_the_plan_names_both_ends_and_no_secret(two: Two) -> None:
    plan = two.old.plan()
    text, described = two.old.run("show", plan).stdout, json.loads(two.old.run("show", plan, "--json").stdout)
    old, new = two.old.server, two.new.server
    assert f"{old.endpoint_url} (profile old) → s3://data-lake/ at {new.endpoint_url} (profile new)" in text
    assert (described["endpoint_url"], described["target_endpoint_url"]) == (old.endpoint_url, new.endpoint_url)
    assert (described["profile"], described["target_profile"], described["streamed"]) == ("old", "new", True)
    assert keys_of(described) <= documented_keys()
    done = two.old.run("migrate", plan, "--yes")
    for server in (old, new):
        for secret in (server.access_key, server.secret_key):
            assert secret not in text + json.dumps(described) + done.output + done.stderr
            assert all(secret.encode() not in file.read_bytes() for file in plan.parent.glob("plan.db*"))


def test_the_target_of_the_option(two: Two) -> None:
    """It is added to lake.toml. An existing plan accepts no such option."""
    text = two.old.config.read_text()
    two.old.config.write_text(text.replace(two.new.server.endpoint_url, "http://127.0.0.1:9"))
    option = ("--target-endpoint-url", two.new.server.endpoint_url)
    described = json.loads(two.old.run("plan", "--config", two.old.config, *option, "--json").stdout)
    assert described["target_endpoint_url"] == two.new.server.endpoint_url
    result = two.old.run("migrate", described["plan"], *option, exit_code=2)
    assert "--target-endpoint-url" in result.stderr


def test_two_accounts_on_one_server(two: Two) -> None:
    """One that may only read the old buckets, and one for the target."""
    server = two.old.server
    credentials = Path(two.old.folder / "accounts")
    with credentials.open("a") as file:
        file.write(profile("reader", server.reader_key, server.reader_secret))
    text = two.old.config.read_text().replace('profile = "old"', 'profile = "reader"')
    two.old.config.write_text(text.replace(two.new.server.endpoint_url, server.endpoint_url).replace('"new"', '"old"'))
    before = read_all(two.old)
    try:
        plan = two.old.plan()
        described = json.loads(two.old.run("show", plan, "--json").stdout)
        assert described["streamed"] and described["endpoint_url"] == described["target_endpoint_url"]
        whats = {change["what"] for change in described["changes"]}
        assert "credentials of the engines" in whats and "fs.s3a.endpoint, s3.endpoint" not in whats
        two.old.run("migrate", plan, "--yes")
        assert read_all(two.old) == before
    finally:
        two.old.remove_target()


def test_a_changed_source_is_noticed(two: Two) -> None:
    plan = two.old.plan()
    for data, says in ((b"changed since", "changed since planning"), (None, "is gone since planning")):
        with two.old.replaced("gold", "odd/with space", data):
            result = two.old.run("migrate", plan, "--yes", exit_code=4)
        assert f"s3://gold/odd/with space {says}" in result.stderr and "Nothing was cut over." in result.stderr


def test_a_wrong_target(two: Two) -> None:
    text = two.old.config.read_text()
    two.old.config.write_text(text.replace(two.new.server.endpoint_url, "http://127.0.0.1:9"))
    result = two.old.run("plan", "--config", two.old.config, exit_code=1)
    assert "http://127.0.0.1:9 did not answer for s3://data-lake" in result.stderr
    assert "--target-endpoint-url" in result.stderr and result.stderr.count("Error:") == 1
    two.old.config.write_text(text.replace('profile = "new"', 'profile = "nobody"'))
    assert "nobody" in two.old.run("plan", "--config", two.old.config, exit_code=2).stderr
    two.old.config.write_text(text.replace('profile = "new"', 'profile = "old"'))  # no account over there
    assert "s3://data-lake: access denied" in two.old.run("plan", "--config", two.old.config, exit_code=1).stderr


def test_an_object_of_equal_parts_keeps_its_etag(two: Two) -> None:
    """Both boto3 and the engine keep it: otherwise the next plan would have to read the object."""
    attributes = {"ContentType": "text/x-lake", "Metadata": {"owner": "bi"}, "Tagging": "team=a%26b&tier=gold"}
    data = random.Random(1).randbytes(13 * MIB)
    client = two.old.client
    try:
        upload = client.create_multipart_upload(Bucket="gold", Key="odd/parts", **attributes)["UploadId"]
        where = {"Bucket": "gold", "Key": "odd/parts", "UploadId": upload}
        parts = []
        for number, start in enumerate(range(0, len(data), 6 * MIB), 1):
            part = client.upload_part(**where, PartNumber=number, Body=data[start : start + 6 * MIB])
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        two.new.client.create_bucket(Bucket="data-lake")
        store = two.store()
        source = store.head("gold", "odd/parts")
        assert source.etag.endswith("-3")
        assert store.copy("gold", source, "data-lake", "copied") == source.etag
        migrated = json.loads(two.old.run("migrate", two.old.plan(), "--yes", "--no-cutover", "--json").stdout)
        assert set(migrated["copy"]["proofs"]) == {"etag"}
        for key in ("copied", "gold/odd/parts"):
            copied = store.get("data-lake", key)
            assert (copied.data, copied.etag) == (data, source.etag)
            assert attributes.items() <= {**copied.attributes, "Tagging": store.tagging("data-lake", key)}.items()
        again = json.loads(two.old.run("plan", "--config", two.old.config, "--json").stdout)
        assert again["actions"]["copy"]["objects"] == again["actions"]["overwrite"]["objects"] == 0
    finally:
        client.delete_object(Bucket="gold", Key="odd/parts")


@pytest.mark.parametrize("size", [0, 5, 33 * MIB], ids=["empty", "small", "in parts"])
def test_a_copy_across_keeps_everything(two: Two, size: int) -> None:
    attributes = {"ContentType": "text/x-lake", "CacheControl": "max-age=7", "Metadata": {"owner": "bi"}}
    two.new.client.create_bucket(Bucket="data-lake")
    store, data = two.store(), random.Random(size).randbytes(size)
    with two.old.added("gold", "odd/extra", b""):
        store.put("gold", "odd/extra", Content(data, "", {**attributes, "Tagging": "team=a%26b"}))
        etag = store.copy("gold", store.head("gold", "odd/extra"), "data-lake", "there")
    copied = store.get("data-lake", "there")
    assert (copied.data, copied.etag) == (data, etag)
    assert attributes.items() <= copied.attributes.items()
    assert store.tagging("data-lake", "there") == "team=a%26b"
    assert store.uploads.count_open("data-lake") == 0


def engine(two: Two, options: Options | None = None) -> Setup:
    source, target = two.store().ends
    return Setup(source.connection, target.connection, "data-lake", options or Options())


def all_of(setup: Setup, items: list[Item]) -> list[Outcome]:
    return sorted((o for batch in copy_objects(setup, items) for o in batch), key=lambda outcome: outcome.id)


@pytest.mark.parametrize("lean", [True, False], ids=["lean", "boto3"])
@pytest.mark.parametrize("size", [0, 5, 33 * MIB], ids=["empty", "small", "in parts"])
def test_the_engine_copies_across(two: Two, monkeypatch: pytest.MonkeyPatch, size: int, lean: bool) -> None:
    """With everything that belongs to the object, also if its uploader had the server keep a checksum; and with a
    proof. Where our own requests cannot go (through a proxy, say), boto3 does all of it."""
    if not lean:
        monkeypatch.setattr(Store, "endpoint", lambda _: None)
    attributes = {"ContentType": "text/x-lake", "CacheControl": "max-age=7", "Metadata": {"owner": "bi"}}
    data = random.Random(size).randbytes(size)
    two.new.client.create_bucket(Bucket="data-lake")
    with two.old.added("gold", "odd/extra", b""):
        two.old.client.put_object(
            Bucket="gold", Key="odd/extra", Body=data, Tagging="team=a%26b", ChecksumAlgorithm="CRC32", **attributes
        )
        store = two.store()
        here = store.head("gold", "odd/extra")
        gone, changed = replace(here, key="odd/gone"), replace(here, etag="0" * 32)
        items = [Item(i, "gold", stored, f"{i}") for i, stored in enumerate((here, gone, changed))]
        (done, missing, other) = all_of(engine(two), items)
    copied = store.get("data-lake", "0")
    assert copied.data == data and attributes.items() <= copied.attributes.items()
    assert store.tagging("data-lake", "0") == "team=a%26b"
    assert isinstance(done, Copied) and done.etag == copied.etag
    assert done.proof == ("etag" if size <= 16 * MIB else "md5")
    assert isinstance(missing, NotCopied) and "s3://gold/odd/gone is gone since planning" in str(missing.error)
    assert isinstance(other, NotCopied) and "changed since planning" in str(other.error)
    assert all(isinstance(outcome.error, SourceChanged) for outcome in (missing, other))
    assert [o.key for o in store.list("data-lake")] == ["0"] and store.uploads.count_open("data-lake") == 0


def test_an_etag_that_is_no_md5_proves_nothing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ETags of an encrypting server look like MD5s. Then both sides are read, if no checksum proves it."""
    monkeypatch.setattr(RunningETag, "etag", lambda _: "0" * 32)
    monkeypatch.setattr(Store, "checksum", lambda *_: None)
    two.new.client.create_bucket(Bucket="data-lake")
    with two.old.added("gold", "odd/extra", random.Random(9).randbytes(40 * MIB)):
        (outcome,) = all_of(engine(two), [Item(0, "gold", two.store().head("gold", "odd/extra"), "k")])
    assert isinstance(outcome, Copied) and outcome.proof == "sha256"


@pytest.mark.parametrize(("size", "parts"), [(33 * MIB, 3), (12 * MIB, 0)], ids=["in parts", "whole"])
def test_other_parts_than_the_source_has(two: Two, monkeypatch: pytest.MonkeyPatch, size: int, parts: int) -> None:
    """For example if its parts are too large for the memory: then the ETags differ, and the ETag of the source proves
    what was read."""
    monkeypatch.setattr("migrator.copying.between_servers.MOST_PART_SIZE", 5 * MIB)
    two.new.client.create_bucket(Bucket="data-lake")
    with two.old.added("gold", "odd/extra", b""):
        in_parts(two.old.client, "odd/extra", random.Random(size).randbytes(size), 7 * MIB, bucket="gold")
        here = two.store().head("gold", "odd/extra")
        items = [Item(0, "gold", here, "known")]
        (known,) = all_of(engine(two), items)
        monkeypatch.setattr(Store, "part_size", lambda *_: None)
        (unknown,) = all_of(engine(two), [replace(items[0], target="unknown")])
    assert isinstance(known, Copied) and isinstance(unknown, Copied)
    assert known.etag == unknown.etag != here.etag and part_count(known.etag) == parts
    assert (known.proof, unknown.proof) == ("md5", "sha256")


def test_metadata_that_is_not_ascii(two: Two) -> None:
    """boto3 would not send it. Other clients do, and it is copied like any other bytes."""
    two.new.client.create_bucket(Bucket="data-lake")
    name = "Müller".encode().decode("latin-1")  # as headers are read

    async def put(store: Store) -> None:
        endpoint = store.endpoint()
        assert endpoint is not None
        wire = Wire(endpoint)
        answer = await wire.request("PUT", "gold", "odd/extra", headers={"x-amz-meta-owner": name}, body=b"x")
        wire.close()
        assert answer.status == 200

    store = two.store()
    with two.old.added("gold", "odd/extra", b""):
        asyncio.run(put(store.ends[0]))
        (outcome,) = all_of(engine(two), [Item(0, "gold", store.head("gold", "odd/extra"), "k")])
    assert isinstance(outcome, Copied)
    assert store.get("data-lake", "k").attributes["Metadata"] == {"owner": name}


def test_the_engine_leaves_nothing_where_the_target_refuses(two: Two) -> None:
    """There is no such bucket: the message is the server's."""
    with two.old.added("gold", "odd/extra", bytes(20 * MIB)):
        here = two.store().head("gold", "odd/extra")
        small = two.store().head("gold", "odd/with space")
        outcomes = all_of(engine(two), [Item(0, "gold", here, "a"), Item(1, "gold", small, "b")])
    for outcome in outcomes:
        assert isinstance(outcome, NotCopied) and "s3://data-lake/" in str(outcome.error)
        assert not isinstance(outcome.error, SourceChanged)


def test_an_empty_directory_marker(two: Two) -> None:
    """SeaweedFS lists it, but may not return it."""
    two.new.client.create_bucket(Bucket="data-lake")
    store = two.store()
    with two.old.added("gold", "odd/marker/", b""):
        listed: StoredObject = next(o for o in store.list("gold") if o.key == "odd/marker/")
        store.copy("gold", listed, "data-lake", "one/")
        (outcome,) = all_of(engine(two), [Item(0, "gold", listed, "two/")])
    assert isinstance(outcome, Copied), outcome
    assert [(o.key, o.size) for o in store.list("data-lake")] == [("one/", 0), ("two/", 0)]


# -- set-up --------------------------------------------------------------------------------------------


@contextmanager
def two_servers(folder: Path) -> Iterator[Two]:
    """The old-style lake on one server, and an empty other one."""
    with build_world(folder, objects=60) as old, Server() as server:
        text = old.config.read_text().replace("[source]\n", '[source]\nprofile = "old"\n')
        old.config.write_text(f'[target]\nendpoint_url = "{server.endpoint_url}"\nprofile = "new"\n{text}')
        yield Two(old, World(server, old.lake, folder))


def without_target(servers: Two, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    """The servers for one test that works in ``folder``: the catalog as it was at first, and no target."""
    pristine = servers.old.folder / "catalog.pristine"
    (servers.old.folder / "catalog.db").write_bytes(pristine.read_bytes())
    servers.new.remove_target()
    use_accounts(servers, folder, monkeypatch)
    old = World(servers.old.server, servers.old.lake, folder)
    old.config.write_text(servers.old.config.read_text())
    return Two(old, World(servers.new.server, servers.new.lake, folder))


def use_accounts(two: Two, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server has its own credentials. Those in the environment are valid for neither."""
    known = {"old": two.old.server, "new": two.new.server}
    texts = (profile(name, server.access_key, server.secret_key) for name, server in known.items())
    (folder / "accounts").write_text("".join(texts))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "accounts"))
    monkeypatch.chdir(folder)


def profile(name: str, key: str, secret: str) -> str:
    return f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
@pytest.mark.parametrize(("size", "part"), [(5, 0), (11 * MIB, 0), (11 * MIB, 5 * MIB), (40 * MIB, 20 * MIB), (9, 9)])
def test_a_checksum_goes_along(two: Two, algorithm: str, size: int, part: int) -> None:
    data = random.Random(size).randbytes(size)
    two.new.client.create_bucket(Bucket="data-lake")
    with two.old.added("gold", "odd/extra", b""):
        with_checksum(two.old.client, "gold", "odd/extra", data, part, algorithm)
        before = two.store().checksum("gold", "odd/extra")
        assert before is not None and before.algorithm == algorithm
        ends = two.store().ends
        setup = Setup(ends[0].connection, ends[1].connection, "data-lake", Options())
        item = Item(0, "gold", ends[0].head("gold", "odd/extra"), "there")
        (outcome,) = [outcome for batch in copy_objects(setup, [item]) for outcome in batch]
        assert isinstance(outcome, Copied) and outcome.checksum == "" and outcome.proof in ("etag", "md5")
        assert two.store().checksum("data-lake", "there") == before
        assert two.store().get("data-lake", "there").data == data


def with_checksum(client: Any, bucket: str, key: str, data: bytes, part: int, algorithm: str) -> None:
    """Put in one request, or in parts of this many bytes."""
    place, given = {"Bucket": bucket, "Key": key}, {"ChecksumAlgorithm": algorithm}
    if not part:
        client.put_object(**place, Body=data, **given)
        return
    upload = {**place, "UploadId": client.create_multipart_upload(**place, **given)["UploadId"]}
    parts = []
    for number, start in enumerate(range(0, len(data), part), 1):
        done = client.upload_part(**upload, PartNumber=number, Body=data[start : start + part], **given)
        said = {name: value for name, value in done.items() if name == "ETag" or name.startswith("Checksum")}
        parts.append({"PartNumber": number, **said})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
