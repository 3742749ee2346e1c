"""How a process on another machine connects: it has no environment and perhaps no profile of this one."""

from __future__ import annotations

from typing import Any

from migrator.store.endpoints import is_of_aws
from migrator.store.store import Store


def explicit_connection(store: Store) -> dict[str, Any]:
    """The :attr:`~migrator.store.Store.connection` of a store with the endpoint and the region that this process has
    found, without a secret. An endpoint of AWS is not named: boto3 chooses it by region and bucket."""
    source, target = store.ends
    if source is target:
        chosen = {} if is_of_aws(store.endpoint_url) else {"endpoint_url": store.endpoint_url}
        return {**store.connection, **chosen, "region": store.region}
    both = {"target": explicit_connection(target), "target_bucket": store.connection["target_bucket"]}
    return {**explicit_connection(source), **both}
