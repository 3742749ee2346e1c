"""Everything that talks to S3. The rest of the program is handed a :class:`Store`.

``client``: boto3, for everything whose speed does not matter. ``wire``: requests of our own, for copies and listings.
``etags``: what an ETag tells. ``routes``: two stores that look like one, where the target is on another server.
"""

from migrator.store.client import (
    CONCURRENCY,
    LEASE_KEY,
    OWN_PREFIX,
    Checksum,
    Content,
    Download,
    Store,
    StoredVersion,
    Upload,
    is_own,
    spool,
)
from migrator.store.conditional import Conditional, Expected, probe_conditional
from migrator.store.etags import (
    MAX_PARTS,
    RunningETag,
    etag_of_parts,
    is_md5,
    part_count,
    part_ranges,
    parts_to_make,
    same_by_etag,
)
from migrator.store.listing import StoredObject
from migrator.store.part_copies import PartCopies, probe_part_copies
from migrator.store.routes import connect
from migrator.store.trials import lists_in_order

__all__ = [
    "CONCURRENCY",
    "LEASE_KEY",
    "MAX_PARTS",
    "OWN_PREFIX",
    "Checksum",
    "Conditional",
    "Content",
    "Download",
    "Expected",
    "PartCopies",
    "RunningETag",
    "Store",
    "StoredObject",
    "StoredVersion",
    "Upload",
    "connect",
    "etag_of_parts",
    "is_md5",
    "is_own",
    "lists_in_order",
    "part_count",
    "part_ranges",
    "parts_to_make",
    "probe_conditional",
    "probe_part_copies",
    "same_by_etag",
    "spool",
]
