"""Keys of every kind that S3 allows, from planning to reading at the target.

SeaweedFS takes ``d//e``, ``/lead`` and ``back\\slash`` for other keys (``d/e``, ``lead``, ``back/slash``) and refuses
``.`` and ``..`` between slashes, so those are tested on a mocked S3 behind real HTTP, which in turn cannot route a key
with a newline in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer

from e2e.world import World
from migrator.cli import main
from migrator.copying.failed_list import read_list, write_list
from migrator.demo.server import Server
from migrator.planfile.file import PlanFile
from migrator.store import Store, StoredObject, is_own

KEYS = (
    *("plain", "with space", " before", "after ", "two  spaces", "\u00a0no-break", "tab\there", "\x7fdelete"),
    *("a+b", "100%", "%", "%2F", "%20", "%zz", "a%2Fb", "a%252Fb", "+", "&", "am&p;", "q?x=1&y=2", "?", "ha#sh", "#"),
    *("se;mi", "e=q", "a:b", "at@", "$1", "!", "(x)", "a,b", "*", "[a-z]", "{b}", "|", "^", "`", "~"),
    *(
        "'single'",
        '"double"',
        "'';--",
        "<t>&amp;</t>",
        "]]>",
        "%s",
        "{0}",
        "${HOME}",
        "$(id)",
        "null",
        "None",
        "...",
        "-",
    ),
    *(
        "ü",
        "u\u0308",
        "é/é",
        "日本語/キー",
        "😀",
        "a😀/b",
        "𐍈",
        "\u202eabc",
        "\u200b",
        "\ufeffbom",
        "\u2028line",
        "ﬁ",
        "İ",
        "ß",
    ),
    *("0", "123", "0123", "1e5", "0x1F", "-1", "1.0", "true", "x=1/y=a%2Fb/z=", "dt=2026-11-23 00%3A00%3A00/f"),
    *(
        "UPPER",
        "upper",
        "x/",
        "x/y/",
        "ü /",
        "1/",
        "dir",
        "dir-1",
        "dir/a",
        "z_$folder$x",
        "year=1/month=2/day=3/00000-0-x.parquet",
    ),
)
ONLY_SEAWEEDFS = ("new\nline", "crlf\r\nend", "\n")
ONLY_MOCK = (
    *("d//e", "s3://bronze/x", "d///e//", "/lead", "//lead", "/", "trail//", "back\\slash", "\\", "\\\\x"),
    *("./dot", "a/./b", "a/../b", "../up", "../../up", ".", "..", "a/.", "a/..", "k" * 1017),
)
LONGEST = "/".join(["ü" * 101] * 5) + "/kk"
"""Below ``bronze/`` it has exactly 1,024 bytes, but fewer characters."""

CONFIG = '[target]\nbucket = "data-lake"\n[layout]\n"s3://bronze/" = "bronze/"\n"s3://silver/" = ""\n'


@dataclass
class Place:
    """A server with the old buckets ``bronze`` and ``silver``, and which keys it takes."""

    client: Any
    folder: Path
    keys: tuple[str, ...]
    pins: bool
    """Copies no object whose ETag has changed."""

    def run(self, *arguments: str | Path, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def plan(self, name: str, *, exit_code: int = 0) -> Path:
        (self.folder / "lake.toml").write_text(CONFIG)
        path = self.folder / name
        self.run("plan", "--config", self.folder / "lake.toml", "-o", path, exit_code=exit_code)
        return path

    def put(self, bucket: str, key: str) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content(key), Metadata={"n": str(len(key))}, Tagging="a=b")

    def listing(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", []) if not is_own(entry["Key"])}

    def empty(self, bucket: str) -> None:
        for key in self.listing(bucket):
            self.client.delete_object(Bucket=bucket, Key=key)


def content(key: str) -> bytes:
    return b"" if key.endswith("/") else f"this is {key!r}".encode()


@pytest.fixture(params=["seaweedfs", "mock"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    if request.param == "seaweedfs":
        with Server() as server:
            yield opened(
                server.client(), server.environ(), Place(None, tmp_path, KEYS + ONLY_SEAWEEDFS, True), monkeypatch
            )
        return
    mock = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    mock.start()
    try:
        url = "http://{}:{}".format(*mock.get_host_and_port())
        urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # all mocks of a process share one memory
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", config=Config(retries={"max_attempts": 1})
        )
        yield opened(client, {"AWS_ENDPOINT_URL_S3": url}, Place(None, tmp_path, KEYS + ONLY_MOCK, False), monkeypatch)
    finally:
        mock.stop()


def opened(client: Any, environ: dict[str, str], place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    place.client = client
    for bucket in ("bronze", "silver"):
        client.create_bucket(Bucket=bucket)
    return place


def test_every_key_arrives_as_it_was(place: Place) -> None:
    keys = {*place.keys, LONGEST}
    for key in keys:
        place.put("bronze", key)
    assert place.listing("bronze") == keys
    place.put("silver", "silver/+ %2F😀")
    target = {f"bronze/{key}": key for key in keys} | {"silver/+ %2F😀": "silver/+ %2F😀"}
    assert max(len(key.encode()) for key in target) == 1024

    plan = place.plan("plan.db")
    with PlanFile.open(plan) as opened_plan:
        assert {o.target: o.key for o in opened_plan.objects()} == target
    described = json.loads(place.run("show", plan, "--json").stdout)
    assert described["actions"]["copy"]["objects"] == len(target)
    text = place.run("show", plan).stdout
    assert not {"\x7f", "\u202e", "\t", "\r"} & set(text)

    # First by a list of files, then the rest.
    half = sorted(keys)[::2]
    write_list(place.folder / "list.txt", (f"s3://bronze/{key}" for key in half))
    place.run("migrate", plan, "--yes", "--files-from", place.folder / "list.txt")
    assert place.listing("data-lake") == {f"bronze/{key}" for key in half}
    migrated = json.loads(place.run("migrate", plan, "--yes", "--json").stdout)
    assert migrated["ok"] and place.listing("data-lake") == set(target)
    status = json.loads(place.run("status", plan, "--json").stdout)
    assert (status["objects_done"], status["phase"]) == (len(target), "finished")
    place.run("verify", plan, "--deep")
    assert not json.loads(place.run("show", place.plan("again.db"), "--json").stdout)["changes_pending"]

    for bucket in ("bronze", "silver"):
        place.empty(bucket)
        place.client.delete_bucket(Bucket=bucket)
    place.run("verify", plan)
    for there, key in target.items():
        answer = place.client.get_object(Bucket="data-lake", Key=there)
        assert answer["Body"].read() == content(key), there
        if not key.endswith("/"):  # SeaweedFS keeps neither with a directory's marker
            assert answer["Metadata"] == {"n": str(len(key))}, there
            tags = place.client.get_object_tagging(Bucket="data-lake", Key=there)["TagSet"]
            assert tags == [{"Key": "a", "Value": "b"}], there


def test_a_key_that_gets_too_long_blocks(place: Place) -> None:
    place.put("bronze", LONGEST + "k")
    assert len(f"bronze/{LONGEST}k".encode()) == 1025
    plan = place.plan("plan.db", exit_code=3)
    (found,) = [f for f in json.loads(place.run("show", plan, "--json").stdout)["findings"] if f["severity"] == "block"]
    assert (found["code"], found["place"]) == ("key-too-long", f"s3://bronze/{LONGEST}k")
    assert "data-lake" not in {bucket["Name"] for bucket in place.client.list_buckets()["Buckets"]}


def test_what_cannot_be_copied_is_named_by_its_key(place: Place) -> None:
    """It is named in the error, in the list of failures, and by verify. No character of a key moves the cursor or
    breaks a line."""
    keys = [key for key in place.keys if not key.endswith("/")][::-6]
    for key in keys:
        place.put("bronze", key)
    plan = place.plan("plan.db")
    for key in keys:
        place.client.put_object(Bucket="bronze", Key=key, Body=b"changed")
    # The mock copies an object that has changed; the size of the copy shows this.
    error = place.run("migrate", plan, "--yes", exit_code=4 if place.pins else 3).stderr
    assert f"{len(keys)} object(s) failed" in error and "\u202e" not in error
    assert read_list(next(place.folder.glob("plan*failed*"))) == {("bronze", key) for key in keys}
    checks = json.loads(place.run("verify", plan, "--json", exit_code=3).stdout)["checks"]
    assert checks[0]["failed"] == len(keys)
    assert all(f"(from s3://bronze/{key})" in " ".join(checks[0]["problems"]) for key in keys[:20])


@pytest.mark.parametrize("place", ["seaweedfs"], indirect=True)
def test_keys_that_are_folders_of_others_survive_copying_many_at_once(place: Place) -> None:
    """SeaweedFS answers 200 to copies of ``a`` and ``a/b`` at once, and loses one of them about once in a hundred."""
    keys = {f"{n:03}/{key}" for n in range(200) for key in ("object", "object/a", "object/a/b", "marker/", "marker/a")}
    for key in sorted(keys, reverse=True):
        place.put("bronze", key)
    assert place.listing("bronze") == keys
    place.run("migrate", place.plan("plan.db"), "--yes")
    assert place.listing("data-lake") == {f"bronze/{key}" for key in keys}


def test_an_empty_marker_whose_etag_is_another_one_in_a_listing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """MinIO with encryption lists an MD5 for a key that ends in a slash; HEAD, GET and conditions know another ETag.
    The marker is in the old bucket and in the target. It is copied, verified, and planned again."""
    list_all, plain_list = Store.list_all, Store.list

    def shown(found: StoredObject) -> StoredObject:
        return replace(found, etag="0123456789abcdef" * 2) if found.key.endswith("/") and not found.size else found

    monkeypatch.setattr(Store, "list", lambda *given: (shown(found) for found in plain_list(*given)))
    monkeypatch.setattr(
        Store,
        "list_all",
        lambda *given: ((bucket, [shown(found) for found in page]) for bucket, page in list_all(*given)),
    )
    with world.added("gold", "odd/marker/", b""):
        plan = world.plan()
        assert json.loads(world.run("migrate", plan, "--yes", "--json").stdout)["ok"]
        assert "data-lake/gold/odd/marker/" in world.listing("data-lake")
        assert "nothing to do" in world.run("migrate", plan, "--yes").stdout.lower()
        world.run("verify", plan, "--deep")
        again = json.loads(world.run("plan", "--config", world.config, "--json").stdout)
        assert not again["changes_pending"] and not again["blocked"]
