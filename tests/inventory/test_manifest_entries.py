"""Manifests decoded by child processes: the entries, the errors and their order are as without children."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterable, Iterator

import pytest

from iceberg.avro_files import CODECS, avro
from iceberg.tables import entry, manifest_schema
from migrator.concurrency.processes import Child
from migrator.errors import Unreadable
from migrator.iceberg.manifests import Entry, read_manifest
from migrator.inventory import manifest_entries
from migrator.inventory.manifest_entries import EntryReader
from migrator.inventory.table_files import ReadManifest, SourceFile, read_manifests

PLACE = "s3://b/m.avro"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, child_processes: list[Child]) -> list[Child]:
    """Child processes decode all manifests, in parts of about three entries, on any machine. Returns the child
    processes that were started."""
    monkeypatch.setattr(manifest_entries, "PARALLEL_ABOVE", 0)
    monkeypatch.setattr(manifest_entries, "LARGE", 0)
    monkeypatch.setattr(manifest_entries, "PART_ENTRIES", 3)
    monkeypatch.setattr(manifest_entries, "cores", lambda: 2)
    return child_processes


def manifest(count: int, codec: str = "deflate", name: str = "f") -> bytes:
    """Entries of all kinds, two in each block."""
    chance = random.Random(count)
    entries = [
        entry(
            f"s3://b/{name}{number}.parquet",
            status=chance.randrange(3),
            content=chance.randrange(3),
            referenced_data_file=chance.choice([None, f"s3://b/d{number}"]),
            key_metadata=chance.choice([None, b"k"]),
            record_count=chance.randrange(1 << 40),
        )
        for number in range(count)
    ]
    return avro(manifest_schema(2), entries, codec)


def outcome(entries: Iterable[Entry]) -> tuple[list[Entry], str]:
    """The entries before the end or the first error, and the text of the error."""
    found: list[Entry] = []
    try:
        for one in entries:
            found.append(one)
    except Unreadable as error:
        return found, error.message
    return found, ""


def begun(reader: EntryReader, data: bytes) -> Iterator[Entry]:
    return reader.begin(io.BytesIO(data), len(data), PLACE)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_entries_are_those_of_one_reader(children: list[Child], codec: str, count: int) -> None:
    data = manifest(count, codec)
    expected = outcome(read_manifest(data, PLACE))
    with EntryReader(processes=1) as reader:
        found = outcome(begun(reader, data))
    assert found == expected and len(found[0]) == count
    assert all(type(one) is Entry for one in found[0])
    assert len(children) == 1


def test_a_manifest_that_was_cut_anywhere(children: list[Child]) -> None:
    data = manifest(9, "null")
    with EntryReader(processes=1) as reader:
        for size in range(len(data)):
            assert outcome(begun(reader, data[:size])) == outcome(read_manifest(data[:size], PLACE)), size


def test_a_manifest_with_damage_anywhere(children: list[Child]) -> None:
    chance = random.Random(5)
    data = manifest(30)
    errors = set()
    with EntryReader(processes=2) as reader:
        for _ in range(400):
            bad = bytearray(data)
            for _ in range(chance.randint(1, 3)):
                bad[chance.randrange(len(bad))] = chance.randrange(256)
            expected = outcome(read_manifest(bytes(bad), PLACE))
            assert outcome(begun(reader, bytes(bad))) == expected
            errors.add(expected[1])
    assert len(errors) > 5  # it is tried on more than one kind of damage


def test_a_block_that_announces_many_entries_is_not_handed_to_a_child(
    children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries would all be in memory at once."""
    monkeypatch.setattr(manifest_entries, "PART_ENTRIES", 0)
    data = manifest(9)
    with EntryReader(processes=1) as reader:
        monkeypatch.setattr(Child, "call", lambda *_: pytest.fail("a child was called"))
        assert outcome(begun(reader, data)) == outcome(read_manifest(data, PLACE))


def test_a_child_that_dies_costs_no_entry(children: list[Child]) -> None:
    data = manifest(200)
    with EntryReader(processes=2) as reader:
        entries = begun(reader, data)
        found = [next(entries) for _ in range(5)]
        for child in children:
            child.kill()
        assert [*found, *entries] == list(read_manifest(data, PLACE))
        assert outcome(begun(reader, data)) == outcome(read_manifest(data, PLACE))


def test_little_is_read_without_children(children: list[Child], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_entries, "PARALLEL_ABOVE", 1 << 20)
    data = manifest(50)
    with EntryReader(processes=2) as reader:
        for _ in range(5):
            assert len(list(begun(reader, data))) == 50
        assert not children
        reader.begin(io.BytesIO(data), 1 << 20, PLACE)  # of another size than it says, to pass the limit
        assert len(children) == 2


def test_a_machine_that_allows_no_child(children: list[Child], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refused)
    data = manifest(50)
    with EntryReader(processes=2) as reader:
        for _ in range(2):
            assert outcome(begun(reader, data)) == outcome(read_manifest(data, PLACE))


@pytest.mark.parametrize(("cores", "started"), [(1, 0), (2, 2), (64, manifest_entries.MOST_PROCESSES)])
def test_how_many_children(children: list[Child], monkeypatch: pytest.MonkeyPatch, cores: int, started: int) -> None:
    monkeypatch.setattr(manifest_entries, "cores", lambda: cores)
    with EntryReader() as reader:
        assert len(list(begun(reader, manifest(50)))) == 50
        assert len(children) == started


def test_nothing_is_left_of_a_walk_that_is_given_up(children: list[Child]) -> None:
    bodies = {f"m{number}": manifest(300, name=f"m{number}-") for number in range(50)}
    opened: list[io.BytesIO] = []

    def open_file(path: str) -> SourceFile:
        opened.append(io.BytesIO(bodies[path]))
        return SourceFile(f"s3://b/{path}", opened[-1])

    threads = threading.active_count()
    walk = read_manifests(bodies, open_file)
    read = next(walk)
    assert isinstance(read, ReadManifest)
    next(read.entries)
    walk.close()
    assert children and all(child.wait() is not None for child in children)
    assert threading.active_count() == threads
    assert len(opened) < len(bodies)


def test_many_manifests_through_the_walk(children: list[Child]) -> None:
    bodies = {f"m{number}": manifest(number * 3, name=f"m{number}-") for number in range(40)}
    bodies["bad"] = manifest(40)[:-20]
    found: dict[str, tuple[list[Entry], str]] = {}
    for read in read_manifests(bodies, lambda path: SourceFile(path, io.BytesIO(bodies[path]))):
        assert isinstance(read, ReadManifest) and read.size == len(bodies[read.path])
        found[read.path] = outcome(read.entries)
    assert found == {path: outcome(read_manifest(data, path)) for path, data in bodies.items()}
    assert found["bad"][1] and children
