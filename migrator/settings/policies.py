"""Bucket policies: each statement of an old bucket gets the ARNs of the target, limited to the target prefix.

A statement that cannot be limited is not carried over, because one that allows too much would open every layer. So only
known elements are translated: actions from a list, resources of the old bucket, and conditions on ``s3:prefix`` in the
two usual forms. All other conditions are copied without changes, because they only limit a statement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from migrator.layout import Rule
from migrator.settings.compare import canonical_policy
from migrator.settings.kinds import (
    FENCE,
    MALFORMED,
    POLICY,
    UNKNOWN_FORM,
    Agreed,
    Document,
    Lake,
    Notes,
    as_list,
    mappings,
    new_name,
)
from migrator.settings.places import (
    OF_PATTERNS,
    Place,
    base,
    others_at,
    others_of_key,
    overlap,
    pattern_places,
    places_of,
    shared_with,
    whole_rules,
)

MAX_BYTES = 20 * 1024
"""S3's limit for a bucket policy, in bytes."""
VERSION = "2012-10-17"
LISTS = ("s3:ListBucket", "s3:ListBucketVersions")
"""The actions on a bucket that a condition can limit to a prefix."""
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectLegalHold",
    "s3:GetObjectRetention",
    "s3:GetObjectTagging",
    "s3:GetObjectTorrent",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
    "s3:RestoreObject",
)
"""The actions whose resource is an object."""
_BUCKET_WIDE = (
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketLocation",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucketMultipartUploads",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
)
"""Some actions on a bucket as a whole, with which wildcards are compared."""
_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
_ARN = re.compile(r"(arn:[a-z0-9-]+:s3:::)(.+)", re.DOTALL)
_PREFIX = "s3:prefix"


class _Refused(Exception):
    """A statement, or a part of it, cannot be translated; the message says why."""


@dataclass
class _Resources:
    """The resources of a statement. ``patterns``: new resource → its place; ``bucket``: the ARN of the target if the
    statement names the old bucket itself."""

    patterns: dict[str, Place | None] = field(default_factory=dict)
    bucket: str = ""


def is_anyone(principal: Any) -> bool:
    """True if this principal of a statement is everybody."""
    return principal == "*" or (isinstance(principal, Mapping) and "*" in as_list(principal.get("AWS")))


def is_public(statement: Mapping[str, Any]) -> bool:
    """True if a statement allows something to everybody, without any condition."""
    anyone = is_anyone(statement.get("Principal"))
    return statement.get("Effect") == "Allow" and anyone and not statement.get("Condition")


def translate_policy(lake: Lake, notes: Notes) -> Document | None:
    """The policy of the target with the statements of the old buckets added."""
    target, present = lake.layout.target_bucket, lake.target.get(POLICY)
    try:
        policy = json.loads(present["Policy"]) if present else {"Version": VERSION, "Statement": []}
        statements = mappings(as_list(policy["Statement"]))
    except MALFORMED:
        notes.block(target, f"its present policy cannot be kept: {UNKNOWN_FORM}")
        return present
    _check_open_target(lake, notes, statements)
    known = [essence(statement) for statement in statements]
    added: list[dict[str, Any]] = []
    agreed: Agreed = {}
    for bucket, old in lake.having(POLICY):
        list(_translated(lake, Notes(POLICY), bucket, old, agreed))
    for bucket, old in lake.having(POLICY):
        for statement in _translated(lake, notes, bucket, old, agreed):
            if essence(statement) in known:
                continue
            if any(other.get("Sid") == statement["Sid"] for other in statements):
                move = "Rename or remove that statement."
                notes.block(target, "the target has another statement of this Sid", f"Sid {statement['Sid']}", move)
                continue
            taken = [str(other.get("Sid")) for other in added]
            added.append({**statement, "Sid": new_name(statement["Sid"], taken, 100, "")})
            known.append(essence(statement))
    if not added:
        return present
    text = json.dumps({**policy, "Statement": [*statements, *added]}, separators=(",", ":"))
    _check_version(notes, target, policy, added)
    if lake.elsewhere:
        notes.warn(
            target, "the target is on another server or account: check whether the principals in the statements exist"
        )
    if (size := len(text.encode())) > MAX_BYTES:
        notes.block(target, f"it would have {size:,} bytes; S3 accepts {MAX_BYTES:,}", "", "Shorten the old policies.")
    return {"Policy": text}


def _check_version(notes: Notes, target: str, policy: Mapping[str, Any], added: list[dict[str, Any]]) -> None:
    if policy.get("Version") != VERSION and "${" in json.dumps(added):
        notes.block(target, f"its policy is not of version {VERSION}, which variables of statements to be added need")


def _check_open_target(lake: Lake, notes: Notes, statements: list[dict[str, Any]]) -> None:
    """Block if everybody could read objects at the target that only some may read now."""
    for statement in statements:
        if not is_public(statement):
            continue
        for bucket in lake.old:
            if _is_open(lake.buckets.get(bucket, {})):
                continue
            for rule in lake.layout.rules:
                if rule.bucket == bucket and rule.target is not None and _reaches(statement, lake, base(rule)):
                    opened = base(rule) or "everything"
                    reason = f"the target's policy opens {opened} to everybody, this bucket's does not"
                    notes.block(bucket, reason, f"Sid {statement.get('Sid', '(none)')}", "Limit that statement.")


def _is_open(found: Mapping[str, Document]) -> bool:
    try:
        return any(is_public(one) for one in as_list(json.loads(found[POLICY]["Policy"])["Statement"]))
    except MALFORMED:
        return False


def _reaches(statement: Mapping[str, Any], lake: Lake, prefix: str) -> bool:
    """True if a statement may apply to objects below a prefix of the target."""
    if "Resource" not in statement:
        return True
    for resource in map(str, as_list(statement["Resource"])):
        name, slash, key = resource.rpartition(":::")[2].partition("/")
        if "*" in name or "?" in name:
            return True
        if name == lake.layout.target_bucket and slash and overlap(re.split(r"[*?$]", key)[0], prefix):
            return True
    return False


def essence(statement: Mapping[str, Any]) -> Any:
    """A statement without its Sid, in a form that is equal for equal meanings."""
    return canonical_policy({key: value for key, value in statement.items() if key != "Sid"})


def _translated(lake: Lake, notes: Notes, bucket: str, old: Document, agreed: Agreed) -> Iterator[dict[str, Any]]:
    """The statements of one old bucket for the target. Statements that other old buckets have, too, are added to
    ``agreed``, so everything is translated twice."""
    try:
        policy = json.loads(old["Policy"])
        statements = mappings(as_list(policy["Statement"]))
    except MALFORMED:
        notes.block(bucket, UNKNOWN_FORM, "", "Check it yourself, then use --without policy.")
        return
    for number, statement in enumerate(statements, 1):
        if statement.get("Sid") == FENCE:
            continue
        yield from translated_statement(lake, notes, bucket, statement, number, str(policy.get("Version")), agreed)


def translated_statement(
    lake: Lake, notes: Notes, bucket: str, statement: Mapping[str, Any], number: int, version: str, agreed: Agreed
) -> Iterator[dict[str, Any]]:
    """A statement about one old bucket, the ``number``-th of a policy of this version, as statements about the target.
    Adds notes about what cannot be translated, and adds statements that other places have, too, to ``agreed``."""
    part = f"statement {str(statement.get('Sid') or number)!r}"
    try:
        if version != VERSION and "${" in json.dumps(statement):
            raise _Refused(f"its policy is not of version {VERSION}, in which variables have a meaning")
        yield from _Statement(lake, notes, bucket, statement, part, number, agreed).translated()
    except _Refused as refused:
        _refuse(notes, bucket, part, statement, str(refused))
    except MALFORMED:
        _refuse(notes, bucket, part, statement, UNKNOWN_FORM)


def _refuse(
    notes: Notes, bucket: str, part: str, statement: Mapping[str, Any], reason: str, move: str = "See --without policy."
) -> None:
    """Note that a statement is not translated: a warning for an Allow, blocking for a Deny, because without the Deny
    more is allowed."""
    if statement.get("Effect") == "Allow":
        notes.warn(bucket, reason, part)
    else:
        notes.block(bucket, f"{reason}; without it, more is allowed than before", part, move)


class _Statement:
    """One statement of an old bucket."""

    def __init__(
        self,
        lake: Lake,
        notes: Notes,
        bucket: str,
        statement: Mapping[str, Any],
        part: str,
        number: int,
        agreed: Agreed,
    ) -> None:
        self._lake, self._notes, self._bucket, self._part = lake, notes, bucket, part
        self._statement, self._agreed = statement, agreed
        words = re.sub("[^A-Za-z0-9]", "", str(statement.get("Sid") or f"Statement{number}"))
        self._sid = re.sub("[^A-Za-z0-9]", "", bucket.title()) + words[:60]

    def translated(self) -> Iterator[dict[str, Any]]:
        """One statement about objects, one about listings, or none. Raises _Refused."""
        statement = self._statement
        if others := sorted({*statement} - _ELEMENTS):
            raise _Refused(f"it has {', '.join(others)}")
        if statement["Effect"] not in ("Allow", "Deny") or not statement.get("Principal"):
            raise _Refused(UNKNOWN_FORM)
        if re.search(rf":::{re.escape(self._bucket)}[/\"*?]", json.dumps(statement.get("Condition", {}))):
            raise _Refused("its condition names the old bucket")
        self._check_known()
        if statement["Effect"] == "Deny":
            self._notes.warn(self._bucket, "it denies: check whether it denies the same at the target", self._part)
        resources = self._resources()
        actions, prefixes = self._actions(), self._prefix_conditions()
        if resources.patterns and not prefixes:  # in a request for an object, s3:prefix never matches
            yield from self._about_objects(resources, actions)
        if resources.bucket:
            yield from self._about_the_bucket(resources.bucket, actions)

    def _actions(self) -> list[str]:
        return [str(action) for action in as_list(self._statement["Action"])]

    def _check_known(self) -> None:
        for action in self._actions():
            if not _matches(action, (*OBJECT_ACTIONS, *LISTS, *_BUCKET_WIDE)) and not _is_of_bucket(action):
                self._lose(f"the action {action} is not known")

    def _prefix_conditions(self) -> list[tuple[str, list[Any]]]:
        """(operator, values) of the conditions on s3:prefix. Raises _Refused for those that cannot be translated."""
        found = [
            (operator, as_list(value))
            for operator, keys in dict(self._statement.get("Condition") or {}).items()
            for key, value in dict(keys).items()
            if key.lower() == _PREFIX
        ]
        if len(found) > 1 or (found and found[0][0] not in ("StringEquals", "StringLike")):
            raise _Refused("its condition on s3:prefix has a form that migrator does not translate")
        return found

    def _resources(self) -> _Resources:
        found, missed = _Resources(), []
        for resource in map(str, as_list(self._statement["Resource"])):
            match = _ARN.fullmatch("arn:aws:s3:::*" if resource == "*" else resource)
            name = match[2] if match else ""
            start, target = (match[1] if match else ""), self._lake.layout.target_bucket
            everything, is_bucket = name in ("*", f"{self._bucket}*"), name == self._bucket
            if everything or is_bucket:
                found.bucket = f"{start}{target}"
            if everything or name.startswith(f"{self._bucket}/"):
                pattern = "*" if everything else name[len(self._bucket) + 1 :]
                moved = pattern_places(self._lake, self._bucket, pattern)
                if moved is None:
                    missed.append(f"the wildcard in {resource} matches several rules of the layout")
                for place, key in moved or ():
                    exact = not OF_PATTERNS & {*pattern}
                    if exact and (others := others_of_key(self._lake, self._bucket, pattern, key)):
                        missed.append(shared_with(others))
                    elif OF_PATTERNS & {*(place.rule.target or "")}:
                        missed.append(f"the target prefix {place.rule.target} has a character of patterns")
                    else:
                        found.patterns[f"{start}{target}/{key}"] = None if exact else place
                        if self._statement["Effect"] == "Deny" and _has_its_own_key(place, pattern):
                            found.patterns[f"{start}{target}/{place.rule.target}"] = None
            elif not is_bucket:
                missed.append(f"{resource} is not in this bucket")
        for reason in missed:
            _refuse(self._notes, self._bucket, self._part, self._statement, reason)
        return found

    def _about_objects(self, resources: _Resources, actions: list[str]) -> Iterator[dict[str, Any]]:
        kept = [action for action in actions if _matches(action, OBJECT_ACTIONS)]
        places = [place for place in resources.patterns.values() if place is not None]
        names = []
        for name, place in resources.patterns.items():
            others = [] if place is None else self._others(place, name, kept, whole_rules(places))
            if others and place is not None:
                self._lose(f"{shared_with(others)}: {place.prefix}", f"If it may: --shared {place.prefix}")
            else:
                names.append(name)
        if kept and names:
            yield self._made("", kept, names, self._statement.get("Condition"))

    def _about_the_bucket(self, arn: str, actions: list[str]) -> Iterator[dict[str, Any]]:
        lists = [one for one in LISTS if any(_matches(action, (one,)) for action in actions)]
        for action in actions:
            if _matches(action, _BUCKET_WIDE) or (_is_of_bucket(action) and not _matches(action, LISTS)):
                what = f"{action} on the bucket as a whole" if "*" in action else action
                self._notes.warn(self._bucket, f"{what} cannot be limited to a prefix", self._part)
        if not lists:
            return
        if not (prefixes := self._listed(lists)):
            return
        condition = {
            operator: kept
            for operator, keys in dict(self._statement.get("Condition") or {}).items()
            if (kept := {key: value for key, value in dict(keys).items() if key.lower() != _PREFIX})
        }
        limited = {**condition, "StringLike": {**condition.get("StringLike", {}), _PREFIX: prefixes}}
        yield self._made("List", lists, [arn], limited)

    def _others(self, place: Place, name: str, actions: list[str], own: set[Rule]) -> list[str]:
        """The old places that do not have an equal statement about ``name``."""
        alike = {key: self._statement.get(key) for key in ("Effect", "Principal", "Condition")}
        meaning = canonical_policy({**alike, "Action": actions, "Resource": name})
        rules = self._agreed.setdefault(json.dumps(meaning, sort_keys=True), set())
        rules.add(place.rule)
        return others_at(self._lake, place, own | rules)

    def _listed(self, lists: list[str]) -> list[str]:
        """The prefixes that may, or may not, be listed at the target. Raises _Refused for a condition on the prefix
        that cannot be translated."""
        conditions = self._prefix_conditions()
        if not conditions:
            places = places_of(self._lake, self._bucket, "")
            return self._unshared(lists, [(place, f"{place.prefix}*") for place in places], whole_rules(places))
        operator, values = conditions[0]
        found: list[tuple[Place, str]] = []
        for value in map(str, values):
            if operator == "StringEquals" and OF_PATTERNS & {*value}:
                raise _Refused("its condition on s3:prefix has a form that migrator does not translate")
            if not OF_PATTERNS & {*value}:
                found += [(place, place.prefix) for place in places_of(self._lake, self._bucket, value)]
                continue
            moved = pattern_places(self._lake, self._bucket, value)
            if moved is None:
                raise _Refused("a wildcard of its condition on s3:prefix matches several rules of the layout")
            found += moved
        return self._unshared(lists, found, whole_rules([place for place, _ in found]))

    def _unshared(self, lists: list[str], found: list[tuple[Place, str]], own: set[Rule]) -> list[str]:
        prefixes = []
        for place, pattern in found:
            if OF_PATTERNS & {*(place.rule.target or "")}:
                self._lose(f"the target prefix {place.rule.target} has a character of patterns")
            elif others := self._others(place, pattern, lists, own):
                self._lose(f"{shared_with(others)}: {place.prefix}", f"If it may: --shared {place.prefix}")
            else:
                prefixes.append(pattern)
        return list(dict.fromkeys(prefixes))

    def _made(self, end: str, actions: list[str], resources: list[str], condition: Any) -> dict[str, Any]:
        made = {
            "Sid": self._sid + end,
            "Effect": self._statement["Effect"],
            "Principal": self._statement["Principal"],
            "Action": actions,
            "Resource": resources,
        }
        if is_public(self._statement):
            self._notes.info(self._bucket, f"everybody may do this below {', '.join(resources)}", self._part)
        return {**made, "Condition": condition} if condition else made

    def _lose(self, reason: str, move: str = "") -> None:
        if self._statement["Effect"] == "Allow":
            self._notes.warn(self._bucket, reason, self._part, move)
        else:
            _refuse(self._notes, self._bucket, self._part, self._statement, reason, move or "See --without policy.")


def _has_its_own_key(place: Place, pattern: str) -> bool:
    """True if a pattern also matches the object whose key is the prefix of the rule, without a slash at its end."""
    rule = place.rule
    return bool(place.whole and rule.prefix and rule.target) and rule.prefix.startswith(pattern.rstrip("*"))


def _matches(pattern: str, actions: tuple[str, ...]) -> bool:
    """True if an action of a policy, which may have wildcards, is or includes one of these. Case does not matter."""
    pattern = "s3:*" if pattern == "*" else pattern
    wanted = re.sub(r"\[", "[[]", pattern.lower())
    return any(fnmatchcase(action.lower(), wanted) for action in actions)


def _is_of_bucket(action: str) -> bool:
    """True for a plain action that is not known to be about objects, and has the name of one about buckets."""
    return "*" not in action and not _matches(action, OBJECT_ACTIONS) and "bucket" in action.lower()
