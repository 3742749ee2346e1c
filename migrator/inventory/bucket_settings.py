"""Describes the settings of a bucket in a few words, and finds settings that endanger copies. Pure.

Documents are boto3's answers. They come from a server, so their form is checked, and nothing that may be secret is
shown: no conditions of policies, no addresses, no values of tags.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import first_names
from migrator.findings import counted
from migrator.settings.kinds import as_list
from migrator.settings.policies import is_anyone

Document = Mapping[str, Any]

MOST_NAMED = 5
"""How many items of one kind are named."""
_PLAIN, _SSE_S3, _SSE_KMS = 0, 1, 2
_ENABLED = "Enabled"
_COLD = {"GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"}
_GROUPS = {"AllUsers": "everyone", "AuthenticatedUsers": "all users of AWS", "LogDelivery": "log delivery"}


def words_for(name: str, document: Document) -> str:
    """The setting in a few words; "" if it is the default of every bucket."""
    try:
        return _WORDS[name](document)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return "set, in a form that migrator does not know"


def _some(texts: Iterable[str]) -> str:
    return first_names([_clean(text) for text in dict.fromkeys(texts)], MOST_NAMED)


def _clean(text: object) -> str:
    """A text of a server, shortened to one line."""
    return "".join(char if char.isprintable() else "?" for char in str(text))[:80]


def _policy(document: Document) -> str:
    statements = as_list(json.loads(document["Policy"])["Statement"])
    open_to_all = [s for s in statements if s.get("Effect") == "Allow" and is_anyone(s.get("Principal"))]
    if not open_to_all:
        return counted(len(statements), "statement")
    actions = _some(str(action) for s in open_to_all for action in as_list(s.get("Action", "some actions")))
    limited = ", on conditions" if all(s.get("Condition") for s in open_to_all) else ""
    return f"{counted(len(statements), 'statement')} (everyone may {actions}{limited})"


def _public(document: Document) -> str:
    block = document["PublicAccessBlockConfiguration"]
    on = [name for name, value in block.items() if value is True]
    return "on" if len(on) == 4 else _some(on)


def _acl(document: Document) -> str:
    owner = document.get("Owner", {}).get("ID")
    found = []
    for grant in document.get("Grants", []):
        who = grant["Grantee"]
        group = str(who.get("URI", "")).rpartition("/")[2]
        if group or who.get("ID") not in (None, "", owner):
            found.append(f"{_GROUPS.get(group, 'another account')} {grant['Permission']}")
    return _some(found)


def _ownership(document: Document) -> str:
    kinds = [rule["ObjectOwnership"] for rule in document["OwnershipControls"]["Rules"]]
    return _some(kind for kind in kinds if kind != "BucketOwnerEnforced")


def _lock(document: Document) -> str:
    retention = document["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention")
    if not retention:
        return "on, without a default retention"
    time = counted(int(retention["Days"]), "day") if "Days" in retention else counted(int(retention["Years"]), "year")
    return f"{_clean(retention['Mode'])} for {time} by default"


def _encryption(document: Document) -> str:
    algorithm, key = encryption_of(document)
    if algorithm == "AES256":
        return "SSE-S3"
    return f"SSE-KMS{f' with the key {_clean(key)}' if key else ''}" if "kms" in algorithm else _clean(algorithm)


def encryption_of(document: Document | None) -> tuple[str, str]:
    """The algorithm and the key of a bucket's default encryption, "" for none. Only the end of a key's ARN is
    returned."""
    try:
        rules = (document or {})["ServerSideEncryptionConfiguration"]["Rules"]
        default = rules[0]["ApplyServerSideEncryptionByDefault"]
        return str(default["SSEAlgorithm"]), str(default.get("KMSMasterKeyID") or "").rpartition(":")[2]
    except (AttributeError, KeyError, TypeError, IndexError):
        return "", ""


def strength_of(algorithm: str) -> int:
    """A number that orders algorithms: none, keys of the server, keys whose use can be denied."""
    return _PLAIN if not algorithm else _SSE_S3 if algorithm == "AES256" else _SSE_KMS


def _notifications(document: Document) -> str:
    kinds = {
        "TopicConfigurations": "a topic",
        "QueueConfigurations": "a queue",
        "LambdaFunctionConfigurations": "a function",
    }
    found = [f"to {to} on {_some(one['Events'])}" for kind, to in kinds.items() for one in document.get(kind, [])]
    found += ["to EventBridge"] if "EventBridgeConfiguration" in document else []
    return f"{len(found)} ({_joined(found)})" if found else ""


def _cors(document: Document) -> str:
    rules = document["CORSRules"]
    methods = _some(str(method) for rule in rules for method in rule.get("AllowedMethods", []))
    origins = {origin for rule in rules for origin in rule.get("AllowedOrigins", [])}
    whom = "any origin" if "*" in origins else counted(len(origins), "origin")
    return f"{counted(len(rules), 'rule')} ({methods} from {whom})"


def _tags(document: Document) -> str:
    return _some(str(tag["Key"]) for tag in document["TagSet"])


def _replication(document: Document) -> str:
    rules = document["ReplicationConfiguration"]["Rules"]
    buckets = _some(str(rule["Destination"]["Bucket"]).rpartition(":")[2] for rule in rules)
    return f"{counted(len(rules), 'rule')} (to {buckets})"


def _website(document: Document) -> str:
    return "redirects requests" if "RedirectAllRequestsTo" in document else "serves pages"


def _logging(document: Document) -> str:
    target = document.get("LoggingEnabled", {}).get("TargetBucket")
    return f"to {_clean(target)}" if target else ""


# -- lifecycle ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """A lifecycle rule that deletes current objects after some time, or moves them to an archive. ``some``: it also
    depends on tags or sizes."""

    prefix: str
    what: str
    some: bool


def _lifecycle(document: Document) -> str:
    rules = document["Rules"]
    found = [does for rule in rules if rule.get("Status") == _ENABLED for does in _does(rule)]
    off = sum(rule.get("Status") != _ENABLED for rule in rules)
    return f"{counted(len(rules), 'rule')} ({_joined([*found, *([f'{off} disabled'] if off else [])])})"


def _joined(texts: list[str]) -> str:
    return first_names(texts, MOST_NAMED, "; ")


def _does(rule: Document) -> Iterator[str]:
    prefix, some = _filter(rule)
    what = (_clean(prefix) or "everything") + (" of some tags or sizes" if some else "")
    if when := _when(rule.get("Expiration", {})):
        yield f"expire {what} {when}"
    for move in rule.get("Transitions", []):
        yield f"move {what} to {_clean(move.get('StorageClass'))} {_when(move)}"
    if "NoncurrentVersionExpiration" in rule or "NoncurrentVersionTransitions" in rule:
        yield f"older versions of {what}"
    if "AbortIncompleteMultipartUpload" in rule:
        days = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        yield f"abort uploads after {counted(days, 'day')}"
    if rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker"):
        yield "remove delete markers"


def _filter(rule: Document) -> tuple[str, bool]:
    """The prefix of the rule, and whether it also depends on tags or sizes."""
    given = rule.get("Filter") or {}
    both = given.get("And") or {}
    prefix = rule.get("Prefix") or given.get("Prefix") or both.get("Prefix") or ""
    return str(prefix), any(name not in ("Prefix", "And") for name in (*given, *both))


def _when(action: Document) -> str:
    if "Days" in action:
        return f"after {counted(int(action['Days']), 'day')}"
    return f"on {str(action['Date'])[:10]}" if "Date" in action else ""


def endings(document: Document) -> Iterator[Ending]:
    """The enabled rules of a lifecycle that delete or archive current objects."""
    try:
        for rule in document["Rules"]:
            if rule.get("Status") != _ENABLED:
                continue
            prefix, some = _filter(rule)
            if when := _when(rule.get("Expiration", {})):
                yield Ending(prefix, f"deletes objects {when}", some)
            for move in rule.get("Transitions", []):
                if move.get("StorageClass") in _COLD - {"GLACIER_IR"}:
                    yield Ending(prefix, f"moves objects to {move['StorageClass']} {_when(move)}", some)
    except (AttributeError, KeyError, TypeError, ValueError):
        yield Ending("", "has a form that migrator does not know", True)


_WORDS: dict[str, Callable[[Document], str]] = {
    "policy": _policy,
    "public access block": _public,
    "ACL": _acl,
    "object ownership": _ownership,
    "lifecycle": _lifecycle,
    "object lock": _lock,
    "encryption": _encryption,
    "notifications": _notifications,
    "CORS": _cors,
    "tags": _tags,
    "replication": _replication,
    "website": _website,
    "access logging": _logging,
}
