"""boto3 clients of the services that keep catalogs, Glue and DynamoDB. S3 is reached through the store only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from migrator.errors import CatalogError, ConfigError, redacted
from migrator.store.endpoints import check_endpoint

ATTEMPTS = 6
"""How often boto3 sends a request if the service is busy or the connection breaks."""
SHOWN = 300
"""How many characters of a service's error message are shown."""

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedException")
_BAD_CREDENTIALS = (
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
"""The messages of these may quote the request, with its session token."""
_SECRET = ("access-key-id", "secret-access-key", "session-token")


class Service:
    """One AWS service that keeps a catalog. Its errors are shown without secrets."""

    def __init__(self, catalog: str, service: str, properties: Mapping[str, str]) -> None:
        """Sends no request. ``service``: boto3's name, with which pyiceberg's properties begin, as in ``glue.region``;
        ``client.region`` is used next, then boto3's own configuration. Raises ConfigError."""
        self._catalog, self._service, self._properties = catalog, service, properties
        url = properties.get(f"{service}.endpoint")
        if url:
            check_endpoint(url, f"{service}.endpoint of catalog {catalog!r}")
        try:
            session = boto3.Session(
                profile_name=self._property("profile-name"),
                region_name=self._property("region"),
                aws_access_key_id=self._property("access-key-id"),
                aws_secret_access_key=self._property("secret-access-key"),
                aws_session_token=self._property("session-token"),
            )
            retries = {"mode": "standard", "max_attempts": ATTEMPTS}
            config = Config(connect_timeout=10, read_timeout=60, retries=retries)
            self.client: Any = session.client(service, endpoint_url=url, config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                f"The {service} client of catalog {catalog!r} cannot be set up: {self._shown(str(error))}.",
                next_move=f"Check {service}.region, {service}.profile-name and the other properties of the catalog.",
            ) from None
        self.endpoint = str(self.client.meta.endpoint_url)
        """The endpoint in use. Contains no secret."""
        check_endpoint(self.endpoint, f"The endpoint of {service} in the environment or profile")

    def _property(self, key: str) -> str | None:
        return self._properties.get(f"{self._service}.{key}") or self._properties.get(f"client.{key}")

    @property
    def _check_endpoint(self) -> str:
        service = self._service
        return (
            f"Check {service}.endpoint, {service}.region, the credentials and the network. Without {service}.endpoint, "
            "boto3 uses AWS_ENDPOINT_URL, which may be meant for an S3 server: set AWS_ENDPOINT_URL_S3 instead."
        )

    @contextmanager
    def errors(self, place: str) -> Iterator[None]:
        """Raises CatalogError instead of botocore's errors. ``place``: what the request was for, such as "table
        db.t"."""
        try:
            yield
        except ClientError as error:
            raise self._refused(place, error) from None
        except (KeyError, ResponseParserError) as error:
            raise CatalogError(
                f"Catalog {self._catalog!r}: {self.endpoint} gave an answer for {place} that is not one of "
                f"{self._service}: {self._shown(f'{type(error).__name__} {error}')}.",
                next_move=self._check_endpoint,
            ) from None
        except (BotoCoreError, ValueError) as error:  # ValueError: boto3 could not read the answer
            raise CatalogError(
                f"Catalog {self._catalog!r} ({self.endpoint}) did not answer for {place}: {self._shown(str(error))}.",
                next_move=self._check_endpoint,
            ) from None

    def send(self, place: str, operation: str, tolerated: Sequence[str], **arguments: Any) -> Mapping[str, Any] | None:
        """The answer to one request; None for an error with one of the ``tolerated`` codes. Raises CatalogError for any
        other. ``place`` as in :meth:`errors`."""
        with self.errors(place):
            try:
                answer: Mapping[str, Any] = getattr(self.client, operation)(**arguments)
            except ClientError as error:
                if code_of(error) not in tolerated:
                    raise
                return None
        return answer

    def _refused(self, place: str, error: ClientError) -> CatalogError:
        code, action = code_of(error), f"{self._service}:{error.operation_name}"
        if code in _BAD_CREDENTIALS:
            return CatalogError(
                f"Catalog {self._catalog!r} ({self.endpoint}) refuses the credentials ({code}).",
                next_move="Check the access key and the session token, which may have expired.",
            )
        said = self._shown(str(error.response.get("Error", {}).get("Message", "")))
        reason = f"{code}: {said}" if said else code
        if code in _DENIED:
            move = f"Allow the IAM action {action} on it."
            if self._service == "glue":
                move += " If Lake Formation controls access to it, grant the permission there, too."
            return CatalogError(
                f"Catalog {self._catalog!r} does not allow {action} on {place} ({reason}).", next_move=move
            )
        return CatalogError(
            f"Catalog {self._catalog!r} ({self.endpoint}): {action} of {place} failed ({reason}).",
            next_move=self._check_endpoint if code.isdigit() else "",  # an answer without an error code of the service
        )

    def _shown(self, text: str) -> str:
        """The beginning of a text of boto3 or of the service, in one line, without the configured secrets."""
        for secret in filter(None, map(self._property, _SECRET)):
            text = text.replace(secret, "***")
        return redacted(" ".join(text.split()))[:SHOWN].rstrip(".")


def code_of(error: ClientError) -> str:
    """The code of an error, such as EntityNotFoundException; "" if the answer has none."""
    return str(error.response.get("Error", {}).get("Code", ""))
