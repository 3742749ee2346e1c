"""What planning and verifying report about a lake, and what each finding means. Pure data."""

from migrator.findings.codes import (
    ACCEPTABLE,
    AT_MIGRATION,
    BLOCK,
    CODES,
    EXAMPLES,
    INFO,
    UNREADABLE_BEFORE,
    WARN,
    Finding,
    FindingDescription,
    Found,
    counted,
    first_of,
)

__all__ = [
    "ACCEPTABLE",
    "AT_MIGRATION",
    "BLOCK",
    "CODES",
    "EXAMPLES",
    "INFO",
    "UNREADABLE_BEFORE",
    "WARN",
    "Finding",
    "FindingDescription",
    "Found",
    "counted",
    "first_of",
]
