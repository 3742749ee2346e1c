"""Finds what may name an old bucket, and is never changed: a person must look. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from migrator.scripts.found import END, Found, Names, alternatives
from migrator.scripts.uris import SIGNED, is_signed

OTHER_FORM = "an old path in another form: escaped, encoded or cut"
BUCKET_NAME = "the name of an old bucket without a path"
FILE_SYSTEM = "a path for a file system without a scheme"
FOREIGN_URL = "the URL of a server that is not one of the lake's endpoints: give it with --endpoint"
RECORDED = "a path that tables record, and the layout maps"

_CALLS = (
    "open|ls|listdir|glob|find|walk|exists|isdir|isfile|info|du|stat|rm|rm_file|delete|mkdir|mkdirs|makedirs|touch|cat"
    "|cat_file|head|tail|put|get|put_file|get_file|upload|download|cp|copy|mv|move|pipe|read_bytes|read_text|write_bytes"
    "|write_text|checksum|url|sign|get_file_info|open_input_file|open_output_stream|create_dir|delete_dir"
)
_S3_HOST = (
    r"(?:[A-Za-z0-9-]+\.)*(?:[A-Za-z0-9-]*(?:minio|s3|rgw|ceph|seaweed)[A-Za-z0-9-]*)(?:\.[A-Za-z0-9-]+)*(?::\d+)?"
)


def find_doubtful(text: str, names: Names) -> Iterator[Found]:
    """Every such place. What was judged otherwise before may be among them."""
    yield from _other_forms(text, names)
    yield from _foreign_urls(text, names)
    yield from _recorded(text, names)
    for pattern, reason in _patterns(names):
        for match in pattern.finditer(text):
            yield Found(match.start("shown"), match.end("shown"), reason=reason)


def _patterns(names: Names) -> Iterator[tuple[re.Pattern[str], str]]:
    old = names.old_bucket
    quoted = rf"[frbu]{{0,2}}\\?[\"'`](?P<shown>/?{old}[^\"'`\n]*)"
    yield (
        re.compile(
            rf"(?P<shown>[\w-]*bucket[\w-]*\\?[\"']?\]?(?:\s*:\s*str)?\s*(?:=>|==|!=|[:=(,]|\sin\s|\s-eq\s)\s*[(\[{{]?\s*"
            rf"(?:-\s+)?(?:name[\"']?\s*[:=]\s*)?[frbu]{{0,2}}\\?[\"'`]?{old})",
            re.IGNORECASE,
        ),
        BUCKET_NAME,
    )
    yield re.compile(rf"(?P<shown>--[\w-]*bucket[\w-]*\s+[\"']?{old})", re.IGNORECASE), BUCKET_NAME
    yield (
        re.compile(
            rf"(?<![\w.-])(?P<shown>(?:for\s+\w*bucket\w*\s+in\s|[\w-]*buckets[\w-]*[\"']?\s*[=:])[\s\"'(\[{{]*"
            rf"(?:[\w.-]{{1,63}}[\"']?[ ,]+[\"']?){{0,40}}?{old}(?![/(]))",
            re.IGNORECASE,
        ),
        BUCKET_NAME,
    )
    method = (
        r"(?:f?get|f?put|stat|remove|list|copy|select|compose|append)_objects?|Object(?:Summary)?|upload_file(?:obj)?"
    )
    yield re.compile(rf"\.(?:{method}|presigned_\w+)\(\s*{quoted}[\"'`]"), BUCKET_NAME
    file_system = r"(?:\w*fs\w*|s3\w*|minio\w*|filesystem\w*)"
    yield (
        re.compile(rf"(?<![\w])(?:{file_system}|S3FileSystem\([^()\n]*\))\.(?:{_CALLS})\(\s*\[?\s*{quoted}", re.I),
        FILE_SYSTEM,
    )
    yield re.compile(rf"{quoted}[\"'`][^()\n]*\bfilesystem\s*="), FILE_SYSTEM


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
    """An old bucket at a host that seems to be a server of S3: as the first folder, or before the host."""
    rest = r"[^\s\"'`<>\\)\]},;]*"
    hosts = alternatives(urlsplit(endpoint).netloc for endpoint in names.endpoints)
    at_host = rf"(?<![\w.@-])(?:https?://)?(?:{_S3_HOST}|[\w.-]+:90\d\d|{hosts})/{names.old_bucket}{rest}"
    before = (
        rf"(?<![\w.@-])(?:https?://)?(?:{alternatives(names.old_buckets)})\.(?=\w)(?:{_S3_HOST}|{hosts})(?![\w-]){rest}"
    )
    for pattern in (at_host, before):
        for match in re.finditer(pattern, text):
            if "://" in match[0] or ".amazonaws.com" in match[0] or re.match(r"[\w.-]+:\d+/", match[0]):
                yield Found(match.start(), match.end(), reason=SIGNED if is_signed(match[0]) else FOREIGN_URL)


def _recorded(text: str, names: Names) -> Iterator[Found]:
    for rule in names.layout.recorded:
        if rule.target is None:
            continue
        spellings = {rule.prefix, rule.prefix.replace(":///", ":/", 1)}
        for match in re.finditer(f"(?<![A-Za-z0-9./])(?:{alternatives(spellings)}){END}", text):
            yield Found(match.start(), match.end(), reason=RECORDED)


def mentions(data: bytes, names: Names) -> bool:
    """True if bytes that are not text name an old path all the same, also in UTF-16."""
    text = data.replace(b"\0", b"").decode("latin-1")
    return re.search(rf"(?:s3[an]?://|arn:aws[\w-]*:s3:::){names.old_bucket}", text) is not None
