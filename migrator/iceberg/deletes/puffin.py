"""Deletion vectors in Puffin files: map the paths in the footer, and leave the blobs where they are.

Manifest entries point to blobs by offset and length (fields 144, 145), so nothing before the footer changes.
Format: Iceberg Puffin spec. Some writers wrote a bare deletion vector without a Puffin file around it; such a
file has no path and stays as it is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import lz4.frame

from migrator.errors import Unreadable
from migrator.iceberg import Mapping, bounds
from migrator.iceberg.deletes.rows import RewrittenDeletes
from migrator.iceberg.json_text import Object, Token, parse, replace_strings
from migrator.iceberg.manifests import DeleteFile

MAGIC = b"PFA1"
DELETION_VECTOR = "deletion-vector-v1"
_REFERENCED = "referenced-data-file"
_VECTOR_MAGIC = b"\xd1\xd3\x39\x64"
_COMPRESSED = b"\x01\x00\x00\x00"
_FLAGS = (b"\x00\x00\x00\x00", _COMPRESSED)


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob, as the footer describes it. Offset and length in bytes of the file."""

    type: str
    offset: int
    length: int
    referenced_data_file: str | None
    """The data file that a deletion vector deletes from; None for other blobs, and if the footer does not name it."""


def rewrite(data: bytes, mapping: Mapping, place: str) -> RewrittenDeletes:
    """See :func:`migrator.iceberg.deletes.rewrite_deletes`."""
    if is_bare(data):
        _check_bare(data, place)
        return RewrittenDeletes(data, DeleteFile(len(data), None, None), 0)
    footer = _Footer(data, place)
    unmapped = 0

    def edit(token: Token) -> str | None:
        nonlocal unmapped
        match token.path:
            case ("blobs", int(index), "properties", "referenced-data-file"):
                if footer.blobs[index].referenced_data_file is not None:
                    new = mapping(token.value)
                    unmapped += new is None
                    return new
        return None

    text = replace_strings(footer.text, edit)
    if text is not footer.text:
        payload = _compressed(text.encode()) if footer.compressed else text.encode()
        size = len(payload).to_bytes(4, "little", signed=True)
        data = b"".join((data[: footer.start], MAGIC, payload, size, data[-8:]))
    return RewrittenDeletes(data, DeleteFile(len(data), None, None), unmapped)


def paths(data: bytes, place: str) -> set[str]:
    """See :func:`migrator.iceberg.deletes.delete_paths`."""
    return {b.referenced_data_file for b in blobs(data, place) if b.referenced_data_file is not None}


def blobs(data: bytes, place: str) -> list[Blob]:
    """The blobs of the file, in the order of the footer. Raises Unreadable if it is damaged."""
    if is_bare(data):
        _check_bare(data, place)
        return [Blob(DELETION_VECTOR, 0, len(data), None)]
    return _Footer(data, place).blobs


# --- a deletion vector without a Puffin file -----------------------------------------------------------


def is_bare(data: bytes) -> bool:
    """True if the bytes begin like a deletion vector and not like a Puffin file."""
    return data[4:8] == _VECTOR_MAGIC


def _check_bare(data: bytes, place: str) -> None:
    # Length of magic and vector, magic, vector, checksum of magic and vector; both numbers big-endian.
    if int.from_bytes(data[:4], "big") != len(data) - 8:
        raise Unreadable(place, "its deletion vector does not have the length that it announces")
    if zlib.crc32(data[4:-4]) != int.from_bytes(data[-4:], "big"):
        raise Unreadable(place, "its deletion vector does not have its checksum")


# --- the footer ----------------------------------------------------------------------------------------


class _Footer:
    """The end of a Puffin file: magic, payload, payload size (signed, little-endian), flags, magic."""

    def __init__(self, data: bytes, place: str) -> None:
        if not data.startswith(MAGIC) or len(data) < 20 or not data.endswith(MAGIC):
            raise Unreadable(place, "it is no complete Puffin file")
        size = int.from_bytes(data[-12:-8], "little", signed=True)
        self.start = len(data) - size - 16
        if size < 0 or self.start < len(MAGIC) or not data.startswith(MAGIC, self.start):
            raise Unreadable(place, f"its Puffin footer does not have the {size} bytes that it announces")
        flags = data[-8:-4]
        if flags not in _FLAGS:
            raise Unreadable(place, f"its Puffin footer has the unknown flags {flags.hex()}")
        self.compressed = flags == _COMPRESSED
        payload = data[-12 - size : -12]
        if self.compressed:
            payload = _decompressed(payload, place)
        try:
            self.text = payload.decode()
        except UnicodeDecodeError as fault:
            raise Unreadable(place, f"its Puffin footer is not UTF-8: {fault.reason} at byte {fault.start}") from fault
        top = Object(parse(self.text, place), place, "")
        top.get("blobs", list)
        self.blobs = [self._blob(blob) for blob in top.objects("blobs")]

    def _blob(self, of: Object) -> Blob:
        kind, offset, length = of.text("type"), of.integer("offset"), of.integer("length")
        if offset < len(MAGIC) or length < 0 or offset + length > self.start:
            raise Unreadable(of.place, f"{of.label}offset and length lie outside of the file's blobs")
        # Readers find a vector by its manifest entry, so a vector without the property is valid.
        path = of.object("properties").optional_text(_REFERENCED) if kind == DELETION_VECTOR else None
        return Blob(kind, offset, length, path)


# --- LZ4 -----------------------------------------------------------------------------------------------


def _decompressed(frame: bytes, place: str) -> bytes:
    """The content of one LZ4 frame that records its content size, as the Puffin spec demands."""
    size = _content_size(frame)
    if not size:
        raise Unreadable(place, "its Puffin footer is no LZ4 frame with a content size")
    if size > min(255 * len(frame), bounds.FOOTER_BYTES):  # LZ4 cannot compress better
        raise Unreadable(place, f"its Puffin footer announces {size} bytes")
    decompressor = lz4.frame.LZ4FrameDecompressor()
    try:
        text: bytes = decompressor.decompress(frame, max_length=size + 1)
    except RuntimeError as fault:
        raise Unreadable(place, f"its Puffin footer cannot be decompressed: {fault}") from fault
    if not decompressor.eof or decompressor.unused_data:
        raise Unreadable(place, "its Puffin footer cannot be decompressed: it is not exactly one LZ4 frame")
    return text


def _content_size(frame: bytes) -> int:
    """The size in bytes that the header of the frame records; 0 if it records none or is damaged."""
    try:
        size: int = lz4.frame.get_frame_info(frame)["content_size"]
    except RuntimeError:
        return 0
    return size


def _compressed(text: bytes) -> bytes:
    frame: bytes = lz4.frame.compress(text, store_size=True)
    return frame
