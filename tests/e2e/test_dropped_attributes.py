"""The target is another server, which does not keep every attribute of an object: the plan and the migration say
which, of how many objects, and name one. No request is sent for each object because of it."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.faults import FaultProxy
from e2e.test_migration import documented_keys, keys_of
from e2e.test_two_servers import MIB, Two, two_servers, without_target
from migrator.store import Store, probe_dropped

GIVEN: dict[str, Any] = {
    "CacheControl": "max-age=7",
    "ContentLanguage": "de",
    "ContentType": "text/plain; charset=latin-1",
    "Metadata": {"owner": "bi"},
    "Tagging": "team=a",
}
NAMES = {
    "cache-control": "cache-control",
    "content-language": "content-language",
    "x-amz-meta-owner|x-amz-meta-kept": "x-amz-meta-*",
    "x-amz-website-redirect-location": "x-amz-website-redirect-location",
}
"""Headers that the target drops → what the messages call them."""
ALWAYS = {"x-amz-website-redirect-location", "x-amz-meta-* with an empty value"}
"""What SeaweedFS drops."""


class Forgetful(FaultProxy):
    """A server that does not keep these headers (a regular expression): its answers lack them."""

    def __init__(self, upstream: str, headers: str) -> None:
        super().__init__(upstream)
        self._lost = re.compile(rb"(?i)\r\n(?:%b):[^\r]*" % headers.encode())

    def _answer(self, client: socket.socket, kind: str | None, head: bytes, body: bytes) -> bool:
        return super()._answer(client, kind, self._lost.sub(b"", head), body)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two_servers(tmp_path_factory.mktemp("two")) as two:
        yield two


@pytest.fixture
def two(servers: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    servers = without_target(servers, tmp_path, monkeypatch)
    servers.new.client.create_bucket(Bucket="data-lake")
    return servers


@pytest.mark.parametrize("lean", [True, False], ids=["lean", "boto3"])
@pytest.mark.parametrize("header", NAMES)
def test_the_plan_and_the_migration_name_it(two: Two, header: str, lean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the object is copied: in one request, in parts, or by boto3."""
    if not lean:
        monkeypatch.setattr(Store, "endpoint", lambda _: None)
    keys = {"odd/small": b"x", "odd/large": bytes(20 * MIB), "odd/empty": b""}
    with Forgetful(two.new.server.endpoint_url, header) as proxy:
        url = two.new.server.endpoint_url
        two.old.config.write_text(two.old.config.read_text().replace(url, proxy.url))
        try:
            for key, data in keys.items():
                two.old.client.put_object(Bucket="gold", Key=key, Body=data, **GIVEN)
            plan = two.old.plan()
            described = json.loads(two.old.run("show", plan, "--json").stdout)
            before = Counter(request.operation for request in proxy.seen)
            done = json.loads(two.old.run("migrate", plan, "--yes", "--json").stdout)
        finally:
            for key in keys:
                two.old.client.delete_object(Bucket="gold", Key=key)
        found = [f for f in described["findings"] if (f["code"], f["severity"]) == ("attributes-dropped", "warn")]
        kind = NAMES[header]
        if kind in ALWAYS:  # the old server has no object with it
            assert not found and done["copy"]["dropped"] == []
            return
        (finding,) = (f for f in found if f["place"] == "s3://gold/")
        with_it = len(keys) if kind != "x-amz-meta-*" else len(keys) + 60  # the lake has others with metadata
        assert (
            len(keys) <= finding["count"] <= with_it and kind in finding["message"] and "such as" in finding["message"]
        )
        (lost,) = done["copy"]["dropped"]
        assert (lost["attribute"], lost["objects"]) == (kind, with_it) and lost["example"].startswith("s3://")
        assert keys_of(done) <= documented_keys()
        asked = Counter(request.operation for request in proxy.seen) - before
        assert not lean or asked["HeadObject"] < done["copied_objects"] / 2


def test_nothing_is_said_if_nothing_is_lost(two: Two) -> None:
    plan = two.old.plan()
    found = json.loads(two.old.run("show", plan, "--json").stdout)["findings"]
    (sampled,) = [finding for finding in found if finding["code"] == "attributes-dropped"]
    assert sampled["severity"] == "info" and "only a sample" in sampled["message"]
    assert " lost " not in two.old.run("migrate", plan, "--yes", "--no-cutover").stdout


def test_what_a_server_drops_is_found_by_trying(two: Two) -> None:
    """Its own losses, and those of a server that refuses some attributes, and keeps others."""
    store = two.store()
    assert probe_dropped(store, "data-lake").objects == ALWAYS
    with Forgetful(two.new.server.endpoint_url, "x-amz-tagging-count|expires|content-type") as proxy:
        ends = store.ends[1].connection | {"endpoint_url": proxy.url}
        found = probe_dropped(Store(**ends), "data-lake")
    assert found.objects == ALWAYS | {"expires", "content-type with parameters"} and found.content
    assert not [entry.key for entry in store.list("data-lake")]
