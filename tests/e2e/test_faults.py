"""A migration over a faulty network, to a faulty server, ends well, or with exit code 3 and the exact list of
failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.faults import ANYWHERE, COPIES, KINDS, FaultProxy, at_random
from e2e.world import Contents, World

FEW = ("--concurrency", "32")
"""So few connections that each has several requests: an earlier answer can only be repeated on the same connection."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries have only a short delay."""
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)


@pytest.fixture(scope="module")
def shared_proxy(shared_world: World) -> Iterator[FaultProxy]:
    with FaultProxy(shared_world.server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy, after a reset."""
    shared_proxy.reset()
    yield shared_proxy
    shared_proxy.reset()


@pytest.fixture(scope="module")
def first_plan() -> dict[str, bytes]:
    return {}


@pytest.fixture
def plan(world: World, proxy: FaultProxy, first_plan: dict[str, bytes]) -> Path:
    """A plan of the lake, made through the proxy without faults. The first test that needs it makes it."""
    path = world.folder / "plan.db"
    if not first_plan:
        first_plan["plan"] = world.plan(path.name, "--endpoint-url", proxy.url).read_bytes()
    path.write_bytes(first_plan["plan"])
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault(world: World, proxy: FaultProxy, plan: Path, expected: Contents, kind: str) -> None:
    proxy.choose = at_random((kind,), 0.1)
    world.run("migrate", plan, "--yes", *FEW)
    assert proxy.counts[kind] >= 5, proxy.counts
    assert world.contents() == expected
    assert not world.client.list_multipart_uploads(Bucket="data-lake").get("Uploads")


def test_all_faults_at_once(world: World, proxy: FaultProxy, expected: Contents) -> None:
    proxy.choose = at_random(ANYWHERE, 0.05)
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
    # With this seed, the copies of the plain objects alone have each kind of fault at least three times.
    proxy.choose = at_random(ANYWHERE + COPIES * 2, 0.25, seed=63)
    world.run("migrate", plan, "--yes", *FEW)
    assert len(proxy.counts) == len(KINDS), proxy.counts
    proxy.choose = lambda request: None
    assert world.contents() == expected
    world.run("verify", plan, "--deep")


COPIED_LATE = re.compile("/offsets/[0-9]+$|/commits/[0-9]+$|/metadata$")


def test_what_fails_is_listed_and_can_be_done_alone(
    world: World, proxy: FaultProxy, plan: Path, expected: Contents
) -> None:
    copies = [place for place in world.listing("bronze", "logs") if "page_views" in place or place.startswith("logs/")]
    bad = {copies[0]: "internal", copies[1]: "denied", copies[2]: "error-200"}
    proxy.choose = lambda request: bad.get(request.copies or "")
    failed = world.run("migrate", plan, "--yes", exit_code=3)
    listed = plan.with_name("plan.db.failed.txt")
    assert str(listed) in failed.stderr.replace("\n", "") and "Nothing was cut over." in failed.stderr
    assert listed.read_text().splitlines() == sorted((f"s3://{place}" for place in bad), key=listed.read_text().find)
    assert set(listed.read_text().splitlines()) == {f"s3://{place}" for place in bad}
    there = world.contents()
    assert not any("metadata.json" in place for place in there), "nothing is rewritten before all is copied"

    proxy.choose = lambda request: None
    proxy.seen.clear()
    first = f"s3://{copies[1]}\n"
    (world.folder / "one.txt").write_text(first)
    world.run("migrate", plan, "--yes", "--files-from", world.folder / "one.txt")
    assert set(proxy.copied) == {copies[1]}
    world.run("migrate", plan, "--yes", "--files-from", listed)
    assert proxy.copied == {place: 1 for place in bad}, "finished work is not repeated"
    proxy.seen.clear()
    world.run("migrate", plan, "--yes")
    assert not listed.exists(), "nothing failed this time"
    late = {request.copies for request in proxy.seen if request.copies and request.by_us}
    parts = [place for place in world.listing("checkpoints") if COPIED_LATE.search(place)]
    assert late == set(parts), "of checkpoints, these are copied when all else is"
    assert world.contents() == expected


def test_too_many_failures_stop_it(
    world: World, proxy: FaultProxy, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.copying.copy_thread.FLUSH_SECONDS", 5)  # a failure does not wait for that
    proxy.choose = lambda request: "denied" if request.copies else None
    failed = world.run("migrate", plan, "--yes", "--max-failures", "3", "--concurrency", "2", exit_code=3)
    assert "access denied" in failed.stderr
    assert 3 <= len(proxy.copied) < 20


def test_a_listing_without_anything(world: World, tmp_path: Path) -> None:
    plan = world.plan()
    (tmp_path / "bad.txt").write_text("not a uri\n")
    for name, message in (("bad.txt", "line 1: 'not a uri' is no object's URI"), ("none.txt", "cannot be read")):
        result = world.run("migrate", plan, "--yes", "--files-from", tmp_path / name, exit_code=2)
        assert message in result.stderr
