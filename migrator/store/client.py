"""S3 by boto3: everything that a plan, a rewrite or a verification needs.

Every error leaves here as one of ``migrator.errors``, with the bucket and key in its message.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property, partial
from itertools import groupby, islice
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlencode

import boto3
import botocore.exceptions
import botocore.httpsession
import botocore.loaders
import botocore.parsers
import botocore.session
import botocore.utils
from botocore.config import Config

from migrator.errors import AccessDenied, ConfigError, NotFound, Occupied, SourceChanged, StoreError, Unreachable
from migrator.store.answers import Absurd, Pages, checked_etag, checked_size
from migrator.store.attributes import carry_bytes, given_anew, of_answer
from migrator.store.conditional import Conditional, Expected
from migrator.store.endpoints import check_endpoint
from migrator.store.etags import RunningETag, is_md5, part_count, part_ranges, same_by_etag
from migrator.store.listing import FULL, Page, StoredObject, cut_short, list_in_parallel, no_listing
from migrator.store.outage import GATEWAY, Outage, WaitInBoto3
from migrator.store.part_copies import PartCopies
from migrator.store.signing import Credentials
from migrator.store.strict import ENTRIES, make_strict
from migrator.store.wire import Endpoint

Result = TypeVar("Result")

GIB = 1024**3
MULTIPART_ABOVE = 1 * GIB
"""Larger objects are copied in parts. S3's limit for one CopyObject is 5 GiB; slower servers time out sooner."""
PART_SIZE = 256 * 1024**2
CONCURRENCY = 32
CHUNK = 1 << 20
READS = 6
"""How often a body that breaks off is read from its beginning."""
SPOOL = 16 << 20
"""Larger temporary files go to the disk."""

LEASE_KEY = ".migrator-lock"
"""Lies in the target bucket while a migration is at work: no object of the lake."""
OWN_PREFIX = ".migrator/"
"""What migrator keeps in the target bucket for itself lies below this prefix: no object of the lake."""

CHECKSUMS = ("CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1")

_DENIED = {
    "403",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
}
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NotFound"}
OWN_KEY = "form of server side encryption"
"""Stands in what a server says of an object that can only be read with a key that is sent along (SSE-C)."""
_CHANGED = {"412", "PreconditionFailed"}
_OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Errors of temporary files, which say nothing of the server."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of an object, or a delete marker (which has neither size nor ETag), as a listing shows it."""

    key: str
    version_id: str
    """"null" for what was written while the bucket kept no versions."""
    size: int
    etag: str
    modified: int
    storage_class: str
    marker: bool
    latest: bool


@dataclass(frozen=True)
class Content:
    """An object's bytes, and what must be put with them to make an equal object."""

    data: bytes
    etag: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Download:
    """An object in a temporary file, which closes with this context manager; ``file`` stands at its beginning."""

    file: BinaryIO
    attributes: Mapping[str, Any]

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *details: object) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    bucket: str
    key: str
    upload_id: str

    @property
    def names(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What S3 keeps with an object on request. ``kind``: FULL_OBJECT, or COMPOSITE (over those of the parts)."""

    algorithm: str
    value: str
    kind: str


def is_own(key: str) -> bool:
    """True for a key of the target bucket that migrator uses for itself; such objects are left out of every count."""
    return key == LEASE_KEY or key.startswith(OWN_PREFIX)


def spool() -> BinaryIO:
    """A temporary file that stays in memory as long as it is small."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOL))


class Store:
    """One S3 endpoint. Safe to share between threads."""

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        concurrency: int = CONCURRENCY,
        multipart_above: int = MULTIPART_ABOVE,
        part_size: int = PART_SIZE,
        left_out: Sequence[str] = (),
        asked: Sequence[str] = (),
        locks: bool = False,
    ) -> None:
        """Connects to nothing yet. Raises ConfigError for an unknown profile or a malformed endpoint.

        ``left_out``: what is not copied with an object: "tags", and storage classes by name. ``asked``: buckets whose
        objects are asked for their headers before they are copied, since the server's copy would lose some. ``locks``:
        retention and legal hold are copied, too."""
        self.concurrency = concurrency
        self.connection: dict[str, Any] = {"endpoint_url": endpoint_url, "region": region, "profile": profile}
        """What another process needs to make an equal store (:func:`migrator.store.connect`). No secret."""
        self._left_out = frozenset(left_out)
        if left_out:
            self.connection["left_out"] = tuple(left_out)
        self.asked = frozenset(asked)
        if asked:
            self.connection["asked"] = tuple(asked)
        self.locks = locks
        if locks:
            self.connection["locks"] = True
        self._provider: Any = None
        self._frozen: tuple[Any, Credentials] = (None, Credentials("", ""))
        self._given_up = threading.Event()
        self.outage = Outage()
        self.conditional = Conditional()
        """Which conditional writes this server honours, as far as it was asked; see probe_conditional."""
        self.multipart_above = multipart_above
        self.part_copies = PartCopies()
        """How this server copies what was uploaded in parts, as far as it was asked; see probe_part_copies."""
        self._part_size = part_size
        if endpoint_url is not None:
            check_endpoint(endpoint_url, "The endpoint URL")
        try:
            self._session = boto3.Session(
                profile_name=profile, region_name=region, botocore_session=_botocore_session(profile)
            )
            self._region = self._session.region_name or "us-east-1"
            self._client = self._connect(endpoint_url, attempts=6)
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            said = (
                str(error) if "@" not in str(error) else "the endpoint URL of the environment or profile is malformed"
            )
            raise ConfigError(f"The S3 connection cannot be set up: {said}.") from None
        check_endpoint(self.endpoint_url, "The endpoint URL in AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile")

    @cached_property
    def _quick(self) -> Any:
        """A client for the first contact: a wrong endpoint should say so in seconds."""
        return self._connect(self.connection["endpoint_url"], attempts=2)

    @cached_property
    def _once(self) -> Any:
        """A client that never repeats a request. For what must not be done twice: an answer may get lost."""
        return self._connect(self.connection["endpoint_url"], attempts=1)

    def _connect(self, endpoint_url: str | None, *, attempts: int) -> Any:
        config = Config(
            max_pool_connections=self.concurrency + 8,
            connect_timeout=10,
            read_timeout=300,  # a server-side copy of a large object answers only when it is done
            retries={"mode": "standard", "max_attempts": attempts},
            # Older S3-compatible servers know nothing of the new trailing checksums; we send Content-MD5.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = self._session.client("s3", endpoint_url=endpoint_url, region_name=self._region, config=config)
        make_strict(client)
        carry_bytes(client)
        wait = WaitInBoto3(self.outage, self._given_up, once=attempts == 1)
        client.meta.events.register_first("needs-retry.s3", wait)
        return client

    def met(self) -> None:
        """Wait for this server when it is away, although nothing was asked yet: another process has talked to it."""
        for store in self.ends:
            store.outage.known = True

    def give_up(self) -> None:
        """Let whatever goes on piece by piece in other threads end at its next piece, with an error; for good."""
        self._given_up.set()

    def go_on(self, bucket: str, key: str) -> None:
        """Raises StoreError if this store was given up."""
        if self._given_up.is_set():
            raise StoreError(f"s3://{bucket}/{key}: given up.", next_move="Run the same command again to go on.")

    @property
    def tagging_directive(self) -> str:
        """What CopyObject is told to do with tags."""
        return "REPLACE" if "tags" in self._left_out else "COPY"

    @property
    def ends(self) -> tuple[Store, Store]:
        """Where the old buckets are, and where the target is: one and the same, unless this is a store of two."""
        return self, self

    def store_of(self, bucket: str) -> Store:
        """The store that has this bucket: this one, unless this is a store of two."""
        return self

    @property
    def endpoint_url(self) -> str:
        """The endpoint in use, after the environment had its say. Holds no secret."""
        return str(self._client.meta.endpoint_url)

    @property
    def region(self) -> str:
        """The region in use, after the environment and the profile had their say."""
        return str(self._region)

    def endpoint(self) -> Endpoint | None:
        """How requests of our own reach this server; None where only boto3 knows how (proxies, other signatures)."""
        config = self._client.meta.config
        if config.proxies or botocore.utils.get_environ_proxies(self.endpoint_url):
            return None
        if config.signature_version not in (None, "s3v4"):
            return None
        bundle = self._session._session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        return Endpoint(
            region=self._client.meta.region_name,
            credentials=self._credentials,
            base_url=self._base_url,
            ca_file=str(botocore.httpsession.get_cert_path(bundle or True)),
            outage=self.outage,
        )

    def _base_url(self, bucket: str) -> str:
        """boto3's rules for hosts and paths are many; it applies them when it makes a link."""
        with self._errors(f"s3://{bucket}"):
            link = self._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "-"})
        return str(link).partition("?")[0].removesuffix("-")

    def _credentials(self) -> Credentials:
        """For every request, since they may be short-lived: boto3 renews them in time."""
        if self._provider is None:
            self._provider = self._session.get_credentials()
        if self._provider is None:
            raise _no_credentials()
        frozen = self._provider.get_frozen_credentials()
        if frozen != self._frozen[0]:
            self._frozen = frozen, Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._frozen[1]

    def reader_properties(self, bucket: str) -> dict[str, str]:
        """What pyiceberg and s3fs need to read this bucket. Holds the credentials: never print or store it."""
        credentials = self._session.get_credentials()
        properties = {"s3.endpoint": self.endpoint_url, "s3.region": self._region}
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            properties["s3.access-key-id"] = frozen.access_key
            properties["s3.secret-access-key"] = frozen.secret_key
            if frozen.token:
                properties["s3.session-token"] = frozen.token
        return properties

    # -- buckets -------------------------------------------------------------------------------------

    def bucket_exists(self, bucket: str) -> bool:
        """True if the bucket exists. Raises StoreError if the server cannot be reached, AccessDenied if
        it does not let us look."""
        try:
            with self._errors(f"s3://{bucket}"):
                self._ask_twice(self._quick.list_objects_v2, Bucket=bucket, MaxKeys=1)
        except NotFound:
            return False
        return True

    def bucket_names(self) -> Sequence[str]:
        """The names of all buckets that these credentials own, in order. Raises AccessDenied if they may not ask."""
        with self._errors(self.endpoint_url):
            answer = self._quick.list_buckets()
        return sorted(str(bucket["Name"]) for bucket in answer.get("Buckets") or ())

    def create_bucket(self, bucket: str) -> None:
        """Create the bucket unless it exists."""
        with self._errors(f"s3://{bucket}"):
            place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
            options: dict[str, Any] = {"CreateBucketConfiguration": place} if place else {}
            if self.locks:
                options["ObjectLockEnabledForBucket"] = True
            try:
                self._client.create_bucket(Bucket=bucket, **options)
            except (
                self._client.exceptions.BucketAlreadyOwnedByYou,
                self._client.exceptions.BucketAlreadyExists,
            ):
                if not self.bucket_exists(bucket):
                    raise

    def is_versioned(self, bucket: str) -> bool:
        """True if the bucket keeps, or kept, old versions."""
        return self._versioning(bucket) in ("Enabled", "Suspended")

    def keeps_versions(self, bucket: str) -> bool:
        """True if whatever is overwritten or deleted in the bucket from now on stays as an old version."""
        return self._versioning(bucket) == "Enabled"

    def keep_versions(self, bucket: str) -> None:
        """Enable versioning on the bucket."""
        with self._errors(f"s3://{bucket}"):
            self._client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def _versioning(self, bucket: str) -> str:
        with self._errors(f"s3://{bucket}"):
            return str(self._client.get_bucket_versioning(Bucket=bucket).get("Status", ""))

    def open_uploads(self, bucket: str) -> int:
        """How many multipart uploads are open in the bucket (1,000 at most are counted)."""
        with self._errors(f"s3://{bucket}"):
            return len(self._client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))

    # -- objects -------------------------------------------------------------------------------------

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object under ``prefix``, in whatever order the server gives.

        Not every server lists in key order, so nothing here depends on it.
        """
        found: list[StoredObject] = []
        for page in self._pages(self._client.list_objects_v2, ("ContinuationToken",), Bucket=bucket, Prefix=prefix):
            with self._errors(f"s3://{bucket}/{prefix}"):
                found = [_stored(entry) for entry in page.get("Contents", [])]
            yield from found
        if len(found) >= FULL:
            last = found[-1].key
            yield from (more for more in self.list(bucket, cut_short(last)) if more.key != last)

    def _pages(self, ask: Callable[..., Any], markers: Sequence[str], **given: Any) -> Iterator[dict[str, Any]]:
        """Every page of a listing. ``markers``: the parameters that ask for the next page, which stand in each answer
        with "Next" before their names. Unlike boto3's paginator this does not take a page that says that there is
        more, without saying what to ask for, for the last one."""
        place = f"s3://{given['Bucket']}/{given.get('Prefix', '')}"
        pages = Pages()
        more: dict[str, str] = {}
        while True:
            with self._errors(place):
                page: dict[str, Any] = self._ask_twice(ask, **given, **more)
                more = {name: page[f"Next{name}"] for name in markers if page.get(f"Next{name}")}
                if page.get("IsTruncated") and not more:
                    raise Absurd("there is more, but not what to ask for it with")
                pages.check(repr(more) if page.get("IsTruncated") else None, _first(page))
            yield page
            if not page.get("IsTruncated"):
                return

    @staticmethod
    def _ask_twice(ask: Callable[..., Result], **given: Any) -> Result:
        """An answer that is not S3's may be an accident of whatever stands between: once."""
        try:
            return ask(**given)
        except (Absurd, botocore.parsers.ResponseParserError):
            return ask(**given)

    def list_all(self, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[StoredObject]]]:
        """List every (bucket, prefix) at once: yield (bucket, some objects), each object once, in no order."""
        endpoint = self.endpoint()
        if endpoint is not None:
            yield from list_in_parallel(endpoint, self._page, places)
            return
        for bucket, prefix in places:
            listing = self.list(bucket, prefix)
            while page := list(islice(listing, 1000)):
                yield bucket, page

    def _page(self, bucket: str, parameters: Mapping[str, str]) -> Page:
        """One page of a listing; ``parameters`` as S3 names them."""
        with self._errors(f"s3://{bucket}/{parameters['prefix']}"):
            given = {_PARAMETERS[k]: v for k, v in parameters.items()}
            answer = self._ask_twice(self._client.list_objects_v2, Bucket=bucket, **given)
            if answer.get("IsTruncated") and not answer.get("NextContinuationToken"):
                raise Absurd("there is more, but no token to ask for it with")
        folders = [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
        return Page(
            [_stored(entry) for entry in answer.get("Contents", [])], folders, answer.get("NextContinuationToken")
        )

    def list_after(self, bucket: str, prefix: str, after: str) -> Page:
        """The first page of what lies under ``prefix`` and, as the server sees it, after the key ``after``."""
        return self._page(bucket, {"prefix": prefix, "start-after": after})

    def list_versions(self, bucket: str, prefix: str = "") -> Iterator[StoredVersion]:
        """Yield every version and delete marker under ``prefix``, those of one key together, the newest first.

        Listings have whole seconds. Within one, the order is the server's own.
        """
        for _, versions in groupby(self._version_pages(bucket, prefix), key=lambda version: version.key):
            # Some servers list the version "null" last, and delete markers after all versions of a page.
            yield from sorted(versions, key=lambda version: (not version.latest, -version.modified))

    def versions_of(self, bucket: str, key: str) -> Sequence[StoredVersion]:
        """The versions and delete markers of one key, the oldest first."""
        return [version for version in self.list_versions(bucket, key) if version.key == key][::-1]

    def _version_pages(self, bucket: str, prefix: str) -> Iterator[StoredVersion]:
        ask, markers = self._client.list_object_versions, ("KeyMarker", "VersionIdMarker")
        for page in self._pages(ask, markers, Bucket=bucket, Prefix=prefix):
            keys: dict[str, list[StoredVersion]] = {}
            with self._errors(f"s3://{bucket}/{prefix}"):
                for entry in page[ENTRIES]:
                    version = _stored_version(entry)
                    keys.setdefault(version.key, []).append(version)
            for versions in keys.values():
                yield from versions

    def delete_marker(self, bucket: str, key: str) -> None:
        """Put a delete marker on top of the key's versions. The bucket must keep versions. Never done twice."""
        with self._errors(f"s3://{bucket}/{key}"):
            self._once.delete_object(Bucket=bucket, Key=key)

    def get(self, bucket: str, key: str, *, etag: str | None = None) -> Content:
        """Read a whole object. Raises SourceChanged if it is no longer the one with this ETag."""
        with self._errors(f"s3://{bucket}/{key}"):
            answer, data = self._whole(lambda: _read(self._get_object(bucket, key, etag)))
            return Content(data, answer["ETag"].strip('"'), self._attributes(bucket, key, answer))

    def download(self, bucket: str, key: str, *, etag: str | None = None) -> Download:
        """Like :meth:`get`, for what may be too large for memory."""
        file = spool()
        try:
            with self._errors(f"s3://{bucket}/{key}"):
                answer = self._whole(lambda: _save(self._get_object(bucket, key, etag), file))
                return Download(file, self._attributes(bucket, key, answer))
        except BaseException:
            file.close()
            raise

    def _get_object(self, bucket: str, key: str, etag: str | None, **options: str) -> dict[str, Any]:
        if etag:
            options["IfMatch"] = f'"{etag}"'
        try:
            answer: dict[str, Any] = self._client.get_object(Bucket=bucket, Key=key, **options)
            return answer
        except botocore.exceptions.ClientError as error:
            if etag and _is_missing(error):
                raise SourceChanged(f"s3://{bucket}/{key} is gone since planning.") from error
            raise

    def _attributes(self, bucket: str, key: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        attributes = of_answer(answer, self._left_out, locks=self.locks)
        if answer.get("TagCount") and (tagging := self.tagging(bucket, key)):
            attributes["Tagging"] = tagging
        return attributes

    def put(self, bucket: str, key: str, content: Content, *, replace: bool = True, replaces: str | None = None) -> str:
        """Write a whole object and return its ETag; see :meth:`upload`."""
        file = io.BytesIO(content.data)
        return self.upload(bucket, key, file, content.attributes, replace=replace, replaces=replaces)[1]

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
        """Write all of ``file`` as one object and return (size, ETag). The server checks it against its MD5.

        ``replace`` False leaves an object that is there already, unless its ETag is ``replaces``: raises Occupied if
        it has other bytes than ``file``.
        """
        digest = hashlib.md5(usedforsecurity=False)
        file.seek(0)
        for chunk in iter(partial(file.read, CHUNK), b""):
            digest.update(chunk)
        size = file.tell()
        file.seek(0)
        written = {**attributes, "ContentMD5": base64.b64encode(digest.digest()).decode()}
        if not replace:
            if not self.conditional.put and (there := self.find(bucket, key)) is not None and there.etag != replaces:
                return size, self._same_file(there, bucket, file, size, digest.hexdigest())
            if self.conditional.put:
                written |= Expected(replaces).arguments
        with self._errors(f"s3://{bucket}/{key}"):
            try:
                answer = self._client.put_object(Bucket=bucket, Key=key, Body=file, **written)
                return size, str(answer["ETag"]).strip('"')
            except botocore.exceptions.ClientError as error:
                if replace or _code(error) not in _CHANGED | _MISSING:
                    raise
        if (there := self.find(bucket, key)) is None:  # what was to be replaced is gone, or see ANYTHING
            return self.upload(bucket, key, file, attributes)
        return size, self._same_file(there, bucket, file, size, digest.hexdigest())

    def _same_file(self, there: StoredObject, bucket: str, file: BinaryIO, size: int, md5: str) -> str:
        """The ETag of an object that must have the bytes of ``file``. Raises Occupied if it has others."""
        file.seek(0)
        if there.size != size or (there.etag != md5 and not self._equal(there, bucket, file)):
            raise Occupied(
                f"s3://{bucket}/{there.key} exists already, with other content.", next_move="Choose an empty place."
            )
        return there.etag

    def put_if(self, bucket: str, key: str, data: bytes, *, etag: str | None) -> str | None:
        """Write an object if the one there still has this ETag (None: if there is none), and return the new ETag,
        or None if somebody else was faster. A server without conditional writes is asked afterwards who was last."""
        place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        with self._errors(f"s3://{bucket}/{key}"):
            try:
                self._client.put_object(**place, Body=data, **Expected(etag).arguments)
            except botocore.exceptions.ClientError as error:
                if _code(error) in ("NotImplemented", "501", "InvalidArgument", "InvalidRequest"):
                    self._client.put_object(**place, Body=data)
                elif _code(error) not in _CHANGED | _MISSING | {"ConditionalRequestConflict", "409"}:
                    raise
        # Refused it may be because boto3 asked twice, and the first answer was lost: what is there tells.
        there = self.find(bucket, key) and self.get(bucket, key)
        return there.etag if there and there.data == data else None

    def refuses(self, bucket: str, key: str, operation: str, expected: Expected) -> bool:
        """True if the server refuses to write an object because of this condition. ``operation``: "put", "copy" (of
        the object KEY-source) or "complete", the end of an upload in parts."""
        place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        upload: Upload | None = None
        try:
            with self._errors(f"s3://{bucket}/{key}"):
                if operation == "put":
                    self._client.put_object(**place, Body=b"probe", **expected.arguments)
                elif operation == "copy":
                    source = {"Bucket": bucket, "Key": f"{key}-source"}
                    self._client.copy_object(**place, CopySource=source, **expected.arguments)
                else:
                    upload = self.begin_upload(bucket, key, {})
                    self.finish_upload(upload, [self.put_part(upload, 1, b"probe")], expected=expected)
        except SourceChanged:
            return True
        except StoreError:
            return False
        finally:
            if upload is not None:
                self.abort_upload(upload)
        return False

    def erase(self, bucket: str, key: str) -> None:
        """Remove an object of our own with all its versions. Never call it for an object of the lake."""
        with self._errors(f"s3://{bucket}/{key}"):
            answer = self._client.delete_object(Bucket=bucket, Key=key)
            if answer.get("VersionId") or answer.get("DeleteMarker"):
                for version in self.versions_of(bucket, key):
                    self.delete(bucket, key, version_id=version.version_id)

    def delete(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Remove one object of our own, or one version of it for good. Never call it for an old bucket."""
        with self._errors(_place(bucket, key, version_id)):
            self._client.delete_object(Bucket=bucket, Key=key, **_version(version_id))

    def age(self, bucket: str, key: str) -> float:
        """How many seconds ago the object was written, by the server's own clock. Raises NotFound."""
        with self._errors(f"s3://{bucket}/{key}"):
            answer = self._client.head_object(Bucket=bucket, Key=key)
            now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            return float((now - answer["LastModified"]).total_seconds())

    def size(self, bucket: str, key: str) -> int:
        """The object's size in bytes. Raises NotFound."""
        return self.head(bucket, key).size

    def head(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        """One object, as a listing would show it. Raises NotFound."""
        with self._errors(_place(bucket, key, version_id)):
            answer = self._client.head_object(Bucket=bucket, Key=key, **_version(version_id))
            etag = checked_etag(answer["ETag"], key)
            size = checked_size(str(answer["ContentLength"]), key)
            modified = _milliseconds(answer["LastModified"])
            return StoredObject(key, size, etag, modified, answer.get("StorageClass") or "STANDARD")

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """One object, as a listing would show it, or None."""
        try:
            return self.head(bucket, key)
        except NotFound:
            return None

    def _equal(self, there: StoredObject, bucket: str, file: BinaryIO) -> bool:
        """Compare an object with a file by SHA-256: an encrypting server's ETag is no MD5."""
        digest = hashlib.sha256()
        for chunk in iter(partial(file.read, CHUNK), b""):
            digest.update(chunk)
        return digest.hexdigest() == self.sha256(bucket, there.key)

    def same_content(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        """Compare two objects (bucket, key and, if it is not the current one, version) byte for byte by
        streaming both through SHA-256."""
        return self.sha256(*a) == self.sha256(*b)

    def same_as_source(self, source: tuple[str, StoredObject], other: tuple[str, str]) -> bool:
        """True if another object (bucket, key) has the bytes of ``source`` (bucket, object). Reads as little as tells:
        nothing, the other object, or both."""
        bucket, stored = source
        there = self.head(*other)
        if there.size != stored.size or same_by_etag(there.etag, stored.etag):
            return there.size == stored.size
        with suppress(SourceChanged):  # or a server that compares with the ETag of the part
            known = self.part_size(bucket, stored)
            tells = is_md5(stored.etag) and (known is not None or "-" not in stored.etag)
            if tells and self.etag_in_parts(*other, known) == stored.etag:
                return True
        return self.same_content((bucket, stored.key), other)

    def sha256(self, bucket: str, key: str, version_id: str | None = None, *, etag: str | None = None) -> str:
        """The SHA-256 of an object's bytes, streamed. Raises SourceChanged as :meth:`get` does."""

        def digest() -> str:
            found = hashlib.sha256()
            for chunk in self._chunks(bucket, key, version_id, etag):
                found.update(chunk)
            return found.hexdigest()

        with self._errors(_place(bucket, key, version_id)):
            return self._whole(digest)

    def etag_in_parts(self, bucket: str, key: str, part_size: int | None) -> str:
        """The ETag that an object's bytes, which are read, would have if they were uploaded in parts of ``part_size``
        bytes; None stands for one request."""

        def digest() -> str:
            running = RunningETag(part_size)
            for chunk in self._chunks(bucket, key):
                running.update(chunk)
            return running.etag()

        with self._errors(f"s3://{bucket}/{key}"):
            return self._whole(digest)

    def _chunks(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        for chunk in self._get_object(bucket, key, etag, **_version(version_id))["Body"].iter_chunks(CHUNK):
            self.go_on(bucket, key)
            yield chunk

    @staticmethod
    def _whole(read: Callable[[], Result]) -> Result:
        """``read``, again if a body breaks off: boto3 asks again only until an answer begins."""
        for attempt in range(READS - 1):
            try:
                return read()
            except _BROKEN:
                time.sleep(random.uniform(0, 0.2 * 2**attempt))
        return read()

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
        """Copy on the server, with metadata, content type and tags, and return the new ETag.

        Pinned to ``source.etag``: raises SourceChanged if the object is another one by now, or gone. With a
        ``version_id`` that version is copied. This, and whatever is copied ``once``, is never copied twice: if an
        answer gets lost, that is an error. ``expected``: what may be at the target, on a server that honours such
        conditions; SourceChanged otherwise.
        """
        place = _place(source_bucket, source.key, version_id)
        once = once or version_id is not None
        client = self._once if once else self._client
        with self._errors(place):
            try:
                if source.size > self.multipart_above:
                    return self._copy_parts(source_bucket, source, bucket, key, version_id, expected, once=once)
                condition = expected.arguments if expected and self.conditional.copy else {}
                answer = client.copy_object(
                    Bucket=bucket,
                    Key=key,
                    CopySource={"Bucket": source_bucket, "Key": source.key, **_version(version_id)},
                    CopySourceIfMatch=f'"{source.etag}"',
                    **self._anew(source_bucket, source, version_id),
                    TaggingDirective=self.tagging_directive,
                    # CopyObject does not keep the storage class by itself.
                    **({} if source.storage_class == "STANDARD" else {"StorageClass": source.storage_class}),
                    **condition,
                )
                return str(answer["CopyObjectResult"]["ETag"]).strip('"')
            except botocore.exceptions.ClientError as error:
                if _code(error) == "DirectoryObjectContainsData" and source.size == 0 and version_id is None:
                    # versitygw takes an empty directory marker, and refuses to copy one.
                    marker = self.get(source_bucket, source.key, etag=source.etag)
                    return self.put(bucket, key, marker, replace=expected is None or not expected.arguments)
                if _code(error) not in ("NoSuchKey", "NoSuchVersion"):
                    raise
                if source.size == 0 and source.key.endswith("/") and version_id in (None, "null"):
                    # Some servers (SeaweedFS) list an empty directory marker but do not copy it.
                    return self.put(bucket, key, Content(b"", ""), replace=expected is None or not expected.arguments)
                raise SourceChanged(f"{place} is gone since planning.") from error

    def _anew(self, bucket: str, source: StoredObject, version_id: str | None) -> dict[str, Any]:
        """What the metadata of a copy is to be: that of the source, given anew where the server would lose some."""
        if bucket in self.asked:
            try:
                head = self._client.head_object(
                    Bucket=bucket, Key=source.key, IfMatch=f'"{source.etag}"', **_version(version_id)
                )
            except botocore.exceptions.ClientError as error:
                if not _is_missing(error):
                    raise
                head = {}  # the copy itself says what that means
            given = of_answer(head, locks=self.locks)
            given.pop("StorageClass", None)
            if given_anew(given):
                return {**given, "MetadataDirective": "REPLACE"}
        return {"MetadataDirective": "COPY"}

    def _copy_parts(
        self,
        source_bucket: str,
        source: StoredObject,
        bucket: str,
        key: str,
        version_id: str | None,
        expected: Expected | None,
        *,
        once: bool,
    ) -> str:
        """Multipart copy, one part after another. boto3's own loses tags and, unless told, metadata
        (aws-cli#1145): we carry both."""
        attributes = self.attributes(source_bucket, source.key, source.etag, version_id)
        expected = expected if self.conditional.complete else None
        while True:
            given = attributes if self.part_copies.take_checksum else without_checksum(attributes)
            upload = self.begin_upload(bucket, key, given)
            try:
                parts = []
                for number, span in enumerate(part_ranges(source.size, self._part_size), 1):
                    self.go_on(source_bucket, source.key)
                    parts.append(self.copy_part(upload, number, source_bucket, source, span, version_id))
                return self.finish_upload(upload, parts, once=once, expected=expected)
            except BaseException as error:
                self.abort_upload(upload)
                if isinstance(error, NotFound):
                    raise SourceChanged(
                        f"{_place(source_bucket, source.key, version_id)} is gone since planning."
                    ) from error
                if not refuses_checksum(error) or given == without_checksum(given):
                    raise
                self.part_copies = replace(self.part_copies, take_checksum=False)

    def copy_part(
        self,
        upload: Upload,
        number: int,
        bucket: str,
        source: StoredObject,
        span: tuple[int, int],
        version_id: str | None = None,
    ) -> dict[str, Any]:
        """Copy the bytes from the first to the last of ``span`` as one part. For :meth:`finish_upload`."""
        with self._errors(_place(bucket, source.key, version_id)):
            answer = self._client.upload_part_copy(
                **upload.names,
                PartNumber=number,
                CopySource={"Bucket": bucket, "Key": source.key, **_version(version_id)},
                CopySourceIfMatch=f'"{source.etag}"',
                CopySourceRange=f"bytes={span[0]}-{span[1]}",
            )
            return {"PartNumber": number, **_part(answer["CopyPartResult"])}

    # -- uploads in parts ----------------------------------------------------------------------------

    def attributes(self, bucket: str, key: str, etag: str, version_id: str | None = None) -> dict[str, Any]:
        """What must be given to :meth:`begin_upload` to make an equal object: headers, user metadata, storage
        class, tags, and the kind of checksum. Raises SourceChanged if it is no longer the one with this ETag."""
        place, version = _place(bucket, key, version_id), _version(version_id)
        with self._errors(place):
            try:
                head = self._client.head_object(
                    Bucket=bucket, Key=key, IfMatch=f'"{etag}"', ChecksumMode="ENABLED", **version
                )
            except botocore.exceptions.ClientError as error:
                if not _is_missing(error):
                    raise
                raise SourceChanged(f"{place} is gone since planning.") from error
            attributes = of_answer(head, self._left_out, locks=self.locks)
            if tagging := self.tagging(bucket, key, version_id):
                attributes["Tagging"] = tagging
        if (checksum := _checksum(head)) is not None:
            attributes["ChecksumAlgorithm"] = checksum.algorithm
            attributes["ChecksumType"] = checksum.kind
        return attributes

    def checksum(self, bucket: str, key: str) -> Checksum | None:
        """The checksum that the server keeps with the object, if any."""
        with self._errors(f"s3://{bucket}/{key}"):
            return _checksum(self._client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))

    def part_checksum(self, bucket: str, key: str, number: int) -> tuple[int, Checksum | None]:
        """The size of a part of an object that was uploaded in parts, and the checksum kept with that part."""
        with self._errors(f"s3://{bucket}/{key}"):
            head = self._client.head_object(Bucket=bucket, Key=key, PartNumber=number, ChecksumMode="ENABLED")
            return checked_size(str(head["ContentLength"]), key), _checksum(head)

    def part_size(self, bucket: str, stored: StoredObject) -> int | None:
        """The size in bytes of the parts in which an object was uploaded; None if it was uploaded in one request, or
        if nobody knows. Raises SourceChanged if it is no longer the one with this ETag."""
        count = part_count(stored.etag)
        if not count:
            return None
        try:
            with self._errors(f"s3://{bucket}/{stored.key}"):
                head = self._client.head_object(Bucket=bucket, Key=stored.key, IfMatch=f'"{stored.etag}"', PartNumber=1)
        except SourceChanged:
            raise
        except NotFound as error:
            raise SourceChanged(f"s3://{bucket}/{stored.key} is gone since planning.") from error
        except (AccessDenied, Unreachable):
            raise
        except StoreError:  # not every server knows this question
            return None
        first = int(head["ContentLength"])
        # The last part may be of any size, and a server may answer with the whole object.
        return first if first > 0 and -(-stored.size // first) == count else None

    def read_part(self, bucket: str, key: str, etag: str, span: tuple[int, int]) -> bytes:
        """The bytes from the first to the last of ``span``. Raises SourceChanged as :meth:`get` does."""
        with self._errors(f"s3://{bucket}/{key}"):
            _, data = self._whole(
                lambda: _read(self._get_object(bucket, key, etag, Range=f"bytes={span[0]}-{span[1]}"))
            )
        expected = span[1] - span[0] + 1
        if len(data) != expected:  # a server without ranges
            raise StoreError(f"s3://{bucket}/{key}: {len(data)} bytes came instead of {expected}.")
        return data

    def put_part(self, upload: Upload, number: int, data: bytes) -> dict[str, Any]:
        """Upload one part, which the server checks against its MD5. For :meth:`finish_upload`."""
        checksum = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        with self._errors(f"s3://{upload.bucket}/{upload.key}"):
            answer = self._client.upload_part(**upload.names, PartNumber=number, Body=data, ContentMD5=checksum)
            return {"PartNumber": number, **_part(answer)}

    def begin_upload(self, bucket: str, key: str, attributes: Mapping[str, Any]) -> Upload:
        """Open a multipart upload: finish or abort it."""
        with self._errors(f"s3://{bucket}/{key}"):
            answer = self._client.create_multipart_upload(Bucket=bucket, Key=key, **attributes)
            upload = Upload(bucket, key, answer["UploadId"])
            if answer["ResponseMetadata"].get("RetryAttempts"):
                self._abort_lost(upload)
            return upload

    def _abort_lost(self, upload: Upload) -> None:
        """boto3 asked twice for this upload: if only an answer was lost, there is another one, without parts."""
        answer = self._client.list_multipart_uploads(Bucket=upload.bucket, Prefix=upload.key)
        for entry in answer.get("Uploads", []):
            other = Upload(upload.bucket, entry["Key"], entry["UploadId"])
            if other.key == upload.key and other != upload and not self._client.list_parts(**other.names).get("Parts"):
                self.abort_upload(other)

    def finish_upload(
        self,
        upload: Upload,
        parts: Sequence[Mapping[str, Any]],
        *,
        once: bool = False,
        expected: Expected | None = None,
    ) -> str:
        """Make an object of the parts and return its ETag. ``parts``: boto3's, in order. ``expected``: what may be
        there, on a server that honours such conditions; raises SourceChanged otherwise, WrongChecksums for parts with
        checksums that cannot be theirs."""
        client = self._once if once else self._client
        condition = expected.arguments if expected else {}
        if _wrong_checksums(parts):
            raise WrongChecksums(f"s3://{upload.bucket}/{upload.key}: the server took wrong checksums of its parts.")
        with self._errors(f"s3://{upload.bucket}/{upload.key}"):
            try:
                done = client.complete_multipart_upload(
                    **upload.names, MultipartUpload={"Parts": list(parts)}, **condition
                )
            except self._client.exceptions.NoSuchUpload:
                # It was finished already, if an answer was lost and boto3 asked again.
                there = self.find(upload.bucket, upload.key)
                if there is None or not there.etag.endswith(f"-{len(parts)}"):
                    raise
                return there.etag
            if "ETag" not in done:
                raise StoreError(
                    f"s3://{upload.bucket}/{upload.key}: the end of an upload was answered without an ETag."
                )
            return str(done["ETag"]).strip('"')

    def abort_upload(self, upload: Upload) -> None:
        """Drop the parts of an upload. One that is not there any more is dropped already."""
        try:
            with self._errors(f"s3://{upload.bucket}/{upload.key}"):
                self._client.abort_multipart_upload(**upload.names)
        except NotFound:
            pass

    def uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[Upload, int]]:
        """Every open multipart upload of the bucket, and when it was begun, in milliseconds since the epoch."""
        ask, markers = self._client.list_multipart_uploads, ("KeyMarker", "UploadIdMarker")
        for page in self._pages(ask, markers, Bucket=bucket, Prefix=prefix):
            with self._errors(f"s3://{bucket}/{prefix}"):
                found = [
                    (Upload(bucket, entry["Key"], entry["UploadId"]), _milliseconds(entry.get("Initiated")))
                    for entry in page.get("Uploads", [])
                ]
            yield from found

    def uploads_of(self, bucket: str, key: str) -> Sequence[tuple[Upload, int]]:
        """The open uploads of one key. MinIO lists them only if it is asked for the very key."""
        return [found for found in self.uploads(bucket, key) if found[0].key == key]

    def tagging(self, bucket: str, key: str, version_id: str | None = None) -> str:
        """The object's tags as a query string, as S3 takes them with a new object; "" if tags are left out."""
        if "tags" in self._left_out:
            return ""
        with self._errors(_place(bucket, key, version_id)):
            tags = self._client.get_object_tagging(Bucket=bucket, Key=key, **_version(version_id)).get("TagSet", [])
        return urlencode({tag["Key"]: tag["Value"] for tag in tags})

    @contextmanager
    def _errors(self, place: str) -> Iterator[None]:
        """Turn botocore's errors into ours; ``place`` says where it happened."""
        try:
            yield
        except botocore.exceptions.ClientError as error:
            raise _translated(place, error, self.endpoint_url) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise _no_credentials() from error
        except botocore.exceptions.ParamValidationError as error:
            raise StoreError(f"{place}: boto3 sends no such request: {error}.") from error
        except KeyError as error:
            raise StoreError(f"{place}: the server's answer lacks {error}.", next_move="Run it again.") from error
        except (Absurd, botocore.parsers.ResponseParserError) as error:
            raise no_listing(place, self.endpoint_url, error) from error
        except botocore.exceptions.HTTPClientError as error:
            if isinstance(error.kwargs.get("error"), Absurd):
                raise no_listing(place, self.endpoint_url, error.kwargs["error"]) from error
            raise self._unreachable(place, error) from error
        except (ValueError, OverflowError) as error:  # boto3 could not read a number or a date
            raise no_listing(place, self.endpoint_url, f"{type(error).__name__}: {error}") from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
                raise StoreError(
                    f"{place}: this machine cannot go on: {error.strerror}.",
                    next_move=f"Make room in {tempfile.gettempdir()}, where temporary files go, or set TMPDIR.",
                ) from error
            raise self._unreachable(place, error) from error

    def _unreachable(self, place: str, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self.endpoint_url} did not answer for {place}: {error}.",
            next_move="Check the endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, for the target also "
            "--target-endpoint-url) and the network.",
        )


def _botocore_session(profile: str | None) -> botocore.session.Session:
    """A session that reads the large model of S3 only if no session of this process has done so: else each store
    would take longer to make than most of what is done with it."""
    session = botocore.session.Session(profile=profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


_loader = cache(botocore.loaders.create_loader)


_BROKEN = (
    botocore.exceptions.ResponseStreamingError,
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.IncompleteReadError,
)


REFUSES_CHECKSUM = frozenset({"InvalidArgument", "InvalidRequest", "BadRequest", "NotImplemented"})
"""What a server says that cannot copy a part into an upload that keeps a checksum."""


class WrongChecksums(StoreError):
    """What the server says of the parts cannot be the checksums of these parts."""


def refuses_checksum(error: BaseException) -> bool:
    """True if an error of this store says that the server cannot copy parts into an upload that keeps a checksum."""
    why = error.__cause__
    refused = isinstance(why, botocore.exceptions.ClientError) and _code(why) in REFUSES_CHECKSUM
    return refused or isinstance(error, WrongChecksums)


def _wrong_checksums(parts: Sequence[Mapping[str, Any]]) -> bool:
    """True if the parts have checksums that are those of a whole object: versitygw answers the copy of each part with
    the checksum of the whole source, and would keep a wrong one with the object that it makes of them."""
    checksums = [str(value) for part in parts for name, value in part.items() if name.startswith("Checksum")]
    fewer = 0 < len(set(checksums)) < len({part["ETag"] for part in parts})
    return fewer or any("-" in checksum for checksum in checksums)


def without_checksum(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What an upload is begun with, without asking for a checksum."""
    return {name: value for name, value in attributes.items() if not name.startswith("Checksum")}


def _read(answer: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    return answer, answer["Body"].read()


def _save(answer: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    file.seek(0)
    file.truncate()
    for chunk in answer["Body"].iter_chunks(CHUNK):
        file.write(chunk)
    file.seek(0)
    return answer


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _place(bucket: str, key: str, version_id: str | None) -> str:
    return f"s3://{bucket}/{key}" + (f" (version {version_id})" if version_id is not None else "")


_PARAMETERS = {
    "prefix": "Prefix",
    "delimiter": "Delimiter",
    "start-after": "StartAfter",
    "continuation-token": "ContinuationToken",
}


def _stored(entry: Mapping[str, Any]) -> StoredObject:
    """An entry of a listing."""
    return StoredObject(
        entry["Key"],
        entry["Size"],
        entry["ETag"].strip('"'),
        _milliseconds(entry["LastModified"]),
        entry.get("StorageClass") or "STANDARD",
    )


def _stored_version(entry: Mapping[str, Any]) -> StoredVersion:
    """A version, or a delete marker, as a listing has it."""
    return StoredVersion(
        entry["Key"],
        entry["VersionId"],
        entry.get("Size", 0),
        entry.get("ETag", "").strip('"'),
        _milliseconds(entry["LastModified"]),
        entry.get("StorageClass") or "STANDARD",
        "ETag" not in entry,
        entry["IsLatest"],
    )


def _milliseconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp() * 1000)


def _first(page: Mapping[str, Any]) -> str | None:
    """What a page of a listing begins with, whatever it lists."""
    entries = page.get("Contents") or page.get(ENTRIES) or page.get("Uploads") or page.get("CommonPrefixes")
    if not entries:
        return None
    first = entries[0]
    return repr([first.get(name) for name in ("Key", "VersionId", "UploadId", "Prefix")])


def _part(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What an upload's end must be told of a part: its ETag, and the checksums that the server took of it."""
    return {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}


def _checksum(head: Mapping[str, Any]) -> Checksum | None:
    for algorithm in CHECKSUMS:
        if value := head.get(f"Checksum{algorithm}"):
            return Checksum(
                algorithm, value, head.get("ChecksumType") or ("COMPOSITE" if "-" in value else "FULL_OBJECT")
            )
    return None


def _no_credentials() -> AccessDenied:
    move = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    return AccessDenied("No AWS credentials were found.", next_move=move)


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_missing(error: botocore.exceptions.ClientError) -> bool:
    """True if S3 says that something is not there. A bare 404 says so only in answer to a HEAD, which has no body:
    anything else that has no code of S3's is a page of whatever stands before the server."""
    return _code(error) in _MISSING and (_code(error) != "404" or error.operation_name.startswith("Head"))


def _translated(place: str, error: botocore.exceptions.ClientError, endpoint: str) -> StoreError:
    code = _code(error)
    reason = error.response.get("Error", {}).get("Message") or code
    if code in _CHANGED:
        return SourceChanged(f"{place} changed since planning.")
    if not code or (code.isdigit() and code not in _DENIED | _CHANGED and not _is_missing(error)):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        reason = f"{error.operation_name} got the status {status} and no code of an error"
        if status in GATEWAY:
            return Unreachable(f"{endpoint} did not answer for {place}: {reason}.", next_move="Is the server up?")
        return no_listing(place, endpoint, reason)
    if _is_missing(error):
        return NotFound(f"{place} does not exist ({code}).")
    if code in _DENIED:
        return AccessDenied(
            f"{place}: access denied ({code}: {reason}).",
            next_move="Check the credentials and what they may do here.",
        )
    return StoreError(f"{place}: {error.operation_name} failed ({code}: {reason}).", next_move=_move(code, reason))


def _move(code: str, reason: str) -> str:
    """What to do about an object that the server gives to nobody as it is."""
    if code == "InvalidObjectState":
        return "It lies in an archive: restore it and plan again, or leave its folder where it is with a rule = false."
    if OWN_KEY in reason.lower():
        return (
            "It is encrypted with a key that its owner sends along (SSE-C): leave its folder where it is with a "
            "rule = false, and copy it with a tool that has the key."
        )
    return ""
