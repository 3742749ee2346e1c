"""Measures how long a cutover makes writers wait. Many tables were copied before; some were written to after that.

    python tests/bench/pause.py [--tables 100] [--commits 5] [--written 10] [--quiet-for 2] [--milliseconds 0]

Prints the seconds from the last write until the last pointer had changed, as ``migrator cutover`` reports them, and how
much of that time was spent waiting for the end of writes (--quiet-for). With ``--milliseconds``, every answer of the
server takes that much longer.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.latency import behind
from migrator import api
from migrator.config import load
from migrator.demo.server import Server
from migrator.progress import OBJECTS, Progress

OLD, TARGET = "warehouse", "data-lake"


class Timed(Progress):
    """Records how long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(
        self, name: str, *, objects: int | None = None, size: int | None = None, unit: str = OBJECTS
    ) -> Iterator[Progress]:
        """A stage, timed."""
        began = monotonic()
        try:
            with super().stage(name, objects=objects, size=size, unit=unit) as stage:
                yield stage
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + monotonic() - began


def rows(number: int) -> Any:
    return pa.table({"id": pa.array(range(number, number + 10), pa.int64())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--commits", type=int, default=5, help="snapshots of each table")
    parser.add_argument("--written", type=int, default=10, help="tables that are written to after the last copy")
    parser.add_argument("--quiet-for", type=float, default=2)
    parser.add_argument("--milliseconds", type=float, default=0, help="how much longer every answer takes")
    options = parser.parse_args()
    with ExitStack() as stack:
        server, name = stack.enter_context(Server()), stack.enter_context(tempfile.TemporaryDirectory())
        os.environ.update(server.environ())
        folder = Path(name)
        for bucket in (OLD, TARGET):
            server.client().create_bucket(Bucket=bucket)
        uri = f"sqlite:///{folder}/catalog.db"
        catalog = SqlCatalog("lake", uri=uri, warehouse=f"s3://{OLD}", **server.properties())
        catalog.create_namespace("db")
        tables = [catalog.create_table(f"db.t{n}", schema=rows(0).schema) for n in range(options.tables)]
        for table in tables:
            for commit in range(options.commits):
                table.append(rows(commit * 10))
        endpoint = server.endpoint_url
        if options.milliseconds:
            endpoint = os.environ["AWS_ENDPOINT_URL_S3"] = stack.enter_context(behind(endpoint, options.milliseconds))
        config = folder / "lake.toml"
        config.write_text(
            f'[source]\nendpoint_url = "{endpoint}"\n[target]\nbucket = "{TARGET}"\n'
            f'[layout]\n"s3://{OLD}/" = "{OLD}/"\n[catalogs.lake]\ntype = "sql"\nuri = "{uri}"\n'
        )
        plan = folder / "plan.db"
        api.plan_lake(load(config), plan)
        api.copy_lake(plan)
        for table in tables[: options.written]:
            table.append(rows(1000))
        progress = Timed()
        done = api.cutover_lake(plan, quiet_for=options.quiet_for, progress=progress)
        assert done.migration.ok
        waited = max(done.held_up.values())
        print(f"{options.tables} tables, {options.commits} snapshots each, {options.written} written to after the copy")
        print(f"writers had to wait {waited:.1f} s, at least {options.quiet_for:.1f} s of that for the end of writes")
        for stage, seconds in progress.seconds.items():
            print(f"  {seconds:6.1f} s  {stage}")


if __name__ == "__main__":
    main()
