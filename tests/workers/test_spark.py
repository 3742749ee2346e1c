"""Copies on the executors of Spark: the target is the same as on one machine, also if processes end or work is done
twice."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.world import World
from engines.jars import missing
from migrator.copying.batch_copier import BatchCopier
from migrator.copying.options import Options
from migrator.copying.outcomes import Item
from migrator.copying.setup import Setup
from migrator.errors import ConfigError, MigrationFailed, Occupied
from migrator.planfile.copied import Copied
from migrator.planfile.journal import Journal
from migrator.progress.counts import RETRIES
from migrator.store import Conditional, Store
from migrator.verifying.content_comparer import ContentComparer
from migrator.workers.settings import EngineSettings
from workers import jobs
from workers.application import EXECUTORS, application, executors, python_workers
from workers.lakes import MARKED, Kept, afresh, check_of_bytes, check_without_old_buckets, everything, migrated_lake

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or "-"), pytest.mark.timeout(900)]

SPECULATES = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.task.duration.threshold": "3s",
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, lake: tuple[World, Kept]) -> Iterator[Any]:
    """One application for all tests. The environment of its executors points to the server."""
    with application(tmp_path_factory.mktemp("spark"), **SPECULATES) as context:
        yield context


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Kept]]:
    with migrated_lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture
def world(lake: tuple[World, Kept], context: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """The lake, without a target. Plans go to the test's own folder."""
    for name, value in lake[0].server.environ().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "lake.toml").write_text(lake[0].config.read_text())
    yield World(lake[0].server, lake[0].lake, tmp_path)
    afresh(lake[0])


@pytest.fixture
def expected(lake: tuple[World, Kept]) -> Kept:
    return lake[1]


@pytest.fixture
def engine(context: Any) -> Iterator[Any]:
    from migrator.workers.spark import SparkEngine

    with SparkEngine(EngineSettings("spark")) as engine:
        yield engine


def source_items(world: World, prefix: str = "marked/") -> list[Item]:
    store = Store(endpoint_url=world.server.endpoint_url)
    return [Item(n, "bronze", found, f"copies/{found.key}") for n, found in enumerate(store.list("bronze", prefix))]


def setup_of(world: World, **options: Any) -> Setup:
    known: dict[str, Any] = {"conditional": Conditional(copy=True, put=True)}
    return Setup({"endpoint_url": world.server.endpoint_url}, None, "data-lake", Options(**(known | options)))


# -- pools -----------------------------------------------------------------------------------------------


def test_an_active_application_is_used_and_stays(context: Any, engine: Any) -> None:
    assert engine.parallel() == EXECUTORS
    engine.__exit__(None, None, None)
    assert context.parallelize([1, 2], 2).sum() == 3


def test_a_job_is_made_once_in_each_python_process(engine: Any) -> None:
    with engine.pool(jobs.Echo, "a") as pool:
        answers = [pool(number) for number in range(6)]
    assert [(made_with, item) for made_with, item, _ in answers] == [("a", number) for number in range(6)]
    assert len({made for *_, made in answers}) <= EXECUTORS
    with engine.pool(jobs.Echo, "b") as pool:
        assert pool(1)[0] == "b"


def test_errors_come_back_as_they_were_and_spark_does_not_repeat_them(engine: Any) -> None:
    with engine.pool(jobs.Echo, "a") as pool:
        with pytest.raises(Occupied, match=r"s3://b/k is there\. Move it\."):
            pool("occupied")
        with pytest.raises(MigrationFailed, match="RuntimeError: boom"):
            pool("fault")
        assert pool("fine")[1] == "fine"


def test_retries_are_counted_on_the_driver(engine: Any) -> None:
    before = RETRIES.total
    with engine.pool(jobs.Echo, "a") as pool:
        pool("retries")
    assert RETRIES.total == before + 3


def test_what_spark_gives_up_is_one_message(engine: Any) -> None:
    with engine.pool(jobs.Echo, "a") as pool:
        with pytest.raises(MigrationFailed, match=r"Spark gave up: .*run the same command again") as caught:
            pool("dies")
        assert "\n" not in str(caught.value)
        assert pool("fine")[1] == "fine"


def test_a_cancelled_pool_ends_soon(engine: Any) -> None:
    with engine.pool(jobs.Echo, "a") as pool:
        pool.cancel()
        with pytest.raises(MigrationFailed):
            pool(1)


def test_a_session_that_is_not_as_lake_toml_says_is_refused(context: Any) -> None:
    from migrator.workers.spark import SparkEngine

    with (
        pytest.raises(ConfigError, match=r"spark\.master = local-cluster.*asks for spark://other"),
        SparkEngine(EngineSettings("spark", master="spark://other:7077")) as engine,
    ):
        engine.parallel()


# -- whole migrations ------------------------------------------------------------------------------------


def test_no_secret_is_sent(world: World, monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    from pyspark.cloudpickle import dumps

    sent: list[bytes] = []

    def noting(name: str) -> None:
        method: Callable[..., Any] = getattr(context, name)

        def noted(value: Any, *arguments: Any) -> Any:
            sent.append(pickle.dumps(value))
            return method(value, *arguments)

        monkeypatch.setattr(context, name, noted)

    noting("broadcast")
    noting("parallelize")
    monkeypatch.setattr(
        "migrator.workers.spark.task_of", lambda setup: (sent.append(dumps(task(setup))), task(setup))[1]
    )
    world.run("migrate", world.plan(), "--yes", "--engine", "spark", "--no-cutover")
    everything_sent = b"".join(sent)
    assert b"BatchCopier" in everything_sent and b"marked/" in everything_sent
    for secret in (world.server.secret_key, world.server.access_key):
        assert secret.encode() not in everything_sent


def task(setup: Any) -> Any:
    from migrator.workers.requirements import task_of

    return task_of(setup)


def test_the_target_is_the_same_whatever_executor_dies(
    world: World, expected: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor is killed when the first copies are journalled; later its Python processes are."""
    plan, killed = world.plan(), []
    copied = Journal.copied

    def kills(self: Journal, copies: Any) -> None:
        copied(self, copies)
        victims = executors(os.getpid()) if not killed else python_workers(os.getpid()) if len(killed) == 1 else []
        if victims:
            os.kill(victims[0], signal.SIGKILL)
            killed.append(victims[0])

    monkeypatch.setattr(Journal, "copied", kills)
    # One request at a time in each executor, so that many objects remain when the first batch is done.
    world.run("migrate", plan, "--yes", "--engine", "spark", "--concurrency", str(EXECUTORS))
    assert len(killed) == 2
    assert everything(world.client) == expected


def test_batches_that_are_done_twice_are_accepted(world: World) -> None:
    world.client.create_bucket(Bucket="data-lake")
    items = source_items(world)
    for options in ({}, {"conditional": Conditional(), "look_first": True, "look_in_groups": True}):
        setup = setup_of(world, **options)
        first, second = BatchCopier(setup, 100), BatchCopier(setup, 100)
        once, twice, other = first(items), first(items), second(items)
        for copies in (once, twice, other):
            assert all(isinstance(outcome, Copied) for outcome in copies.outcomes), copies.outcomes
            assert {outcome.id for outcome in copies.outcomes} == {item.id for item in items}
        by_id = [{(o.id, o.size, o.etag) for o in copies.outcomes if isinstance(o, Copied)} for copies in (once, twice)]
        assert by_id[0] == by_id[1]
        first.close()
        second.close()
        for item in items:
            world.client.delete_object(Bucket="data-lake", Key=item.target)


def test_a_batch_that_replaces_may_be_done_twice_and_replaces_nothing_else(world: World) -> None:
    world.client.create_bucket(Bucket="data-lake")
    (item, other, *_) = source_items(world)[1:]
    older = world.client.put_object(Bucket="data-lake", Key=item.target, Body=b"older")["ETag"].strip('"')
    world.client.put_object(Bucket="data-lake", Key=other.target, Body=b"somebody's")
    batch = [Item(item.id, item.bucket, item.stored, item.target, replaces=older), other]
    copier = BatchCopier(setup_of(world), 100)
    for _ in range(2):
        outcomes = {outcome.id: outcome for outcome in copier(batch).outcomes}
        assert isinstance(outcomes[item.id], Copied)
        refused = outcomes[other.id]
        assert not isinstance(refused, Copied) and isinstance(refused.error, Occupied)
    copier.close()
    assert world.client.get_object(Bucket="data-lake", Key=other.target)["Body"].read() == b"somebody's"


def test_two_executors_copy_the_same_batch_at_once(world: World, engine: Any, tmp_path: Path) -> None:
    """Spark speculates: the first attempt waits until there is a second one."""
    world.client.create_bucket(Bucket="data-lake")
    items = source_items(world)
    began = time.monotonic()
    with engine.pool(jobs.SlowCopier, setup_of(world), tmp_path) as pool:
        copies = pool(items)
    assert len(list(tmp_path.iterdir())) == 2, f"one attempt in {time.monotonic() - began:.0f} s"
    assert all(isinstance(outcome, Copied) for outcome in copies.outcomes)
    there = everything(world.client)
    assert {
        f"copies/{key}": kept for key, kept in everything(world.client, "bronze").items() if "marked/" in key
    } == there


def test_the_limits_hold_for_all_executors_together(world: World) -> None:
    """Twenty objects at 4 requests per second take at least 4 seconds, without the first burst of a tenth of a
    second."""
    plan = world.plan()
    listed = world.folder / "some.txt"
    listed.write_text("".join(f"s3://bronze/marked/{number}\n" for number in range(20)))
    began = time.monotonic()
    world.run("migrate", plan, "--yes", "--engine", "spark", "--tps", "4", "--files-from", listed)
    assert time.monotonic() - began > 4.0


def test_executors_rewrite_manifests(world: World, expected: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for many bytes of manifests. The driver must not rewrite these itself."""
    from migrator.rewriting import rewriter, stage

    monkeypatch.setattr(stage, "PARALLEL_ABOVE", 0)
    here: list[str] = []
    for name in ("_manifest", "_deletes"):
        rewrite = getattr(rewriter.Rewriter, name)
        noted = lambda self, job, rewrite=rewrite: (here.append(job.place), rewrite(self, job))[1]  # noqa: E731
        monkeypatch.setattr(rewriter.Rewriter, name, noted)
    world.run("migrate", world.plan(), "--yes", "--engine", "spark", "--json")
    assert here == []
    assert everything(world.client) == expected


def test_executors_compare_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They find the same as this process. Then a copy is changed. This process must not read the copies itself."""
    plan = world.plan()
    world.run("migrate", plan, "--yes")
    here = bytes_compared(world, plan)
    assert here["result"] == "same" and here["checked"] > MARKED
    monkeypatch.setattr(ContentComparer, "__call__", lambda self, one: pytest.fail("the driver read a copy"))
    assert bytes_compared(world, plan, "--engine", "spark") == here
    world.client.put_object(Bucket="data-lake", Key="bronze/marked/3", Body=b"y" * 3)
    found = bytes_compared(world, plan, "--engine", "spark", exit_code=3)
    assert found["problems"] == ["* s3://data-lake/bronze/marked/3: bytes differ"]


def bytes_compared(world: World, plan: Path, *options: str, exit_code: int = 0) -> dict[str, Any]:
    """What ``verify --deep`` says of the bytes of objects."""
    return check_of_bytes(world.run("verify", plan, "--deep", "--json", *options, exit_code=exit_code).stdout)


def test_what_executors_cannot_import_is_rewritten_by_the_driver(
    world: World, expected: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrator.rewriting import stage

    monkeypatch.setattr(stage, "PARALLEL_ABOVE", 0)
    monkeypatch.setattr(stage, "REMOTE_MODULES", ("there_is_no_such_module",))
    result = world.run("migrate", world.plan(), "--yes", "--engine", "spark")
    assert "rewritten by the driver: executors lack there_is_no_such_module." in result.stdout
    assert everything(world.client) == expected


def test_a_target_that_keeps_versions_is_copied_by_the_driver(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that runs twice would make two versions there."""
    from migrator.copying import stage

    monkeypatch.setattr(stage, "has_versions", lambda plan: True)
    monkeypatch.setattr("migrator.workers.spark.SparkEngine.parallel", lambda self: pytest.fail("Spark was used"))
    result = world.run("migrate", world.plan(), "--yes", "--engine", "spark", "--no-cutover")
    assert "Objects were copied by the driver: the target keeps each copy as a version." in result.stdout


def test_the_same_target_with_the_old_buckets_gone(world: World, expected: Kept) -> None:
    """The last test, because it deletes the old buckets."""
    plan = world.plan()
    result = world.run("migrate", plan, "--yes", "--engine", "spark", "--json")
    assert '"processes": 2' in result.stdout
    assert everything(world.client) == expected
    check_without_old_buckets(world, plan)
