"""A small evaluator of policies and lifecycle rules: what they mean for one request or one object. Written from the
documentation of AWS, not from migrator's code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

ALLOW, DENY = "Allow", "Deny"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def like(pattern: str, text: str) -> bool:
    """Wildcards as in ARNs: * for any characters, ? for one."""
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def holds(condition: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    for operator, keys in condition.items():
        for key, values in keys.items():
            given = context.get(key)
            tests = {"StringEquals": str.__eq__, "StringLike": like, "Bool": str.__eq__}
            if given is None or not any(tests[operator](str(value), given) for value in listed(values)):
                return False
    return True


def effects(policy: str | None, action: str, arn: str, context: Mapping[str, str] | None = None) -> set[str]:
    """The effects of the statements that apply to a request. Principals are ignored."""
    found = set()
    for statement in listed(json.loads(policy or '{"Statement": []}')["Statement"]):
        if (
            any(like(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
            and any(like(pattern, arn) for pattern in listed(statement["Resource"]))
            and holds(statement.get("Condition", {}), context or {})
        ):
            found.add(statement["Effect"])
    return found


def may(policy: str | None, action: str, arn: str, context: Mapping[str, str] | None = None) -> bool:
    """True if a policy allows the request and does not deny it."""
    return effects(policy, action, arn, context) == {ALLOW}


def applies(rule: Mapping[str, Any], key: str, tags: Mapping[str, str], size: int) -> bool:
    """True if a lifecycle rule applies to an object."""
    given = rule.get("Filter", {})
    limits = given.get("And", given)
    wanted = [*limits.get("Tags", []), *([limits["Tag"]] if "Tag" in limits else [])]
    return (
        rule["Status"] == "Enabled"
        and key.startswith(limits.get("Prefix", rule.get("Prefix", "")))
        and all(tags.get(tag["Key"]) == tag["Value"] for tag in wanted)
        and size > limits.get("ObjectSizeGreaterThan", -1)
        and size < limits.get("ObjectSizeLessThan", 1 << 60)
    )


def expires(lifecycle: Mapping[str, Any] | None, key: str, tags: Mapping[str, str], size: int) -> set[int]:
    """After how many days the rules of a bucket delete an object."""
    rules = (lifecycle or {"Rules": []})["Rules"]
    return {rule["Expiration"]["Days"] for rule in rules if "Expiration" in rule and applies(rule, key, tags, size)}
