"""A migration through a faulty network, past a faulty server, ends right, or with exit 3 and the exact list."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.faults import ANYWHERE, COPIES, KINDS, FaultProxy, Request
from e2e.test_interrupted import contents
from e2e.world import World

MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 does not wait long before it asks again."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)


@pytest.fixture
def proxy(world: World) -> Iterator[FaultProxy]:
    with FaultProxy(world.server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, dict[str, tuple[int, str]]]:
    """The target of a migration without faults, made by whichever test needs it first."""
    return {}


@pytest.fixture
def expected(world: World, undisturbed: dict[str, dict[str, tuple[int, str]]]) -> dict[str, tuple[int, str]]:
    if not undisturbed:
        pristine = catalog(world).read_bytes()
        world.run("migrate", world.plan("whole.db"), "--yes")
        undisturbed["target"] = contents(world)
        world.remove_target()
        catalog(world).write_bytes(pristine)
    return undisturbed["target"]


def catalog(world: World) -> Path:
    return Path(world.lake.catalogs["iceberg"]["uri"].removeprefix("sqlite:///"))


def some(kinds: tuple[str, ...], share: float, seed: int = 1) -> object:
    """Each of the kinds at random; what only copies suffer, only to our own requests."""
    dice = random.Random(seed)

    def choose(request: Request) -> str | None:
        if "aiobotocore" in request.headers.get("user-agent", "") or dice.random() >= share:
            return None  # that is pyiceberg reading, not us
        kind = dice.choice(kinds)
        return kind if kind in ANYWHERE or (request.copies and request.by_us) else None

    return choose


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault(world: World, proxy: FaultProxy, expected: dict[str, tuple[int, str]], kind: str) -> None:
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
    proxy.choose = some((kind,), 0.1)  # type: ignore[assignment]
    world.run("migrate", plan, "--yes")
    assert proxy.counts[kind] >= 5, proxy.counts
    assert contents(world) == expected
    assert not world.client.list_multipart_uploads(Bucket="data-lake").get("Uploads")


def test_all_faults_at_once(world: World, proxy: FaultProxy, expected: dict[str, tuple[int, str]]) -> None:
    proxy.choose = some(ANYWHERE, 0.05)  # type: ignore[assignment]
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
    proxy.choose = some(ANYWHERE + COPIES * 2, 0.25)  # type: ignore[assignment]
    world.run("migrate", plan, "--yes")
    assert len(proxy.counts) == len(KINDS), proxy.counts
    proxy.choose = lambda request: None
    assert contents(world) == expected
    world.run("verify", plan, "--deep")


def test_what_fails_is_listed_and_can_be_done_alone(
    world: World, proxy: FaultProxy, expected: dict[str, tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.001)
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
    copies = [place for place in world.listing("bronze", "logs") if "page_views" in place or place.startswith("logs/")]
    bad = {copies[0]: "internal", copies[1]: "denied", copies[2]: "error-200"}
    proxy.choose = lambda request: bad.get(request.copies or "")
    failed = world.run("migrate", plan, "--yes", exit_code=3)
    listed = plan.with_name("plan.db.failed.txt")
    assert str(listed) in failed.stderr.replace("\n", "") and "nothing was cut over" in failed.stderr
    assert listed.read_text().splitlines() == sorted((f"s3://{place}" for place in bad), key=listed.read_text().find)
    assert set(listed.read_text().splitlines()) == {f"s3://{place}" for place in bad}
    there = contents(world)
    assert not any("metadata.json" in place for place in there), "nothing is rewritten before all is copied"

    proxy.choose = lambda request: None
    proxy.seen.clear()
    first = f"s3://{copies[1]}\n"
    (world.folder / "one.txt").write_text(first)
    world.run("migrate", plan, "--yes", "--files-from", world.folder / "one.txt")
    assert set(proxy.copied) == {copies[1]}
    world.run("migrate", plan, "--yes", "--files-from", listed)
    assert proxy.copied == {place: 1 for place in bad}, "what is done is not done again"
    proxy.seen.clear()
    world.run("migrate", plan, "--yes")
    assert not listed.exists(), "nothing failed this time"
    assert not any(request.copies and request.by_us for request in proxy.seen)
    assert contents(world) == expected


def test_too_many_failures_stop_it(world: World, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("migrator.copying.copy_thread.FLUSH_SECONDS", 5)  # a failure does not wait for that
    plan = world.plan("plan.db", "--endpoint-url", proxy.url)
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
