"""Everything that talks to S3. The rest of the program is handed a :class:`Store`.

``client``: boto3, for everything whose speed does not matter. ``routes``: two of them that look like one, where the
target is on another server.
"""

from migrator.store.client import (
    CONCURRENCY,
    LEASE_KEY,
    MAX_PARTS,
    Checksum,
    Content,
    Download,
    Store,
    StoredVersion,
    Upload,
    part_count,
    part_ranges,
    spool,
)
from migrator.store.listing import StoredObject
from migrator.store.routes import connect

__all__ = [
    "CONCURRENCY",
    "LEASE_KEY",
    "MAX_PARTS",
    "Checksum",
    "Content",
    "Download",
    "Store",
    "StoredObject",
    "StoredVersion",
    "Upload",
    "connect",
    "part_count",
    "part_ranges",
    "spool",
]
