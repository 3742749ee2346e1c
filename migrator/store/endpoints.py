"""Which URLs can be endpoints. Pure. A URL that contains credentials is refused, and never shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from migrator.errors import ConfigError

_ENDPOINT = re.compile(r"https?://[^/?#@\s\\]+(/[^?#@\s\\]*)?", re.IGNORECASE)
_USERINFO = re.compile(r"^(?!(?:abfs|wasb)s?://[^/@:]*@)([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@")


def check_endpoint(url: str, where: str) -> None:
    """Raises ConfigError unless this can be an S3 endpoint. ``where``: the setting that it is from, as in
    "[source] endpoint_url"."""
    if _ENDPOINT.fullmatch(url):
        return
    if any(mark in url for mark in "@?#"):  # not shown: any part of it may be a secret
        raise ConfigError(
            f"{where} contains more than a server's address: a user, a password or a query.",
            next_move="Write it as http://host:port. Credentials come from AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY.",
        )
    raise ConfigError(f"{where} is no endpoint URL: {url!r}.", next_move="Write it as http://host:port.")


def is_of_aws(url: str) -> bool:
    """True if an endpoint URL belongs to AWS."""
    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def without_userinfo(uri: str) -> str:
    """A URI without the user and password that old Hadoop versions let people write before the bucket."""
    return _USERINFO.sub(r"\1", uri)
