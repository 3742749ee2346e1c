"""When copies are compared with their sources, and the limit of failures.

The command line imports this module, so it imports nothing.
"""

from __future__ import annotations

AUTO, ALWAYS, NEVER = VERIFY = ("auto", "always", "never")
"""When a copy and its source are read and compared; see :class:`~migrator.copying.options.Options`."""

MAX_FAILURES = 100
"""A run that fails this often is stopped: a missing permission would fail for every object."""
