"""Finds S3 URIs, ARNs, and URLs of the lake's endpoints. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from migrator.scripts.commands import trouble_in_command
from migrator.scripts.found import Found, Names, alternatives
from migrator.scripts.paths import PathInText, judge, read_path, template_end

BUCKET_ARN = (
    "the ARN of a whole bucket: actions on a bucket, such as s3:ListBucket, need the ARN of the target bucket and a "
    "condition on s3:prefix"
)
ARN_WILDCARD = "a wildcard in the name of the bucket"
CREDENTIALS = "has credentials before the bucket"
UPPER_CASE = "the scheme is in upper case, which not every program accepts"
SIGNED = "a presigned URL is valid only without changes"
QUERY = "a URL with a query, which may be a request to the bucket"
BUCKET_URL = "the URL of a whole bucket"
OTHER_SERVER = "the target is on another server, under another URL"
DEFAULT_FILE_SYSTEM = "the default file system is a whole bucket, and cannot be a prefix"
JOINED_SCHEME = "the scheme alone, with the bucket joined to it"

# After an escape such as \n in a string, the letter before belongs to the escape.
_SCHEME = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtfv]))(s3[an]?)://", re.IGNORECASE)
_DEFAULT_FILE_SYSTEM = re.compile(r"fs\.default(?:FS|\.name)\W{1,20}(?:(?:name|value)\W{1,20})*$")
_LOOK_BACK = 100
_USERINFO = re.compile(r"[^\s\"'`/@<>]+@")
_ONLY_SCHEME = re.compile(
    r"[\"'`]\s*(?:\+(?!\+)|\|\||\.\s*\$|,\s*(?!f?rom\b)[A-Za-z_$][\w.]*\s*[,)\]+])|[\"'`]?[\"']\$[A-Za-z_{(]"
)
_ARN = re.compile(r"(?<![A-Za-z0-9])arn:aws(?:-cn|-us-gov)?:s3:::")
_URL_REST = re.compile(r"[^\s\"'`<>|\\)\]}]*")
_SIGNATURE = re.compile(r"[?&](?:X-Amz-(?:Signature|Credential)|AWSAccessKeyId|Signature)=", re.IGNORECASE)


def find_uris(text: str, names: Names) -> Iterator[Found]:
    """Every ``s3://``, ``s3a://`` and ``s3n://`` URI, judged."""
    for match in _SCHEME.finditer(text):
        at = match.end()
        if userinfo := _USERINFO.match(text, at):
            if re.match(names.old_bucket, text[userinfo.end() : userinfo.end() + 300]):
                yield Found(match.start(), read_path(text, userinfo.end(), names.layout).end, reason=CREDENTIALS)
            continue
        path = read_path(text, at, names.layout)
        new, reason = judge(path, names)
        if not path.bucket and not path.cut:
            if _ONLY_SCHEME.match(text, at):
                yield Found(match.start(), at, reason=JOINED_SCHEME)
            continue
        if reason:
            yield Found(match.start(), template_end(text, path), reason=reason)
        elif new is not None and match[1] != match[1].lower():
            yield Found(match.start(), path.end, reason=UPPER_CASE)
        elif new is not None and (trouble := _trouble_around(text, match.start(), path, names)):
            yield Found(match.start(), path.end, reason=trouble)
        else:
            yield Found(match.start(), path.end, f"{match[1]}://{new}" if new is not None else None)


def _trouble_around(text: str, start: int, path: PathInText, names: Names) -> str | None:
    """Why a URI that could be mapped is doubtful in its context."""
    if path.bare and _DEFAULT_FILE_SYSTEM.search(text[max(0, start - _LOOK_BACK) : start]):
        return DEFAULT_FILE_SYSTEM
    return trouble_in_command(text, start, path, names)


def find_arns(text: str, names: Names) -> Iterator[Found]:
    """Every ARN of a bucket or of objects, judged."""
    for match in _ARN.finditer(text):
        path = read_path(text, match.end(), names.layout)
        if not path.bucket:
            continue  # arn:aws:s3:::* matches every bucket; a template here may be anything
        new, reason = judge(path, names)
        wildcard = path.key is None and path.cut and text[path.end] in "*?"
        if wildcard and reason is not None:
            yield Found(match.start(), path.end + 1, reason=ARN_WILDCARD)
        elif new is not None and path.bare:
            yield Found(match.start(), path.end, reason=BUCKET_ARN)
        elif reason:
            yield Found(match.start(), template_end(text, path), reason=reason)
        else:
            yield Found(match.start(), path.end, match[0] + new if new is not None else None)


def find_urls(text: str, names: Names) -> Iterator[Found]:
    """Every URL of a configured endpoint, judged: ``http://minio:9000/bronze/x`` and ``http://bronze.minio:9000/x``."""
    for endpoint in names.endpoints:
        url = urlsplit(endpoint.rstrip("/"))
        host = re.escape(url.netloc)
        path_style = re.compile(rf"(?<![A-Za-z0-9])({url.scheme}://{host}{re.escape(url.path)}/)", re.IGNORECASE)
        for match in path_style.finditer(text):
            if (found := _judge_url(text, match.start(), match.end(), names)) is not None:
                yield found
        virtual = re.compile(
            rf"(?<![A-Za-z0-9])({url.scheme}://)({alternatives(names.old_buckets)})\.({host})(?![A-Za-z0-9.:-])",
            re.IGNORECASE,
        )
        for match in virtual.finditer(text):
            if match[2] in names.old_buckets:  # not in upper case
                yield _judge_virtual_host(text, match, names)


def _judge_url(text: str, start: int, at: int, names: Names) -> Found | None:
    path = read_path(text, at, names.layout)
    new, reason = judge(path, names)
    if not path.bucket and (not path.cut or text[at : at + 1] in "?*"):
        return None
    rest = _URL_REST.match(text, at)
    end = rest.end() if rest else at
    url = text[start:end]
    if (new or reason) and (trouble := _trouble(url, names, bare=path.key is None and not path.cut)):
        return Found(start, end, reason=trouble)
    return Found(start, path.end, text[start:at] + new if new is not None else None, reason)


def is_signed(url: str) -> bool:
    """True for a presigned URL."""
    return _SIGNATURE.search(url) is not None


def _trouble(url: str, names: Names, *, bare: bool) -> str | None:
    """Why a URL cannot be mapped although its path can."""
    if is_signed(url):
        return SIGNED
    if "?" in url:
        return QUERY
    if names.other_server:
        return OTHER_SERVER
    return BUCKET_URL if bare else None


def _judge_virtual_host(text: str, match: re.Match[str], names: Names) -> Found:
    """A URL with the bucket in its host. The path is judged like a path after the bucket."""
    rest = _URL_REST.match(text, match.end())
    end = rest.end() if rest else match.end()
    spelled = match[2] + text[match.end() : end + 200]
    path = read_path(spelled, 0, names.layout)
    new, reason = judge(path, names)
    if trouble := _trouble(text[match.start() : end], names, bare=path.key is None):
        return Found(match.start(), end, reason=trouble)
    last = match.end() + path.end - len(match[2])
    if new is None:
        return Found(match.start(), max(last, match.end()), reason=reason)
    bucket, _, key = new.partition("/")
    return Found(match.start(), last, f"{match[1]}{bucket}.{match[3]}/{key}")
