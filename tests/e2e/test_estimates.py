"""The estimates of a plan, compared with a real migration: a proxy counts its requests, and its journal is measured.
The speed of the machine does not matter: the tests check only that a time is given, not that it is right."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.faults import FaultProxy, Request
from e2e.test_migration import documented_keys, keys_of
from e2e.test_two_servers import MIB, Two, two_servers, use_accounts
from e2e.world import World
from migrator.reporting.estimates import FACTOR
from migrator.store import LEASE_KEY, OWN_PREFIX, speed

KINDS = {
    "ListObjectsV2": "list",
    "GetObject": "get",
    "HeadObject": "head",
    "GetObjectTagging": "get_tags",
    "PutObject": "put",
    "CopyObject": "copy",
    "UploadPartCopy": "part_copy",
    "UploadPart": "part_put",
    "CreateMultipartUpload": "begin_upload",
    "CompleteMultipartUpload": "finish_upload",
}
LISTS = 12
"""LIST requests that do not depend on the lake's size: whether buckets exist, and migrator's own prefix."""


@pytest.fixture
def proxy(world: World) -> Iterator[FaultProxy]:
    """All requests of migrator pass this proxy."""
    with FaultProxy(world.server.endpoint_url) as proxy:
        world.config.write_text(world.config.read_text().replace(world.server.endpoint_url, proxy.url))
        yield proxy


def is_own(request: Request) -> bool:
    return any(OWN_PREFIX in place or LEASE_KEY in place for place in (request.path, request.copies or ""))


def counted(*proxies: FaultProxy) -> Counter[str]:
    """Kind → requests that were sent for the lake's objects; "own" for those for migrator's."""
    found: Counter[str] = Counter()
    for request in (request for proxy in proxies for request in proxy.seen):
        kind = KINDS.get(request.operation)
        found["own" if is_own(request) else kind or "other"] += 1
    return found


def check_requests(estimates: dict[str, Any], sent: Counter[str]) -> None:
    for kind, estimate in estimates["requests"].items():
        if estimate["exact"]:
            assert sent[kind] == estimate["count"], (kind, sent)
        else:
            slack = LISTS if kind == "list" else 0
            low, high = estimate["count"] / FACTOR - slack, estimate["count"] * FACTOR + slack
            assert low <= sent[kind] <= high, (kind, estimate, sent)


def estimates_of(world: World, path: Path) -> dict[str, Any]:
    described = json.loads(world.run("show", path, "--json").stdout)
    assert keys_of(described["estimates"]) - documented_keys() - {"total"} == set()
    return dict(described["estimates"])


def own_objects(world: World) -> list[str]:
    found = world.client.list_objects_v2(Bucket="data-lake", Prefix=OWN_PREFIX).get("Contents", [])
    return [entry["Key"] for entry in found]


@pytest.mark.parametrize("there", [True, False], ids=["into a bucket", "into a new bucket"])
def test_a_plan_says_what_a_migration_then_takes(world: World, proxy: FaultProxy, there: bool) -> None:
    if there:
        world.client.create_bucket(Bucket="data-lake")
    path = world.plan()
    estimates = estimates_of(world, path)
    assert not there or own_objects(world) == []
    measured = estimates["measured"]
    assert (measured["copies_per_second"] is not None) == there and measured["reads_per_second"] > 0
    assert measured["why_not"] == (
        None if there else "the target bucket does not exist yet, so only reads were measured"
    )
    for stage, seconds in estimates["seconds"].items():
        assert seconds is not None and 0 < seconds["low"] < seconds["likely"] < seconds["high"], stage
    assert estimates["plan_bytes"] == path.stat().st_size and estimates["actual"] is None

    proxy.reset()
    world.run("migrate", path, "--yes")
    sent = counted(proxy)
    exact = {kind for kind, estimate in estimates["requests"].items() if estimate["exact"]}
    assert {"copy", "put", "part_copy", "get_tags"} <= exact
    check_requests(estimates, sent)
    after = estimates_of(world, path)
    assert {**after, "actual": None} == estimates, "what a plan says never changes"
    assert after["actual"]["runs"] == 1 and after["actual"]["complete"]
    assert set(after["actual"]["seconds"]) == {*estimates["seconds"]}
    assert "\n  took " in world.run("show", path).stdout


def test_without_preflight_nothing_is_measured(world: World, proxy: FaultProxy) -> None:
    world.client.create_bucket(Bucket="data-lake")
    path = world.plan("plan.db", "--no-preflight")
    assert not [request for request in proxy.seen if request.method in ("PUT", "POST", "DELETE")]
    estimates = estimates_of(world, path)
    assert estimates["measured"]["why_not"] == "the plan was made with --no-preflight"
    assert estimates["seconds"]["copying"] is None and estimates["seconds"]["total"] is None
    assert estimates["seconds"]["rewriting"] is not None
    assert "not known: the plan was made with --no-preflight" in world.run("show", path).stdout


def test_nothing_is_measured_where_nothing_is_to_be_done(world: World) -> None:
    world.run("migrate", world.plan(), "--yes")
    before = own_objects(world)
    path = world.plan("again.db")
    estimates = estimates_of(world, path)
    assert estimates["measured"]["why_not"] == "there is nothing to copy or to rewrite"
    assert not any(estimate["count"] for estimate in estimates["requests"].values())
    assert estimates["seconds"]["total"]["high"] == 0 and own_objects(world) == before


def test_an_interrupted_measurement_leaves_nothing(world: World, proxy: FaultProxy) -> None:
    world.client.create_bucket(Bucket="data-lake")
    main, trials = threading.main_thread(), []

    def interrupt(request: Request) -> None:
        if request.operation == "CopyObject" and not trials:
            trials.append(request)
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

    proxy.choose = interrupt
    world.run("plan", "--config", world.config, "-o", world.folder / "plan.db", exit_code=130)
    assert trials and own_objects(world) == []
    assert not (world.folder / "plan.db").exists()


def test_a_server_that_refuses_measurements_does_not_stop_the_plan(world: World, proxy: FaultProxy) -> None:
    world.client.create_bucket(Bucket="data-lake")
    proxy.choose = lambda request: "slow-down" if "/speed-" in request.path and request.copies else None
    estimates = estimates_of(world, world.plan())
    assert estimates["measured"]["why_not"] == "the target answered a trial request with the status 503"
    assert own_objects(world) == []


def test_a_slow_server_is_not_measured_to_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.client.create_bucket(Bucket="data-lake")
    monkeypatch.setattr(speed, "LIMIT_SECONDS", -1.0)
    estimates = estimates_of(world, world.plan())
    assert "so slow that measuring it was stopped" in estimates["measured"]["why_not"]
    assert estimates["seconds"]["copying"] is None and own_objects(world) == []


def test_a_bucket_with_versions_keeps_none_of_the_trials(world: World) -> None:
    world.client.create_bucket(Bucket="data-lake")
    enabled = {"Status": "Enabled"}
    world.client.put_bucket_versioning(Bucket="data-lake", VersioningConfiguration=enabled)
    assert estimates_of(world, world.plan())["measured"]["copies_per_second"] is not None
    found = world.client.list_object_versions(Bucket="data-lake")
    assert not found.get("Versions") and not found.get("DeleteMarkers")


def test_between_two_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_servers(tmp_path) as two:
        use_accounts(two, tmp_path, monkeypatch)
        two.new.client.create_bucket(Bucket="data-lake")
        two.old.client.put_object(Bucket="gold", Key="large/one", Body=bytes(40 * MIB))
        with FaultProxy(two.old.server.endpoint_url) as old, FaultProxy(two.new.server.endpoint_url) as new:
            text = two.old.config.read_text()
            for world, proxy in ((two.old, old), (two.new, new)):
                text = text.replace(world.server.endpoint_url, proxy.url)
            two.old.config.write_text(text)
            check_streamed(two, old, new)


def check_streamed(two: Two, old: FaultProxy, new: FaultProxy) -> None:
    path = two.old.plan()
    estimates = estimates_of(two.old, path)
    measured = estimates["measured"]
    assert all(measured[f"{what}_per_second"] > 0 for what in ("copies", "reads", "copied_bytes", "read_bytes")), (
        measured
    )
    assert own_objects(two.new) == []
    assert estimates["bytes"]["copied_on_server"] == 0 and estimates["bytes"]["written"] > 40 * MIB
    assert estimates["requests"]["part_put"]["count"] >= 3 and estimates["requests"]["part_put"]["exact"]
    for proxy in (old, new):
        proxy.reset()
    two.old.run("migrate", path, "--yes")
    check_requests(estimates, counted(old, new))


def test_prices_make_money_and_stay_those_of_the_plan(world: World) -> None:
    without = estimates_of(world, world.plan("without.db"))
    assert without["cost"] is None
    assert "no prices are given" in world.run("show", "without.db").stdout
    printed = world.run("explain", "--prices-example").stdout
    own = world.config.read_text()
    world.config.write_text(own + "\n" + printed)
    path = world.plan("with.db")
    world.config.write_text(own)
    cost = estimates_of(world, path)["cost"]
    assert cost["currency"] == "USD" and cost["total"] == cost["requests"] > 0 == cost["between_servers"]
    assert cost["second_copy_per_day"] > 0
    assert " USD" in world.run("show", path).stdout


def test_status_says_how_long_the_rest_takes(world: World) -> None:
    path = world.plan()
    before = json.loads(world.run("status", path, "--json").stdout)["seconds_left"]
    assert before == pytest.approx(estimates_of(world, path)["seconds"]["total"], abs=0.1)
    assert "(estimated)" in world.run("status", path).stdout
    world.run("migrate", path, "--yes", "--no-cutover")
    left = json.loads(world.run("status", path, "--json").stdout)["seconds_left"]
    assert left["high"] < before["high"]
    world.run("migrate", path, "--yes")
    assert json.loads(world.run("status", path, "--json").stdout)["seconds_left"] is None


def test_a_migration_in_two_runs_adds_up(world: World) -> None:
    path = world.plan()
    world.run("migrate", path, "--yes", "--no-cutover")
    world.run("migrate", path, "--yes")
    actual = estimates_of(world, path)["actual"]
    assert actual["runs"] == 2 and actual["complete"]
