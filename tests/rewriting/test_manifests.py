"""Manifests rewritten by child processes: the bytes and the errors are those of one process."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator

import pytest

from iceberg.avro_files import CODECS, avro
from iceberg.tables import entry, manifest_schema, position_deletes
from migrator.concurrency.processes import Child
from migrator.errors import MigratorError
from migrator.iceberg.manifests import DeleteFile, rewrite_manifest
from migrator.layout import Layout
from migrator.rewriting import manifests
from migrator.rewriting.manifests import ManifestRewriter

LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/", "s3://stays/": False})
PLACE = "s3://bronze/wh/t/metadata/m0.avro"


def measured(path: str) -> DeleteFile | None:
    """Every third file of position deletes was not rewritten."""
    number = int(path.rpartition("/")[2])
    return (
        None if number % 3 == 0 else DeleteFile(100 + number, f"s3://data-lake/a{number}", f"s3://data-lake/z{number}")
    )


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, child_processes: list[Child]) -> list[Child]:
    """Makes parts small. Returns the child processes that were started."""
    monkeypatch.setattr(manifests, "PART_ENTRIES", 3)
    return child_processes


@pytest.fixture
def rewriter(children: list[Child]) -> Iterator[ManifestRewriter]:
    with ManifestRewriter(LAYOUT.new_path, measured) as rewriter:
        yield rewriter


def data_manifest(count: int, codec: str = "deflate") -> bytes:
    chance = random.Random(count)
    buckets = ("bronze", "data-lake", "stays")
    entries = [
        entry(f"s3://{chance.choice(buckets)}/{number}", status=chance.randrange(3), record_count=number)
        for number in range(count)
    ]
    return avro(manifest_schema(2), entries, codec, {"content": b"data"})


def delete_manifest(count: int, *, header: bytes = b"deletes") -> bytes:
    entries = [
        position_deletes(f"s3://bronze/{number}", f"s3://bronze/d{number}", f"s3://bronze/e{number}")
        for number in range(count)
    ]
    return avro(manifest_schema(2), entries, "deflate", {"content": header})


def expected(data: bytes) -> bytes | str:
    """What one process makes of a manifest: its bytes, or what the error says."""
    sink = io.BytesIO()
    try:
        rewrite_manifest(data, sink, LAYOUT.new_path, measured, PLACE)
    except MigratorError as error:
        return error.message
    return sink.getvalue()


def found(rewriter: ManifestRewriter, data: bytes) -> bytes | str:
    sink = io.BytesIO()
    try:
        rewriter(io.BytesIO(data), sink, PLACE)
    except MigratorError as error:
        return error.message
    return sink.getvalue()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_bytes_are_those_of_one_process(rewriter: ManifestRewriter, codec: str, count: int) -> None:
    data = data_manifest(count, codec)
    after = expected(data)
    assert isinstance(after, bytes) and (after != data) == (count > 0)
    assert found(rewriter, data) == after


@pytest.mark.parametrize("header", [b"deletes", b"data"])
def test_files_of_position_deletes_get_what_was_measured(rewriter: ManifestRewriter, header: bytes) -> None:
    """Also where the header does not say that the manifest has any."""
    data = delete_manifest(20, header=header)
    after = expected(data)
    assert isinstance(after, bytes) and b"data-lake" not in data and b"s3://bronze/e1" not in after
    assert found(rewriter, data) == after


def test_a_path_under_no_rule(rewriter: ManifestRewriter) -> None:
    paths = [f"s3://bronze/{number}" for number in range(50)]
    paths[30] = "s3://elsewhere/x"
    data = avro(manifest_schema(2), [entry(path) for path in paths])
    assert "s3://elsewhere/x" in found(rewriter, data) == expected(data)  # type: ignore[operator]


def test_a_manifest_that_was_cut_anywhere(rewriter: ManifestRewriter) -> None:
    data = data_manifest(9, "null")
    for size in range(0, len(data), 3):
        assert found(rewriter, data[:size]) == expected(data[:size]), size


def test_a_manifest_with_damage_anywhere(rewriter: ManifestRewriter) -> None:
    chance = random.Random(7)
    data, errors = delete_manifest(12), set()
    for _ in range(300):
        bad = bytearray(data)
        bad[chance.randrange(len(bad))] = chance.randrange(256)
        after = expected(bytes(bad))
        assert found(rewriter, bytes(bad)) == after
        errors |= {after} if isinstance(after, str) else set()
    assert len(errors) > 5


def test_children_that_die_cost_nothing(rewriter: ManifestRewriter, children: list[Child]) -> None:
    data = data_manifest(100)
    assert found(rewriter, data) == expected(data)
    for child in children:
        child.kill()
    assert found(rewriter, data) == expected(data)


def test_several_threads(rewriter: ManifestRewriter) -> None:
    todo = {number: data_manifest(number * 10) for number in range(12)}
    done: dict[int, bytes | str] = {}
    threads = [threading.Thread(target=lambda n=n: done.update({n: found(rewriter, todo[n])})) for n in todo]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == {number: expected(data) for number, data in todo.items()}


def test_nothing_is_left(children: list[Child]) -> None:
    threads = threading.active_count()
    with ManifestRewriter(LAYOUT.new_path, measured) as rewriter:
        found(rewriter, data_manifest(50))
    assert children and all(child.wait() is not None for child in children)
    assert threading.active_count() == threads
