"""Settings that apply to a bucket as a whole. If the old buckets differ, the user chooses one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from migrator.errors import first_names
from migrator.settings.compare import same
from migrator.settings.kinds import (
    ACL,
    CORS,
    ENABLED,
    ENCRYPTION,
    KEEP,
    LOCK,
    LOGGING,
    MALFORMED,
    OWNERSHIP,
    PUBLIC,
    QUOTA,
    REPLICATION,
    SSE_S3,
    TAGS,
    UNKNOWN_FORM,
    VERSIONING,
    WEBSITE,
    Document,
    Lake,
    NotCarried,
    Notes,
    mappings,
    plain,
)

MOST_TAGS, MOST_CORS_RULES = 50, 100
NAMED = 3
"""How many buckets a reason names."""
_STRENGTH = {"": 0, "AES256": 1, "aws:kms": 2, "aws:kms:dsse": 3}
_LEFT_OUT = {
    PUBLIC: "it is one for the whole bucket; set it on the target yourself",
    ACL: "access control lists are not carried over: write what they allow as statements of the policy",
    OWNERSHIP: "it is one for the whole bucket; set it on the target yourself",
    REPLICATION: "objects that exist already are not replicated by new rules; set it up again, with prefixes",
    WEBSITE: "a bucket serves one website, at its root; set it up again",
    LOGGING: "it is one for the whole bucket; set it on the target yourself",
}
"""Setting that is never carried over → the reason."""


# -- encryption --------------------------------------------------------------------------------------------


def encryption(algorithm: str, key: str = "", bucket_key: bool = False) -> dict[str, Any]:
    """The document of a default encryption."""
    default = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key} if key else {})}
    rule = {"ApplyServerSideEncryptionByDefault": default, **({"BucketKeyEnabled": True} if bucket_key else {})}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def decided_encryption(decision: str) -> dict[str, Any]:
    """The document for the value of ``--encryption``."""
    kind, _, key = decision.partition(":")
    return encryption("AES256") if kind == SSE_S3 else encryption("aws:kms", key)


def algorithm_of(document: Document | None) -> tuple[str, str, bool]:
    """The algorithm, the key and whether keys are per bucket. Raises what a malformed document raises, or KeyError for
    an unknown algorithm."""
    if not document:
        return "", "", False
    rule = mappings(document["ServerSideEncryptionConfiguration"]["Rules"])[0]
    default = rule["ApplyServerSideEncryptionByDefault"]
    found = str(default["SSEAlgorithm"]), str(default.get("KMSMasterKeyID") or ""), bool(rule.get("BucketKeyEnabled"))
    _STRENGTH[found[0]]
    return found


def translate_encryption(lake: Lake, notes: Notes) -> Document | None:
    """One default for the whole target."""
    target, present = lake.layout.target_bucket, lake.target.get(ENCRYPTION)
    if lake.decisions.encryption is not None:
        return decided_encryption(lake.decisions.encryption)
    defaults: dict[tuple[str, str, bool], list[str]] = {}
    for bucket, old in lake.having(ENCRYPTION):
        try:
            defaults.setdefault(algorithm_of(old), []).append(bucket)
        except MALFORMED:
            notes.block(bucket, UNKNOWN_FORM, "", "Choose one: --encryption sse-s3 or --encryption sse-kms:KEY.")
    try:
        now = algorithm_of(present)
    except MALFORMED:
        notes.block(target, f"the target's: {UNKNOWN_FORM}", "", "Choose one: --encryption sse-s3, …")
        return present
    if not defaults or set(defaults) == {now}:
        return present
    if len(defaults) > 1:
        for (algorithm, key, _), buckets in defaults.items():
            reason = f"the old buckets differ: {algorithm}{f' with the key {key}' if key else ''} here"
            notes.block(buckets[0], reason, "", "Choose one: --encryption sse-s3 or --encryption sse-kms:KEY.")
        return present
    ((wanted, buckets),) = defaults.items()
    if _STRENGTH[wanted[0]] < _STRENGTH[now[0]]:
        notes.info(target, "the target has a stronger encryption already, which stays")
        return present
    if _STRENGTH[wanted[0]] == _STRENGTH[now[0]] and wanted[1] != now[1]:
        notes.block(target, "the target has another key than the old buckets", "", "Choose one: --encryption …")
        return present
    if lake.elsewhere and wanted[1]:
        reason = f"the key {wanted[1]} is one of the old buckets' server or account"
        notes.block(target, reason, "", "Choose one of the target's: --encryption sse-kms:KEY or --encryption sse-s3.")
        return present
    if wanted[0] != "AES256" and (without := sorted(set(lake.old) - set(buckets))):
        notes.info(target, f"readers of {first_names(without, NAMED)} will need the right to use the key, too")
    return encryption(*wanted)


# -- versioning, tags, CORS --------------------------------------------------------------------------------


def translate_versioning(lake: Lake, notes: Notes) -> Document | None:
    """One state for the whole target. A target that keeps versions now still keeps them."""
    target, present = lake.layout.target_bucket, lake.target.get(VERSIONING)
    states = {bucket: str(lake.buckets.get(bucket, {}).get(VERSIONING, {}).get("Status", "")) for bucket in
              lake.old}  # fmt: skip
    for bucket, old in lake.having(VERSIONING):
        if old.get("MFADelete") == "Enabled":
            notes.warn(bucket, "MFA delete can only be set by the owner, with the device")
    now = str((present or {}).get("Status", ""))
    keeping = sorted(bucket for bucket, state in states.items() if state == "Enabled")
    if lake.decisions.versioning == ENABLED or (keeping and len(keeping) == len(states)):
        return {**(present or {}), "Status": "Enabled"}
    if now == "Enabled" or not keeping or lake.decisions.versioning == KEEP:
        return present
    reason = f"the old buckets differ: older versions are kept in {first_names(keeping, NAMED)}, and not in the others"
    notes.block(target, reason, "", "Choose one: --versioning enabled or --versioning keep.")
    return present


def translate_tags(lake: Lake, notes: Notes) -> Document | None:
    """The tags of all buckets. The target's own stay; one that has several values in the old buckets is left out."""
    target, present = lake.layout.target_bucket, lake.target.get(TAGS)
    try:
        own = {str(tag["Key"]): str(tag["Value"]) for tag in (present or {}).get("TagSet", [])}
    except MALFORMED:
        notes.block(target, f"the target's tags cannot be kept: {UNKNOWN_FORM}")
        return present
    values: dict[str, dict[str, str]] = {}
    for bucket, old in lake.having(TAGS):
        try:
            for tag in old["TagSet"]:
                values.setdefault(str(tag["Key"]), {})[bucket] = str(tag["Value"])
        except MALFORMED:
            notes.warn(bucket, UNKNOWN_FORM)
    wanted = dict(own)
    for key, by_bucket in sorted(values.items()):
        if key.startswith("aws:"):
            notes.info(sorted(by_bucket)[0], "tags of AWS itself cannot be set", key)
        elif key in own:
            for bucket in [bucket for bucket, value in by_bucket.items() if value != own[key]]:
                notes.warn(bucket, "the target has another value for this key", key)
        elif len(set(by_bucket.values())) > 1:
            notes.warn(
                sorted(by_bucket)[0], f"{first_names(sorted(by_bucket), NAMED)} have different values for this key", key
            )
        else:
            wanted[key] = next(iter(by_bucket.values()))
    if len(wanted) > MOST_TAGS:
        notes.block(target, f"it would have {len(wanted)} tags; a bucket may have {MOST_TAGS}")
    return {"TagSet": [{"Key": key, "Value": value} for key, value in wanted.items()]} if wanted != own else present


def translate_cors(lake: Lake, notes: Notes) -> Document | None:
    """The rules of all buckets. They name origins instead of prefixes: each applies to the whole target."""
    target, present = lake.layout.target_bucket, lake.target.get(CORS)
    rules: list[dict[str, Any]] = []
    for bucket, document in [(target, present or {"CORSRules": []}), *lake.having(CORS)]:
        try:
            for rule in mappings(plain(document["CORSRules"])):
                alike = [other for other in rules if _same_rule(rule, other)]
                if not alike and rule.get("ID") in [other.get("ID") for other in rules if other.get("ID")]:
                    notes.warn(bucket, "there is another rule of this ID", f"rule {rule['ID']!r}")
                elif not alike:
                    rules.append(rule)
        except MALFORMED:
            notes.block(bucket, UNKNOWN_FORM, "", "Check it yourself, then use --without cors.")
            return present
    if len(rules) > MOST_CORS_RULES:
        notes.block(target, f"it would have {len(rules)} rules; a bucket may have {MOST_CORS_RULES}")
    wanted = {"CORSRules": rules} if rules else None
    if lake.minio and not same(CORS, wanted, present):
        notes.warn(target, "MinIO has no CORS for a bucket: set MINIO_API_CORS_ALLOW_ORIGIN for the server")
        return present
    return wanted


def _same_rule(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    alike = [{key: value for key, value in rule.items() if key != "ID"} for rule in (one, other)]
    return same(CORS, {"CORSRules": alike[:1]}, {"CORSRules": alike[1:]})


# -- object lock, quotas and the rest ----------------------------------------------------------------------


def translate_lock(lake: Lake, notes: Notes) -> Document | None:
    """A default retention that all old buckets have, if the target has object lock."""
    target, present = lake.layout.target_bucket, lake.target.get(LOCK)
    old = lake.having(LOCK)
    if not old:
        return present
    if present is None and lake.missing and lake.locks:
        present = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    if present is None:
        how = "Plan with --object-lock: then the target is created with it." if lake.missing else (
            "Move to a new target bucket that is created with object lock, or leave it out: --without object-lock."
        )  # fmt: skip
        names = first_names([bucket for bucket, _ in old], NAMED)
        notes.block(target, f"{names}: object lock can only be enabled for a new bucket", "", how)
        return present
    retentions = {json.dumps(_retention(document), sort_keys=True): bucket for bucket, document in old}
    if len(retentions) == 1 and {bucket for bucket, _ in old} == set(lake.old):
        wanted = {"ObjectLockConfiguration": {**present["ObjectLockConfiguration"], **_retention(old[0][1])}}
        if _retention(present) in ({}, _retention(wanted)):
            return wanted
    for bucket, document in old:
        if _retention(document) and _retention(document) != _retention(present):
            notes.warn(bucket, "a default retention applies to the whole bucket; set it on the target yourself")
    return present


def _retention(document: Document) -> dict[str, Any]:
    try:
        rule = plain(document["ObjectLockConfiguration"].get("Rule"))
    except MALFORMED:
        return {}
    return {"Rule": rule} if rule else {}


def left_out(lake: Lake) -> list[NotCarried]:
    """Settings of the old buckets that are never carried over and that the target lacks, and quotas, with the
    reasons."""
    found = []
    for setting, reason in _LEFT_OUT.items():
        notes = Notes(setting)
        for bucket, document in lake.having(setting):
            if _means_something(setting, document) and not same(setting, document, lake.target.get(setting)):
                notes.warn(bucket, reason)
        found += notes.found
    quota = Notes(QUOTA)
    quota.info(
        lake.layout.target_bucket,
        "quotas are not read: only MinIO's admin API has them. A bucket has one quota, so separate quotas for layers "
        "are lost",
    )
    return found + quota.found


def _means_something(setting: str, document: Document) -> bool:
    """False for the default of every bucket, or of every new bucket of AWS."""
    try:
        if setting == ACL:
            owner = document.get("Owner", {}).get("ID")
            return any(
                grant["Grantee"].get("URI") or grant["Grantee"].get("ID") not in (None, "", owner)
                for grant in document.get("Grants", [])
            )
        if setting == PUBLIC:
            return any(value is not True for value in document["PublicAccessBlockConfiguration"].values())
        if setting == OWNERSHIP:
            kinds = [rule["ObjectOwnership"] for rule in document["OwnershipControls"]["Rules"]]
            return kinds != ["BucketOwnerEnforced"]
    except MALFORMED:
        return True
    return True
