"""A lake on a mocked S3 that is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from migrator.catalogs import Catalog
from migrator.checking.look import Checking, check
from migrator.checking.results import LakeCheck
from migrator.config import Settings
from migrator.findings import Finding
from migrator.layout import MEDALLION, Layout
from migrator.progress import Progress
from migrator.store import Store
from plan.handmade import put

STREAM = ("metadata", "offsets/0", "commits/0")
TIDY = (
    "warehouse/bronze.db/readme",
    "bronze/raw_events/a",
    "silver/x/a",
    "gold/x/a",
    *(f"checkpoints/bronze/{name}" for name in STREAM),
    "logs/spark/a",
    "scripts/etl/load.py",
)
"""A key in each folder of the structure."""


@dataclass
class Checked:
    """The lake, and how it is checked."""

    store: Store
    catalogs: list[Catalog] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def put(self, key: str, data: bytes = b"x", bucket: str = "data-lake") -> None:
        if not self.store.bucket_exists(bucket):
            self.store.create_bucket(bucket)
        put(self.store, f"s3://{bucket}/{key}", data)

    def check(self, *wanted: str, progress: Progress | None = None) -> LakeCheck:
        settings = Settings(**self.settings)
        layout = Layout.medallion("data-lake", MEDALLION)
        if settings.layout is not None:
            layout = Layout.from_mapping("data-lake", settings.layout)
        catalogs = {catalog.name: catalog for catalog in self.catalogs}
        return check(Checking(settings, layout, self.store, catalogs, progress or Progress(), wanted))

    def failed(self) -> list[tuple[str, str]]:
        """(code, place) of each finding that makes the check fail."""
        return [(finding.code, finding.place) for finding in self.check().failed]

    def only(self, code: str) -> Finding:
        (finding,) = [finding for finding in self.check().findings if finding.code == code]
        return finding


def tidy(store: Store) -> Checked:
    """A lake with all of its structure, and without any old bucket."""
    made = Checked(store)
    for key in TIDY:
        made.put(key)
    return made
