"""Runs an item in a worker process on another machine. The job is made once and kept.

Arguments and results are bytes, so that engines need not know their types.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from migrator.concurrency.processes import as_migrator_error
from migrator.progress.counts import RETRIES

_made: dict[str, Callable[[Any], Any]] = {}
"""The job of this process, by the digest of its ``setup``. At most one."""


def packed(make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> bytes:
    """The ``setup`` from which :func:`do` makes the job."""
    return pickle.dumps((make, arguments))


def do(setup: bytes, item: bytes) -> bytes:
    """Do the job that ``setup`` describes (see :func:`packed`) on a pickled item. The answer is for :func:`answered`.

    Raises nothing: an error is an answer, too. After an error, the job is made again for the next item.
    """
    digest, before = sha256(setup).hexdigest(), RETRIES.total
    try:
        if digest not in _made:
            _forget()
            make, arguments = pickle.loads(setup)
            _made[digest] = make(*arguments)
        result = _made[digest](pickle.loads(item))
        return pickle.dumps((None, result, RETRIES.total - before))
    except Exception as error:
        failed = as_migrator_error(error)
        _forget()
        return pickle.dumps((failed, None, RETRIES.total - before))


def answered(answer: bytes) -> Any:
    """The result in an answer, on the driver. Raises the error in it."""
    error, result, retries = pickle.loads(answer)
    RETRIES.add(retries)
    if error is not None:
        raise error
    return result


def _forget() -> None:
    while _made:
        _, job = _made.popitem()
        close = getattr(job, "close", None)
        if close is not None:
            close()
