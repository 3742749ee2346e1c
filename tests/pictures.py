"""Draws the pictures of reports in the documents: `make pictures`, or `python tests/pictures.py`.

A lake is planned and migrated on a local S3 server, its old buckets are deleted, and it is verified again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from browser import photographed
from migrator import api
from migrator.demo import lake as old_lake
from migrator.demo.server import Server

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def main() -> None:
    """Write all pictures. Raises MigratorError if the lake cannot be migrated."""
    PICTURES.mkdir(exist_ok=True)
    with Server() as server, tempfile.TemporaryDirectory() as name:
        os.environ.update(server.environ())
        os.chdir(name)
        lake = old_lake.build(server, Path(name))
        Path("lake.toml").write_text(lake.toml(server))
        api.plan_lake(api.load_settings("lake.toml"), "plans/lake.db")
        planned = api.write_report("plans/lake.db").read_text()
        photographed(planned, PICTURES / "report.png", 1000, 1250)
        photographed(planned, PICTURES / "report-flow.png", 1000, 900, part="flow")
        photographed(planned, PICTURES / "report-phone.png", 390, 844)
        api.migrate_lake("plans/lake.db")
        api.verify_lake("plans/lake.db", deep=True)  # the plan stores the numbers of the old rows
        old_lake.delete_buckets(server.client())
        api.verify_lake("plans/lake.db", deep=True)
        verified = api.write_report("plans/lake.db").read_text()
        photographed(verified, PICTURES / "certificate-dark.png", 1000, 1150, dark=True, part="certificate")
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture.name}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
