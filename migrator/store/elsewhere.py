"""How a process on another machine connects: it has no environment and perhaps no profile of this one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from migrator.store.store import Store

OF_AWS = (".amazonaws.com", ".amazonaws.com.cn")
"""How hosts of AWS end."""


def explicit_connection(store: Store) -> dict[str, Any]:
    """The :attr:`~migrator.store.Store.connection` of a store with the endpoint and the region that this process has
    found, without a secret. An endpoint of AWS is not named: boto3 chooses it by region and bucket."""
    source, target = store.ends
    if source is target:
        host = urlsplit(store.endpoint_url).hostname or ""
        chosen = {} if host.endswith(OF_AWS) else {"endpoint_url": store.endpoint_url}
        return {**store.connection, **chosen, "region": store.region}
    both = {"target": explicit_connection(target), "target_bucket": store.connection["target_bucket"]}
    return {**explicit_connection(source), **both}
