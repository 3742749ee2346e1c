"""The parts of a finding's explanation. Pure data."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """Full sentences. ``example`` may have several lines: configuration or commands."""

    why: str
    what_to_do: str
    example: str = ""
