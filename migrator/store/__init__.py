"""Everything that talks to S3. The rest of the program is handed a :class:`Store`.

``client``: boto3, for everything whose speed does not matter.
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
    part_ranges,
    spool,
)
from migrator.store.listing import StoredObject

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
    "part_ranges",
    "spool",
]
