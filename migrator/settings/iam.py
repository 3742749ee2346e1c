"""Policies of users, of AWS IAM or MinIO: the permissions for the old buckets are added for the new places. Nothing is
removed, so that users can work before the cutover and after it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from migrator.errors import ConfigError
from migrator.settings.kinds import IAM_POLICY, MALFORMED, Agreed, Lake, Notes, as_list, mappings, new_name
from migrator.settings.policies import essence, translated_statement
from migrator.settings.translate import Change, Translation

MOST_CHARACTERS = 6144
"""AWS's limit for one managed policy, without white space. MinIO's limit is 20 KiB."""


def translate_iam_policy(lake: Lake, text: str) -> Translation:
    """The policy with statements about the target added. Raises ConfigError if the text is no policy."""
    target, notes = lake.layout.target_bucket, Notes(IAM_POLICY)
    try:
        policy = json.loads(text)
        statements = mappings(as_list(policy["Statement"]))
        if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
            raise ConfigError("This is a policy of a bucket: it names principals.", next_move="Leave --iam out.")
    except MALFORMED:
        raise ConfigError("This is no policy: JSON with a Statement is needed.", next_move="Check --iam.") from None
    result = Translation(target)
    known = [essence(statement) for statement in statements]
    added: list[dict[str, Any]] = []
    version, agreed = str(policy.get("Version")), Agreed()
    for number, statement in enumerate(statements, 1):
        list(_translated(lake, Notes(IAM_POLICY), statement, number, version, agreed))
    for number, statement in enumerate(statements, 1):
        for made in _translated(lake, notes, statement, number, version, agreed):
            if essence(made) not in known:
                taken = [str(other.get("Sid")) for other in (*statements, *added)]
                added.append({**made, "Sid": new_name(made["Sid"], taken, 100, "")})
                known.append(essence(made))
    if added:
        after = {**policy, "Statement": [*statements, *added]}
        result.changes.append(Change(IAM_POLICY, policy, after))
        if (size := len("".join(json.dumps(after).split()))) > MOST_CHARACTERS:
            notes.warn(
                target, f"it would have {size:,} characters; AWS accepts {MOST_CHARACTERS:,} for a managed policy"
            )
    result.not_carried += notes.found
    return result


def _translated(
    lake: Lake, notes: Notes, statement: Mapping[str, Any], number: int, version: str, agreed: Agreed
) -> Iterator[dict[str, Any]]:
    """A statement about the old buckets, as statements about the target."""
    part = f"statement {str(statement.get('Sid') or number)!r}"
    target = lake.layout.target_bucket
    if "Resource" not in statement:
        notes.warn(target, "it has no Resource: check yourself what it means for the target", part)
        return
    by_bucket: dict[str, list[str]] = {}
    for resource in map(str, as_list(statement["Resource"])):
        name = _bucket_of(resource)
        if name in lake.old:
            by_bucket.setdefault(name, []).append(resource)
        elif {"*", "?"} & {*name}:
            _note_wildcard(lake, notes, resource, name, part, str(statement.get("Effect")))
    for bucket, resources in by_bucket.items():
        about = {**statement, "Resource": resources, "Principal": {"AWS": "the user"}}
        for made in translated_statement(lake, notes, bucket, about, number, version, agreed):
            yield {key: value for key, value in made.items() if key != "Principal"}


def _bucket_of(resource: str) -> str:
    """The name of the bucket in an ARN, which may have wildcards; "" for an ARN that is not in S3."""
    if resource == "*":
        return resource
    service, _, place = resource.rpartition(":::")
    return place.partition("/")[0] if service.endswith(":s3") else ""


def _note_wildcard(lake: Lake, notes: Notes, resource: str, name: str, part: str, effect: str) -> None:
    """Note what a wildcard instead of the bucket means for the target."""
    target = lake.layout.target_bucket
    if fnmatchcase(target, name):
        if effect == "Allow":
            notes.warn(
                target, f"{resource} means the target, too: all layers", part, "Limit it, if that is not wanted."
            )
    elif reached := [bucket for bucket in lake.old if fnmatchcase(bucket, name)]:
        reason = f"the wildcard in {resource} means old buckets, but not the target"
        (notes.warn if effect == "Allow" else notes.block)(reached[0], reason, part)
