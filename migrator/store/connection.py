"""How one S3 server is reached: the boto3 clients, the credentials, and the limits and options of this run."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.exceptions
import botocore.httpsession
import botocore.loaders
import botocore.session
import botocore.utils
from botocore.config import Config

from migrator.errors import ConfigError, StoreError
from migrator.store.answers import RequestIds
from migrator.store.attributes import carry_bytes
from migrator.store.conditional import Conditional
from migrator.store.endpoints import check_endpoint
from migrator.store.outage import Outage, WaitInBoto3
from migrator.store.part_copies import PartCopies
from migrator.store.quick_reads import QuickReads
from migrator.store.retries import count_retry_of_boto3
from migrator.store.server_errors import no_credentials, translated_errors
from migrator.store.signing import Credentials
from migrator.store.strict import make_strict
from migrator.store.wire import Endpoint

GIB = 1024**3
MULTIPART_ABOVE = 1 * GIB
"""Larger objects are copied in parts. S3's limit for one CopyObject is 5 GiB; slower servers time out sooner."""
PART_SIZE = 256 * 1024**2
"""Bytes in each part of such a copy."""
CONCURRENCY = 32
"""Requests at a time."""


class Connection:
    """A connection to one S3 server with one account. Safe to share between threads."""

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
        """Sends no request yet. Raises ConfigError for an unknown profile or a malformed endpoint.

        ``multipart_above``: larger objects (bytes) are copied in parts of ``part_size`` bytes. ``left_out``: what is
        not copied with an object: "tags", and storage classes by name. ``asked``: buckets whose objects get a HEAD
        request before they are copied, because the server's copy would lose some headers. ``locks``: retention and
        legal hold are copied, too."""
        self.concurrency, self.multipart_above, self.part_size = concurrency, multipart_above, part_size
        self.left_out, self.asked, self.locks = frozenset(left_out), frozenset(asked), locks
        options = {"left_out": tuple(left_out), "asked": tuple(asked), "locks": locks}
        self.options: dict[str, Any] = {"endpoint_url": endpoint_url, "region": region, "profile": profile}
        """The arguments with which another process makes an equal connection. They contain no secret."""
        self.options |= {name: value for name, value in options.items() if value}
        self.outage = Outage()
        self.conditional = Conditional()
        """Which conditional writes the server honours; see :func:`migrator.store.probe_conditional`."""
        self.part_copies = PartCopies()
        """How the server copies objects that were uploaded in parts; see :func:`migrator.store.probe_part_copies`."""
        self._request_ids = RequestIds()
        self._stopped = threading.Event()
        self._provider: Any = None
        self._frozen: tuple[Any, Credentials] = (None, Credentials("", ""))
        if endpoint_url is not None:
            check_endpoint(endpoint_url, "The endpoint URL")
        self._connect(profile, region)
        check_endpoint(self.endpoint_url, "The endpoint URL in AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile")

    def _connect(self, profile: str | None, region: str | None) -> None:
        try:
            self._session = boto3.Session(
                profile_name=profile, region_name=region, botocore_session=_botocore_session(profile)
            )
            self.region = str(self._session.region_name or "us-east-1")
            """The region in use, from the arguments, the environment or the profile."""
            self.client = self._make_client(attempts=6)
            """The boto3 client for all requests that may be repeated."""
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            reason = str(error)
            if "@" in reason:  # it may contain a password
                reason = "the endpoint URL of the environment or profile is malformed"
            raise ConfigError(f"The S3 connection cannot be set up: {reason}.") from None

    @cached_property
    def quick_client(self) -> Any:
        """A boto3 client for the first request: it reports a wrong endpoint within seconds."""
        return self._make_client(attempts=2)

    @cached_property
    def once_client(self) -> Any:
        """A boto3 client that never repeats a request: for what must not happen twice if an answer is lost."""
        return self._make_client(attempts=1)

    @cached_property
    def quick_reads(self) -> QuickReads:
        """Reads small objects without boto3, where that is possible."""
        return QuickReads(self.endpoint(), self._request_ids)

    def _make_client(self, *, attempts: int) -> Any:
        config = Config(
            max_pool_connections=self.concurrency + 8,
            connect_timeout=10,
            read_timeout=300,  # the server answers only after it has copied a large object
            retries={"mode": "standard", "max_attempts": attempts},
            # Older S3-compatible servers do not know the new trailing checksums; we send Content-MD5.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        url = self.options["endpoint_url"]
        client = self._session.client("s3", endpoint_url=url, region_name=self.region, config=config)
        make_strict(client, self._request_ids)
        carry_bytes(client)
        wait = WaitInBoto3(self.outage, self._stopped, once=attempts == 1)
        client.meta.events.register_first("needs-retry.s3", wait)
        client.meta.events.register("request-created.s3", count_retry_of_boto3)
        return client

    @property
    def endpoint_url(self) -> str:
        """The endpoint in use, from the arguments, the environment or the profile. Contains no secret."""
        return str(self.client.meta.endpoint_url)

    @property
    def account(self) -> tuple[str, str, str | None]:
        """Endpoint, region and profile. If two connections differ here, neither can read the other's buckets for
        sure."""
        return self.endpoint_url.rstrip("/"), self.region, self.options["profile"]

    def errors(self, place: str) -> AbstractContextManager[None]:
        """Raises errors of :mod:`migrator.errors` instead of botocore's; ``place`` is named in the message."""
        return translated_errors(place, self.endpoint_url)

    def give_up(self) -> None:
        """Make reads and copies in other threads fail before their next part. This cannot be undone."""
        self._stopped.set()

    def raise_if_given_up(self, bucket: str, key: str) -> None:
        """Raises StoreError after :meth:`give_up`."""
        if self._stopped.is_set():
            raise StoreError(f"s3://{bucket}/{key}: given up.", next_move="Run the same command again to go on.")

    def endpoint(self) -> Endpoint | None:
        """How :mod:`migrator.store.wire` reaches the server; None where only boto3 can (proxies, other signatures)."""
        config = self.client.meta.config
        if config.proxies or botocore.utils.get_environ_proxies(self.endpoint_url):
            return None
        if config.signature_version not in (None, "s3v4"):
            return None
        bundle = self._session._session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        return Endpoint(
            region=self.client.meta.region_name,
            credentials=self._credentials,
            base_url=self._base_url,
            ca_file=str(botocore.httpsession.get_cert_path(bundle or True)),
            outage=self.outage,
        )

    def _base_url(self, bucket: str) -> str:
        """The URL of a bucket. boto3 has many rules for hosts and paths, and applies them to a presigned URL."""
        with self.errors(f"s3://{bucket}"):
            link = self.client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "-"})
        return str(link).partition("?")[0].removesuffix("-")

    def _credentials(self) -> Credentials:
        """The present credentials. They may expire soon: boto3 renews them in time, so each request asks for them."""
        if self._provider is None:
            self._provider = self._session.get_credentials()
        if self._provider is None:
            raise no_credentials()
        frozen = self._provider.get_frozen_credentials()
        if frozen != self._frozen[0]:
            self._frozen = frozen, Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._frozen[1]

    def reader_properties(self) -> dict[str, str]:
        """The properties with which pyiceberg and s3fs reach the server. They contain the credentials: never print or
        store them."""
        credentials = self._session.get_credentials()
        properties = {"s3.endpoint": self.endpoint_url, "s3.region": self.region}
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            properties["s3.access-key-id"] = frozen.access_key
            properties["s3.secret-access-key"] = frozen.secret_key
            if frozen.token:
                properties["s3.session-token"] = frozen.token
        return properties


def _botocore_session(profile: str | None) -> botocore.session.Session:
    """A botocore session that shares the loaded model of S3 with the other sessions of migrator in this process.
    Reading the model takes longer than most requests."""
    session = botocore.session.Session(profile=profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


_loader = cache(botocore.loaders.create_loader)
