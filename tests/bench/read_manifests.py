"""Read manifests on one core, and on all with child processes: elapsed seconds, and peak memory of all processes.

    python tests/bench/read_manifests.py [ENTRIES]        (default 1,000,000)

The same entries are read as one manifest, and as manifests of 8 MB, the size at which Iceberg's writers begin a new
one. The reader maps each path and inserts it into a table of SQLite, as planning does. The files are on the disk; the
script uses no server. ``ratio`` is the time on one core divided by that on all. Progress goes to standard error, a line
of JSON for each kind to standard output.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.manifest_speed import LAYOUT, PLACE, manifest
from bench.measure import Run, run
from migrator.inventory.table_files import ReadManifest, SourceFile, read_manifests

OF_MANIFEST = 28_000
"""Entries in a manifest of 8 MB."""


def write(folder: Path, entries: int) -> None:
    """Write the manifests: one of all entries, and many."""
    of_many = manifest(OF_MANIFEST, "deflate")
    header = of_many[: of_many.index(of_many[-16:]) + 16]  # the sync marker that ends it also ends the file
    whole = folder / "one"
    whole.mkdir()
    many = folder / "many"
    many.mkdir()
    with (whole / "m0.avro").open("wb") as file:
        file.write(header)
        for number in range(max(1, entries // OF_MANIFEST)):
            (many / f"m{number}.avro").write_bytes(of_many)
            file.write(of_many[len(header) :])


def read(folder: Path) -> int:
    """Read all manifests of a folder; return the number of entries."""
    db = sqlite3.connect("")
    db.execute("CREATE TABLE files (old TEXT, new TEXT, size INTEGER)")

    def open_file(path: str) -> SourceFile:
        return SourceFile(f"{PLACE}/{path}", (folder / path).open("rb"))

    def rows(found: ReadManifest) -> Iterator[tuple[str, str | None, int]]:
        return ((entry.path, LAYOUT.map_uri(entry.path), entry.size) for entry in found.entries)

    for found in read_manifests(sorted(path.name for path in folder.iterdir()), open_file):
        assert isinstance(found, ReadManifest)
        db.executemany("INSERT INTO files VALUES (?, ?, ?)", rows(found))
    return int(db.execute("SELECT count(*) FROM files").fetchone()[0])


def measured(folder: Path, cores: str) -> Run:
    """The cost of reading, in a separate process. ``cores``: "one" or "all"."""
    print(f"{folder.name}: on {cores} of {os.cpu_count()} cores", file=sys.stderr)
    result = run([sys.executable, __file__, "--read", folder, cores], os.environ)
    if result.code:
        raise SystemExit(result.stderr)
    return result


def main(entries: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("writing the manifests", file=sys.stderr)
        write(folder, entries)
        for kind in ("many", "one"):
            one, all_cores = (measured(folder / kind, cores) for cores in ("one", "all"))
            seconds = [float(result.stdout.split()[1]) for result in (one, all_cores)]
            print(
                json.dumps(
                    {
                        "manifests": len(list((folder / kind).iterdir())),
                        "entries": int(one.stdout.split()[0]),
                        "one_core_seconds": round(seconds[0], 1),
                        "all_cores_seconds": round(seconds[1], 1),
                        "ratio": round(seconds[0] / seconds[1], 2),
                        "one_core_mib": round(one.mib),
                        "all_cores_mib": round(all_cores.mib),
                    }
                ),
                flush=True,
            )


def _read_in_child(folder: Path, cores: str) -> None:
    if cores == "one":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began = time.perf_counter()
    count = read(folder)
    print(count, time.perf_counter() - began)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        _read_in_child(Path(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
