"""The settings of real buckets are in the plan of a lake. Buckets without settings add nothing."""

from __future__ import annotations

import json
from typing import Any

from e2e.faults import FaultProxy, Request
from e2e.world import World

OLD, PLAIN, TARGET = "set-old", "set-plain", "set-target"
CODES = ("bucket-settings", "settings-unread", "target-expires", "target-not-encrypted")


def findings(world: World, url: str, name: str) -> dict[str, dict[str, Any]]:
    layout = f'[layout]\n"s3://{OLD}/" = "old/"\n"s3://{PLAIN}/" = "plain/"\n'
    world.config.write_text(f'[source]\nendpoint_url = "{url}"\n[target]\nbucket = "{TARGET}"\n{layout}')
    described = json.loads(world.run("plan", "--config", world.config, "-o", world.folder / name, "--json").stdout)
    return {f["code"] + " " + f["place"]: f for f in described["findings"] if f["code"] in CODES}


def test_settings_of_a_real_server(world: World) -> None:
    client, url = world.client, world.server.endpoint_url
    for bucket in (OLD, PLAIN, TARGET):
        client.create_bucket(Bucket=bucket)
    for bucket in (OLD, PLAIN):
        client.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert findings(world, url, "before.db") == {}
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=TARGET, LifecycleConfiguration={"Rules": [rule]})
    client.put_bucket_encryption(
        Bucket=OLD,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    client.put_bucket_tagging(Bucket=OLD, Tagging={"TagSet": [{"Key": "team", "Value": "bi"}]})
    found = findings(world, url, "after.db")
    assert found.keys() == {
        f"bucket-settings s3://{OLD}/",
        f"target-expires s3://{TARGET}/old/",
        f"target-not-encrypted s3://{OLD}/",
    }
    assert "encryption: SSE-S3; tags: team" in found[f"bucket-settings s3://{OLD}/"]["message"]
    with FaultProxy(url) as proxy:

        def denied(request: Request) -> str | None:
            return "denied" if request.key.strip("/") == PLAIN and "?policy" in request.path else None

        proxy.choose = denied
        unread = findings(world, proxy.url, "denied.db")[f"settings-unread s3://{PLAIN}/"]
        settings = [request for request in proxy.seen if denied(request)]
    assert unread["severity"] == "info" and "s3:GetBucketPolicy" in unread["message"]
    assert len(settings) == 1, "it is asked for once"
