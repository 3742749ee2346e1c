"""Turns the errors of botocore into those of :mod:`migrator.errors`, with the bucket and key in the message."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
import botocore.parsers

from migrator.errors import AccessDenied, NotFound, SourceChanged, StoreError, Unreachable
from migrator.store.answers import Absurd
from migrator.store.outage import GATEWAY

DENIED = frozenset(
    {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
"""Error codes: the credentials are wrong, or do not allow this."""
MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NotFound"})
"""Error codes: the bucket, object, version or upload does not exist."""
CHANGED = frozenset({"412", "PreconditionFailed"})
"""Error codes: a condition of the request (If-Match and the like) is not met."""
OWN_KEY = "form of server side encryption"
"""A server's error message contains this for an object that can only be read with its own key (SSE-C)."""

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""Errors of temporary files on this machine. The server has nothing to do with them."""


def place_of(bucket: str, key: str, version_id: str | None = None) -> str:
    """How messages name an object, or one version of it."""
    return f"s3://{bucket}/{key}" + (f" (version {version_id})" if version_id is not None else "")


def error_code(error: botocore.exceptions.ClientError) -> str:
    """S3's code of an error; the HTTP status if the answer has no code, "" if it has neither."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: botocore.exceptions.ClientError) -> bool:
    """True if S3 says that something does not exist. A 404 without a code counts only for a HEAD, whose answer has no
    body: for any other request it is the error page of a proxy."""
    code = error_code(error)
    return code in MISSING and (code != "404" or error.operation_name.startswith("Head"))


def status_of(error: StoreError) -> int:
    """The HTTP status of the answer that the error is about; 0 if it is about none."""
    response = getattr(error.__cause__, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def translated_errors(place: str, endpoint_url: str) -> Iterator[None]:
    """Raises errors of ours instead of botocore's. ``place``: what the request was for, as in "s3://bucket/key"."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _of_answer(place, error, endpoint_url) from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise no_credentials() from error
    except botocore.exceptions.ParamValidationError as error:
        raise StoreError(f"{place}: boto3 sends no such request: {error}.") from error
    except KeyError as error:
        raise StoreError(f"{place}: the server's answer lacks {error}.", next_move="Run it again.") from error
    except (Absurd, botocore.parsers.ResponseParserError) as error:
        raise not_of_s3(place, endpoint_url, error) from error
    except botocore.exceptions.HTTPClientError as error:
        if isinstance(error.kwargs.get("error"), Absurd):
            raise not_of_s3(place, endpoint_url, error.kwargs["error"]) from error
        raise _unreachable(place, endpoint_url, error) from error
    except (ValueError, OverflowError) as error:  # boto3 could not read a number or a date
        raise not_of_s3(place, endpoint_url, f"{type(error).__name__}: {error}") from error
    except (botocore.exceptions.BotoCoreError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _FULL_DISK:
            raise StoreError(
                f"{place}: this machine cannot go on: {error.strerror}.",
                next_move=f"Make room in {tempfile.gettempdir()}, where temporary files go, or set TMPDIR.",
            ) from error
        raise _unreachable(place, endpoint_url, error) from error


def no_credentials() -> AccessDenied:
    """The error for a missing access key."""
    move = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    return AccessDenied("No AWS credentials were found.", next_move=move)


def not_of_s3(place: str, endpoint: str, reason: object) -> StoreError:
    """The error for an answer of ``endpoint`` that is not an answer of S3."""
    return StoreError(
        f"{place}: {endpoint} gave an answer that is not S3's: {reason}.",
        next_move="Check the endpoint and any proxy or login page in front of it, then run it again.",
    )


def _unreachable(place: str, endpoint_url: str, error: Exception) -> Unreachable:
    return Unreachable(
        f"{endpoint_url} did not answer for {place}: {error}.",
        next_move="Check the endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, for the target also "
        "--target-endpoint-url) and the network.",
    )


def _of_answer(place: str, error: botocore.exceptions.ClientError, endpoint_url: str) -> StoreError:
    """The error for an answer with an error status."""
    code = error_code(error)
    reason = error.response.get("Error", {}).get("Message") or code
    if code in CHANGED:
        return SourceChanged(f"{place} changed since planning.")
    if not code or (code.isdigit() and code not in DENIED | CHANGED and not is_missing(error)):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        reason = f"{error.operation_name} got the status {status} and no error code"
        if status in GATEWAY:
            return Unreachable(f"{endpoint_url} did not answer for {place}: {reason}.", next_move="Is the server up?")
        return not_of_s3(place, endpoint_url, reason)
    if is_missing(error):
        return NotFound(f"{place} does not exist ({code}).")
    if code in DENIED:
        return AccessDenied(
            f"{place}: access denied ({code}: {reason}).",
            next_move="Check the credentials and their permissions.",
        )
    return StoreError(f"{place}: {error.operation_name} failed ({code}: {reason}).", next_move=_move(code, reason))


def _move(code: str, reason: str) -> str:
    """What to do about an object that the server returns to nobody in its present state; "" for other errors."""
    if code == "InvalidObjectState":
        return "It lies in an archive: restore it and plan again, or leave its folder where it is with a rule = false."
    if OWN_KEY in reason.lower():
        return (
            "It is encrypted with a key that its owner sends along (SSE-C): leave its folder where it is with a "
            "rule = false, and copy it with a tool that has the key."
        )
    return ""
