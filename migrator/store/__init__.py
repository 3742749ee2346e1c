"""The S3 client of migrator. The rest of the program uses a :class:`Store`.

``connection`` makes the boto3 clients of one server; ``buckets``, ``pages``, ``versions``, ``objects``, ``comparing``,
``writing``, ``deleting``, ``copies`` and ``uploads`` send requests through them. ``two_servers`` is the store of a lake
whose target is on another server. ``wire`` sends requests without boto3, for copies and listings (``listing``), where
boto3 is too slow.
"""

from migrator.store.checksums import Checksum
from migrator.store.conditional import Conditional, Expected, probe_conditional
from migrator.store.connection import CONCURRENCY
from migrator.store.deleting import MOST_DELETIONS, Deletion, NotDeleted, delete_bucket, delete_objects
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
from migrator.store.kept import Dropped, probe_dropped
from migrator.store.listing import StoredObject
from migrator.store.objects import Content, Download, spool
from migrator.store.own_keys import LEASE_KEY, OWN_PREFIX, is_own
from migrator.store.part_copies import PartCopies, probe_part_copies
from migrator.store.remote_connection import explicit_connection
from migrator.store.store import Store
from migrator.store.trials import lists_in_order
from migrator.store.two_servers import connect
from migrator.store.uploads import Upload
from migrator.store.versions import StoredVersion

__all__ = [
    "CONCURRENCY",
    "LEASE_KEY",
    "MAX_PARTS",
    "MOST_DELETIONS",
    "OWN_PREFIX",
    "Checksum",
    "Conditional",
    "Content",
    "Deletion",
    "Download",
    "Dropped",
    "Expected",
    "NotDeleted",
    "PartCopies",
    "RunningETag",
    "Store",
    "StoredObject",
    "StoredVersion",
    "Upload",
    "connect",
    "delete_bucket",
    "delete_objects",
    "etag_of_parts",
    "explicit_connection",
    "is_md5",
    "is_own",
    "lists_in_order",
    "part_count",
    "part_ranges",
    "parts_to_make",
    "probe_conditional",
    "probe_dropped",
    "probe_part_copies",
    "same_by_etag",
    "spool",
]
