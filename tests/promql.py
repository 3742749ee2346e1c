"""Which metrics an expression of PromQL names."""

from __future__ import annotations

import re

_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`")
_MATCHERS = re.compile(r"\{[^}]*\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.$])[A-Za-z_:][\w:]*(?!\s*\()(?![\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end", "group_left", "group_right"}


def metrics_in(expression: str) -> set[str]:
    """The names of all metrics. Raises ValueError for a name that is given as a label, which this function does not
    read."""
    if "__name__" in expression:
        raise ValueError(f"{expression}: the name of a metric must stand before its labels")
    text = _STRING.sub('""', expression)
    for part in (_MATCHERS, _RANGE, _LABELS):
        text = part.sub(" ", text)
    return {name for name in _NAME.findall(text) if name.lower() not in _WORDS}
