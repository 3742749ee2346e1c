"""Finds text that may name an old bucket and is never changed: a person must check it. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from migrator.scripts.found import END, Found, Names, alternatives
from migrator.scripts.uris import SIGNED, is_signed

OTHER_FORM = "an old path in another form: escaped, encoded or truncated"
BUCKET_NAME = "the name of an old bucket without a path"
FILE_SYSTEM = "a path for a file system without a scheme"
FOREIGN_URL = "the URL of a server that is not one of the lake's endpoints: give it with --endpoint"
RECORDED = "a path that tables record, and the layout maps"

_CALLS = (
    "open|ls|listdir|glob|find|walk|exists|isdir|isfile|info|du|stat|rm|rm_file|delete|mkdir|mkdirs|makedirs|touch|cat"
    "|cat_file|head|tail|put|get|put_file|get_file|upload|download|cp|copy|mv|move|pipe|read_bytes|read_text|write_bytes"
    "|write_text|checksum|url|sign|get_file_info|open_input_file|open_output_stream|create_dir|delete_dir"
)
_S3_HOST = re.compile(r"minio|s3|rgw|ceph|seaweed|:90\d\d$", re.IGNORECASE)
"""Parts of host names that suggest an S3 server, or the usual port of MinIO."""


def find_doubtful(text: str, names: Names) -> Iterator[Found]:
    """Every such place, also places that other finders have already judged."""
    yield from _other_forms(text, names)
    yield from _foreign_urls(text, names)
    yield from _recorded(text, names)
    for pattern, reason in _patterns(names):
        for match in pattern.finditer(text):
            yield Found(match.start("shown"), match.end("shown"), reason=reason)


def _patterns(names: Names) -> Iterator[tuple[re.Pattern[str], str]]:
    old = names.old_bucket
    quoted = rf"[frbu]{{0,2}}\\?[\"'`](?P<shown>/?{old}[^\"'`\n]{{0,300}})"
    yield (
        re.compile(
            rf"(?<![\w-])(?P<shown>[\w-]{{0,80}}bucket[\w-]{{0,80}}\\?[\"']?\]?(?:\s*:\s*str)?\s*(?:=>|==|!=|[:=(,]|\sin\s|\s-eq\s)\s*[(\[{{]?\s*"
            rf"(?:-\s+)?(?:name[\"']?\s*[:=]\s*)?[frbu]{{0,2}}\\?[\"'`]?{old})",
            re.IGNORECASE,
        ),
        BUCKET_NAME,
    )
    yield (
        re.compile(rf"(?<![\w-])(?P<shown>--[\w-]{{0,80}}bucket[\w-]{{0,80}}\s+[\"']?{old})", re.IGNORECASE),
        BUCKET_NAME,
    )
    yield (
        re.compile(
            rf"(?<![\w.-])(?P<shown>(?:for\s+\w{{0,80}}bucket\w{{0,80}}\s+in\s|[\w-]{{0,80}}buckets[\w-]{{0,80}}[\"']?\s*[=:])[\s\"'(\[{{]*"
            rf"(?:[\w.-]{{1,63}}[\"']?[ ,]+[\"']?){{0,40}}?{old}(?![/(]))",
            re.IGNORECASE,
        ),
        BUCKET_NAME,
    )
    method = (
        r"(?:f?get|f?put|stat|remove|list|copy|select|compose|append)_objects?|Object(?:Summary)?|upload_file(?:obj)?"
    )
    yield re.compile(rf"\.(?:{method}|presigned_\w+)\(\s*{quoted}[\"'`]"), BUCKET_NAME
    file_system = r"(?:\w{0,40}fs\w{0,40}|s3\w{0,40}|minio\w{0,40}|filesystem\w{0,40})"
    yield (
        re.compile(
            rf"(?<![\w])(?:{file_system}|S3FileSystem\([^()\n]{{0,300}}\))\.(?:{_CALLS})\(\s*\[?\s*{quoted}", re.I
        ),
        FILE_SYSTEM,
    )
    yield re.compile(rf"{quoted}[\"'`][^()\n]{{0,300}}\bfilesystem\s*="), FILE_SYSTEM


def _other_forms(text: str, names: Names) -> Iterator[Found]:
    """A scheme, any kind and number of slashes, and the name of an old bucket; or credentials between them."""
    slash = r"(?:\\*/|%2F|%252F|\\u002[fF]|\\x2[fF]|&#x?2[fF7];)"
    colon = r"(?::|%3A|%253A|\\u003[aA]|\\x3[aA]|\\:)"
    pattern = rf"s3[an]?{colon}{slash}{{1,3}}(?P<name>{names.old_bucket})"
    for match in re.finditer(pattern, text, re.IGNORECASE):
        if match["name"] in names.old_buckets:
            end = re.compile(r"[^\s\"'`<>,;)]{0,120}").match(text, match.end())
            yield Found(match.start(), end.end() if end else match.end(), reason=OTHER_FORM)


def _foreign_urls(text: str, names: Names) -> Iterator[Found]:
    """An old bucket in the URL of a host that seems to be an S3 server: as the first folder, or before the host."""
    host = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::\d{1,5})?)"
    rest = r"[^\s\"'`<>\\)\]},;]*"
    start = r"(?<![\w.@-])(?P<scheme>https?://)?"
    at_host = rf"{start}{host}/{names.old_bucket}{rest}"
    before = rf"{start}(?:{alternatives(names.old_buckets)})\.{host}(?![\w-]){rest}"
    known = {urlsplit(endpoint).netloc for endpoint in names.endpoints}
    for pattern in (at_host, before):
        for match in re.finditer(pattern, text):
            of_s3 = match["host"] in known or _S3_HOST.search(match["host"])
            if of_s3 and (match["scheme"] or ".amazonaws.com" in match["host"] or ":" in match["host"]):
                yield Found(match.start(), match.end(), reason=SIGNED if is_signed(match[0]) else FOREIGN_URL)


def _recorded(text: str, names: Names) -> Iterator[Found]:
    for rule in names.layout.recorded:
        if rule.target is None:
            continue
        spellings = {rule.prefix, rule.prefix.replace(":///", ":/", 1)}
        for match in re.finditer(f"(?<![A-Za-z0-9./])(?:{alternatives(spellings)}){END}", text):
            yield Found(match.start(), match.end(), reason=RECORDED)


def mentions(data: bytes, names: Names) -> bool:
    """True if bytes that are not UTF-8 text name an old path, for example in UTF-16."""
    text = data.replace(b"\0", b"").decode("latin-1")
    return re.search(rf"(?:s3[an]?://|arn:aws[\w-]*:s3:::){names.old_bucket}", text) is not None
