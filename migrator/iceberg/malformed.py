"""The error of the readers of binary formats. It has no file name; the caller adds it."""

from __future__ import annotations


class Malformed(Exception):
    """The bytes do not follow their format's specification or schema; the message says what is wrong."""
