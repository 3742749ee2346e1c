"""How a process connects, and how it copies. It can be pickled, so that other processes get it, too: children of this
one, and workers on other machines. It contains no secret: each process finds its credentials itself."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Any

from migrator.copying.copier import Copier
from migrator.copying.options import Options
from migrator.errors import MigrationFailed
from migrator.store import Store, explicit_connection


@dataclass(frozen=True, slots=True)
class Setup:
    """How a process connects, and how it copies. ``source`` and ``target``: :attr:`migrator.store.Store.connection` of
    both stores; ``target`` is None if both are one store. ``reached``: the endpoints that the process must find there,
    in this order; () for a child process, which has the environment of its parent."""

    source: dict[str, Any]
    target: dict[str, Any] | None
    bucket: str
    options: Options
    reached: tuple[str, ...] = ()

    def copier(self) -> Copier:
        """Connect, and make a copier. Raises MigrationFailed if an endpoint is not that of ``reached``."""
        source = Store(**self.source)
        target = source if self.target is None else Store(**self.target)
        for store, endpoint in zip((source, target), self.reached, strict=False):
            if store.endpoint_url != endpoint:
                raise MigrationFailed(
                    f"The worker on {socket.gethostname()} reaches {store.endpoint_url}, and the driver {endpoint}.",
                    next_move="Name the endpoint in the plan: [source] and [target] endpoint_url in lake.toml.",
                )
        for store in (source, target):
            store.wait_from_first_request()  # the process that hands out the work has reached both servers
        return Copier(source, target, self.bucket, self.options)

    def elsewhere(self, stores: tuple[Store, Store]) -> Setup:
        """The same for a machine with another environment. ``stores``: the stores that ``source`` and ``target``
        describe."""
        source, target = stores
        return replace(
            self,
            source=explicit_connection(source),
            target=None if self.target is None else explicit_connection(target),
            reached=(source.endpoint_url, target.endpoint_url),
        )
