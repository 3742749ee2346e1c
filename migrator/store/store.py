"""The object through which the rest of migrator uses S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

from migrator.store import buckets, comparing, copies, objects, pages, versions, writing
from migrator.store.checksums import Checksum
from migrator.store.conditional import Conditional, Expected
from migrator.store.connection import Connection
from migrator.store.listing import Page, StoredObject, list_in_parallel
from migrator.store.objects import Content, Download
from migrator.store.part_copies import PartCopies
from migrator.store.uploads import Uploads
from migrator.store.versions import StoredVersion
from migrator.store.wire import Endpoint


class Store:
    """The buckets of a lake, on one S3 server. Safe to share between threads.

    Each method takes the connection of the bucket, :meth:`at`, and calls the function that sends the requests. The
    functions document the details. Errors are those of :mod:`migrator.errors`, with the bucket and key in the message.
    """

    def __init__(self, connection: Connection | None = None, **options: Any) -> None:
        """``options`` are those of a :class:`Connection`, unless there is one already. Raises ConfigError."""
        self._connection = connection = connection or Connection(**options)
        self.connection = connection.options
        """The arguments of :func:`migrator.store.connect` that make an equal store. They contain no secret."""
        self.client = connection.client
        """The boto3 client of the old buckets' server, for requests that have no method here."""
        self.concurrency, self.multipart_above = connection.concurrency, connection.multipart_above
        self.asked, self.locks, self.outage = connection.asked, connection.locks, connection.outage
        self.tagging_directive = copies.tagging_directive(connection)
        self.endpoint_url, self.region = connection.endpoint_url, connection.region

    def at(self, bucket: str) -> Connection:
        """The connection to the server that has this bucket."""
        return self._connection

    @property
    def uploads(self) -> Uploads:
        """Multipart uploads: opening, finishing, aborting and listing them."""
        return Uploads(self.at)

    @property
    def ends(self) -> tuple[Store, Store]:
        """The store of the old buckets and the store of the target. They are the same unless there are two servers."""
        return self, self

    @property
    def conditional(self) -> Conditional:
        """Which conditional writes the target's server honours; see :func:`migrator.store.probe_conditional`."""
        return self.ends[1]._connection.conditional

    @conditional.setter
    def conditional(self, known: Conditional) -> None:
        """Remember what was found out."""
        self.ends[1]._connection.conditional = known

    @property
    def part_copies(self) -> PartCopies:
        """How the target's server copies what was uploaded in parts; see :func:`migrator.store.probe_part_copies`."""
        return self.ends[1]._connection.part_copies

    @part_copies.setter
    def part_copies(self, known: PartCopies) -> None:
        """Remember what was found out."""
        self.ends[1]._connection.part_copies = known

    def wait_from_first_request(self) -> None:
        """From the first request on, wait for the server if it does not answer: another process has already reached
        it."""
        self.outage.known = True

    def give_up(self) -> None:
        """Make reads and copies in other threads fail before their next part. This cannot be undone."""
        self._connection.give_up()

    def endpoint(self) -> Endpoint | None:
        """How :mod:`migrator.store.wire` reaches the server; None where only boto3 can."""
        return self._connection.endpoint()

    def host(self, bucket: str) -> str | None:
        """The host that requests for this bucket are sent to; None if only boto3 knows it."""
        endpoint = self.at(bucket).endpoint()
        return endpoint.place(bucket).host if endpoint is not None else None

    def reader_properties(self, bucket: str) -> dict[str, str]:
        """The properties with which pyiceberg and s3fs read this bucket. Contain the credentials: never print them."""
        return self.at(bucket).reader_properties()

    # -- buckets -------------------------------------------------------------------------------------

    def bucket_exists(self, bucket: str) -> bool:
        """True if the bucket exists. Raises Unreachable, or AccessDenied if it may not be listed."""
        return buckets.exists(self.at(bucket), bucket)

    def bucket_names(self) -> Sequence[str]:
        """The sorted names of all buckets of the account, at the server of the old buckets."""
        return buckets.names(self._connection)

    def create_bucket(self, bucket: str) -> None:
        """Create the bucket unless it exists."""
        buckets.create(self.at(bucket), bucket)

    def is_versioned(self, bucket: str) -> bool:
        """True if the bucket keeps, or kept, old versions."""
        return buckets.versioning(self.at(bucket), bucket) in ("Enabled", "Suspended")

    def keeps_versions(self, bucket: str) -> bool:
        """True if whatever is overwritten or deleted from now on stays as an old version."""
        return buckets.versioning(self.at(bucket), bucket) == "Enabled"

    def keep_versions(self, bucket: str) -> None:
        """Enable versioning on the bucket."""
        buckets.enable_versioning(self.at(bucket), bucket)

    # -- listings ------------------------------------------------------------------------------------

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object under ``prefix``, in the order of the server, which need not be that of the keys."""
        return pages.list_objects(self.at(bucket), bucket, prefix)

    def list_all(self, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[StoredObject]]]:
        """List every (bucket, prefix) in parallel: yield (bucket, some objects), each object once, in no order."""
        endpoint = self.endpoint()
        if endpoint is not None:
            yield from list_in_parallel(endpoint, partial(pages.page_of_objects, self._connection), places)
            return
        for bucket, prefix in places:
            listing = self.list(bucket, prefix)
            while page := list(islice(listing, 1000)):
                yield bucket, page

    def list_after(self, bucket: str, prefix: str, after: str) -> Page:
        """The first page of what is under ``prefix`` and, in the order of the server, after the key ``after``."""
        return pages.page_of_objects(self.at(bucket), bucket, {"prefix": prefix, "start-after": after})

    def list_versions(self, bucket: str, prefix: str = "") -> Iterator[StoredVersion]:
        """Yield every version and delete marker under ``prefix``, those of one key together, the newest first."""
        return versions.list_versions(self.at(bucket), bucket, prefix)

    def versions_of(self, bucket: str, key: str) -> Sequence[StoredVersion]:
        """The versions and delete markers of one key, the oldest first."""
        return versions.versions_of(self.at(bucket), bucket, key)

    # -- reading objects -----------------------------------------------------------------------------

    def head(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        """One object, as a listing would show it. Raises NotFound."""
        return objects.head(self.at(bucket), bucket, key, version_id)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """One object, as a listing would show it; None if it does not exist."""
        return objects.find(self.at(bucket), bucket, key)

    def size(self, bucket: str, key: str) -> int:
        """The object's size in bytes. Raises NotFound."""
        return self.head(bucket, key).size

    def age(self, bucket: str, key: str) -> float:
        """How many seconds ago the object was written, by the server's clock. Raises NotFound."""
        return objects.age(self.at(bucket), bucket, key)

    def get(self, bucket: str, key: str, *, etag: str | None = None) -> Content:
        """Read a whole object. Raises SourceChanged if its ETag is not ``etag``."""
        return objects.get(self.at(bucket), bucket, key, etag=etag)

    def download(self, bucket: str, key: str, *, etag: str | None = None) -> Download:
        """Like :meth:`get`, into a temporary file."""
        return objects.download(self.at(bucket), bucket, key, etag=etag)

    def read_part(self, bucket: str, key: str, etag: str, span: tuple[int, int]) -> bytes:
        """The bytes from the first to the last of ``span``. Raises SourceChanged if the ETag is another one."""
        return objects.read_part(self.at(bucket), bucket, key, etag, span)

    def attributes(self, bucket: str, key: str, etag: str, version_id: str | None = None) -> dict[str, Any]:
        """The parameters of :meth:`.Uploads.begin` that make an equal object. Raises SourceChanged."""
        return objects.attributes(self.at(bucket), bucket, key, etag, version_id)

    def tagging(self, bucket: str, key: str, version_id: str | None = None) -> str:
        """The object's tags as a query string; "" if tags are not copied."""
        return objects.tagging(self.at(bucket), bucket, key, version_id)

    def checksum(self, bucket: str, key: str) -> Checksum | None:
        """The checksum that the server keeps with the object, if any."""
        return objects.checksum(self.at(bucket), bucket, key)

    def part_checksum(self, bucket: str, key: str, number: int) -> tuple[int, Checksum | None]:
        """The size in bytes of a part of an object, and the checksum kept with that part."""
        return objects.part_checksum(self.at(bucket), bucket, key, number)

    def part_size(self, bucket: str, stored: StoredObject) -> int | None:
        """The size in bytes of the parts in which an object was uploaded; None if it is not known."""
        return objects.part_size(self.at(bucket), bucket, stored)

    # -- comparing objects ---------------------------------------------------------------------------

    def sha256(self, bucket: str, key: str, version_id: str | None = None, *, etag: str | None = None) -> str:
        """The SHA-256 of an object's bytes. Raises SourceChanged if its ETag is not ``etag``."""
        return comparing.sha256(self.at(bucket), bucket, key, version_id, etag=etag)

    def etag_in_parts(self, bucket: str, key: str, part_size: int | None) -> str:
        """The ETag that the bytes would have if they were uploaded in parts of this size; None: in one request."""
        return comparing.etag_in_parts(self.at(bucket), bucket, key, part_size)

    def same_content(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        """True if two objects have the same bytes. Each is (bucket, key), and a version id for an older version."""
        return self.sha256(*a) == self.sha256(*b)

    def same_as_source(self, source: tuple[str, StoredObject], other: tuple[str, str]) -> bool:
        """True if another object (bucket, key) has the bytes of ``source`` (bucket, object)."""
        return comparing.same_as_source(self, source, other)

    # -- writing objects -----------------------------------------------------------------------------

    def put(self, bucket: str, key: str, content: Content, *, replace: bool = True, replaces: str | None = None) -> str:
        """Write a whole object and return its ETag; ``replace`` as in :meth:`upload`."""
        return writing.put(self.at(bucket), bucket, key, content, replace=replace, replaces=replaces)

    def upload(
        self,
        bucket: str,
        key: str,
        file: BinaryIO,
        attributes: Mapping[str, Any],
        *,
        replace: bool = True,
        replaces: str | None = None,
    ) -> tuple[int, str]:
        """Write a file as one object and return (size in bytes, ETag). With ``replace`` False it raises Occupied if
        another object is there, unless its ETag is ``replaces``."""
        return writing.upload(self.at(bucket), bucket, key, file, attributes, replace=replace, replaces=replaces)

    def put_if(self, bucket: str, key: str, data: bytes, *, etag: str | None) -> str | None:
        """Write an object if the present one has this ETag (None: if there is none). Return the new ETag, or None if
        another writer was faster."""
        return writing.put_if(self.at(bucket), bucket, key, data, etag=etag)

    def copy(
        self,
        source_bucket: str,
        source: StoredObject,
        bucket: str,
        key: str,
        *,
        version_id: str | None = None,
        once: bool = False,
        expected: Expected | None = None,
    ) -> str:
        """Copy an object with metadata, content type and tags, and return the new ETag.

        Raises SourceChanged if the ETag is no longer that of ``source``, or if the object is gone. With a
        ``version_id`` that version is copied. A version, and whatever is copied ``once``, is not copied again if the
        answer is lost: that is an error. ``expected``: what may be at the target, on a server that honours such
        conditions; SourceChanged for anything else.
        """
        how: dict[str, Any] = {"version_id": version_id, "once": once, "expected": expected}
        return copies.copy(self.at(bucket), source_bucket, source, bucket, key, **how)

    def erase(self, bucket: str, key: str) -> None:
        """Delete an object of migrator's own with all its versions. Never call it for an object of the lake."""
        writing.erase(self.at(bucket), bucket, key)

    def delete(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Delete one object of migrator's own, or one version of it for good. Never call it for an old bucket."""
        writing.delete(self.at(bucket), bucket, key, version_id=version_id)

    def delete_marker(self, bucket: str, key: str) -> None:
        """Make a delete marker the latest version of the key. Sends the request once."""
        versions.add_delete_marker(self.at(bucket), bucket, key)
