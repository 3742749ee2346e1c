"""JSON files of Iceberg: read them strictly, and replace strings in their text.

The text is edited instead of the parsed document: only the string tokens that change are replaced, so unknown keys, the
order of keys, number text, escapes and white space stay unchanged. The first bytes of a file, not its name, show
whether it is compressed; the new file is compressed in the same way.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import zstandard

from migrator.errors import Unreadable
from migrator.iceberg import bounds
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.unpack import unzstd

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

# --- text and compression --------------------------------------------------------------------------


def is_compressed(data: bytes) -> bool:
    """True if the bytes of a metadata file are compressed. Its name need not show it."""
    return data.startswith((_GZIP_MAGIC, _ZSTD_MAGIC))


def read_text(data: bytes, place: str) -> tuple[str, Callable[[bytes], bytes]]:
    """The text of the file, and the function that compresses a text the same way.

    Raises Unreadable if it is truncated or no UTF-8.
    """
    compress = _verbatim
    try:
        if data.startswith(_GZIP_MAGIC):
            data, compress = _gunzip(data), _gzip
        elif data.startswith(_ZSTD_MAGIC):
            data, compress = unzstd(data), _zstd
        return data.decode(), compress
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, Malformed) as fault:
        raise Unreadable(place, f"it cannot be decompressed: {fault}") from fault
    except UnicodeDecodeError as fault:
        raise Unreadable(place, f"it is not UTF-8: {fault.reason} at byte {fault.start}") from fault
    except MemoryError as fault:
        raise Unreadable(place, "it needs more memory than there is") from fault


def _gunzip(data: bytes) -> bytes:
    most = bounds.unpacked(len(data))
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        out = file.read(most + 1)
    if len(out) > most:
        raise Malformed(f"it unpacks to more than {most:,} bytes")
    return out


def _verbatim(data: bytes) -> bytes:
    return data


def _gzip(data: bytes) -> bytes:
    # Not gzip.compress: zlib's own header has no time and is the same under every version of Python.
    stream = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return stream.compress(data) + stream.flush()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


# --- documents --------------------------------------------------------------------------------------


def parse(text: str, place: str) -> Any:
    """The decoded JSON object. Raises Unreadable if ``text`` is not one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise Unreadable(place, f"it is not JSON: {fault}") from fault
    except MemoryError as fault:
        raise Unreadable(place, "it needs more memory than there is") from fault
    if not isinstance(document, dict):
        raise Unreadable(place, "it is no JSON object")
    return document


_MISSING = object()


def read_object(data: bytes, place: str) -> Object:
    """The JSON object of a metadata file, compressed or not. Raises Unreadable if it is truncated or no JSON object."""
    return Object(parse(read_text(data, place)[0], place), place, "")


class Object:
    """A JSON object whose values must have certain types; null counts as missing.

    All methods raise Unreadable if the value has another type, and, unless they have a default, if it is missing.
    """

    def __init__(self, value: Any, place: str, label: str) -> None:
        if not isinstance(value, dict):
            raise Unreadable(place, f"{label.rstrip('.') or 'the document'} is no JSON object")
        self._value = value
        self.place = place
        self.label = label
        """The path of this object in the document, with a dot at its end: ``snapshots[3].``"""

    def names(self) -> list[str]:
        """The keys, in order."""
        return list(self._value)

    def get(self, key: str, kind: type, default: Any = _MISSING) -> Any:
        """The value of ``key``, which must be of exactly the type ``kind``."""
        value = self._value.get(key)
        if value is None and default is not _MISSING:
            return default
        if value is None:
            raise Unreadable(self.place, f"{self.label}{key} is missing")
        if type(value) is not kind:  # not isinstance: true is no integer
            raise Unreadable(self.place, f"{self.label}{key} is {str(value)[:80]!r}")
        return value

    def integer(self, key: str, default: Any = _MISSING) -> int:
        """An integer."""
        number: int = self.get(key, int, default)
        return number

    def text(self, key: str) -> str:
        """A string."""
        value: str = self.get(key, str)
        return value

    def optional_text(self, key: str) -> str | None:
        """A string; None if it is missing."""
        value: str | None = self.get(key, str, None)
        return value

    def object(self, key: str) -> Object:
        """An object; an empty one if it is missing."""
        return Object(self.get(key, dict, {}), self.place, f"{self.label}{key}.")

    def objects(self, key: str) -> list[Object]:
        """An array of objects; an empty one if it is missing."""
        values = self.get(key, list, [])
        return [Object(v, self.place, f"{self.label}{key}[{i}].") for i, v in enumerate(values)]

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are all strings; an empty one if it is missing."""
        of = self.object(key)
        return {name: of.text(name) for name in of.names()}


# --- the strings in a text --------------------------------------------------------------------------

Path = tuple[str | int, ...]
"""The keys and indexes on the way from the document to one of its values."""


def label(path: Path) -> str:
    """The path as messages show it: ``snapshots[3].manifest-list``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


@dataclass(frozen=True, slots=True)
class Token:
    """A string value in the text of the document: its path, its position, and its text including the quotes."""

    path: Path
    start: int
    text: str

    @property
    def value(self) -> str:
        """The decoded string."""
        return _decoded(self.text)


def _decoded(token: str) -> str:
    """A JSON string. Most have no escapes; decoding these takes a tenth of the time."""
    decoded: str = json.loads(token) if "\\" in token else token[1:-1]
    return decoded


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')


def strings(text: str) -> Iterator[Token]:
    """All string values of a text that is known to be JSON. Keys are no values."""
    path: list[str | int] = []  # its last element: the key or the index in the innermost object or array
    in_key = False
    for found in _TOKEN.finditer(text):
        token = found[0]
        match token:
            case "{":
                path.append("")
                in_key = True
            case "[":
                path.append(0)
            case "}" | "]":
                path.pop()
                in_key = False
            case ",":
                last = path[-1]
                in_key = isinstance(last, str)
                if isinstance(last, int):
                    path[-1] = last + 1
            case ":":
                in_key = False
            case _ if in_key:
                path[-1] = _decoded(token)
            case _:
                yield Token(tuple(path), found.start(), token)


def replace_strings(text: str, edit: Callable[[Token], str | None]) -> str:
    """``text``, known to be JSON, with each string value replaced by what ``edit`` returns; None keeps it.

    The same object if nothing changes.
    """
    pieces: list[str] = []
    kept = 0
    for token in strings(text):
        new = edit(token)
        if new is not None and new != token.value:
            # Escapes keep the style of the writer.
            pieces += text[kept : token.start], json.dumps(new, ensure_ascii="\\u" in token.text)
            kept = token.start + len(token.text)
    return "".join([*pieces, text[kept:]]) if pieces else text
