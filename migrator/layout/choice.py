"""A part of a layout: ``migrator plan --rule`` names the rules whose objects move, and the other rules stay for other
plans. Pure: no I/O.

The plan treats the other rules like rules ``= false``, so their places are not listed. :attr:`Layout.later` has them
with their targets, so that what needs both parts is found.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from migrator.errors import ConfigError, first_names
from migrator.layout.recorded import Recorded, spelled
from migrator.layout.rules import Layout, Rule

AnyRule = Rule | Recorded


def choose(layout: Layout, names: Iterable[str]) -> Layout:
    """The layout in which only the rules with these sources move objects; the others are in :attr:`Layout.later`. A
    rule for recorded paths goes with the rules that write to its target.

    Raises ConfigError for a name that is none of the rules, and if another rule writes to the same part of the target:
    two plans for one place could overwrite objects of each other.
    """
    rules: list[AnyRule] = [*layout.rules, *layout.recorded]
    moving = [rule for rule in rules if rule.target is not None]
    wanted = {_named(rules, name).source for name in names}
    mine = [rule for rule in moving if rule.source in wanted]
    mine += [
        rule
        for rule in layout.recorded
        if rule.target is not None and rule not in mine and any(_nested(rule, one) for one in mine)
    ]
    later = [rule for rule in moving if rule not in mine]
    _check_apart(mine, later)
    return replace(
        layout,
        rules=tuple(replace(rule, target=None) if rule in later else rule for rule in layout.rules),
        recorded=tuple(replace(rule, target=None) if rule in later else rule for rule in layout.recorded),
        later=tuple(later),
    )


def together(sources: Iterable[str]) -> str:
    """The options of ``migrator plan`` that name these rules."""
    return " ".join(f"--rule {shlex.quote(source)}" for source in dict.fromkeys(sources))


def _named(rules: list[AnyRule], name: str) -> AnyRule:
    """The rule with this source; a slash at its end may be missing."""
    whole = f"{spelled(name).rstrip('/')}/"
    found = next((rule for rule in rules if rule.source == whole), None)
    listed = first_names([rule.source for rule in rules if rule.target is not None], len(rules))
    if found is None:
        raise ConfigError(f"--rule {name!r} is no rule of the layout.", next_move=f"The rules are: {listed}.")
    if found.target is None:
        raise ConfigError(
            f"--rule {name!r} is a rule = false, which moves nothing.", next_move=f"The rules that move: {listed}."
        )
    return found


def _check_apart(mine: list[AnyRule], later: list[AnyRule]) -> None:
    """Raises ConfigError if a rule of this plan and another one, which both write objects, share a place there."""
    writing = [rule for rule in mine if _writes(rule)]
    beside = [(one, other) for one in writing for other in later if _writes(other) and _nested(one, other)]
    if beside:
        one, other = beside[0]
        options = together(rule.source for pair in beside for rule in pair)
        raise ConfigError(
            f"{one.source} and {other.source} go to the same part of the target, {one.target}/ and {other.target}/.",
            next_move=f"Plan these rules together: {options}",
        )


def shared_place(one: Layout, other: Layout) -> str:
    """A place, as a URI, that both layouts move, or to which both write; "" if there is none. ``other`` has the same
    target. What a rule leaves where it is, is not moved."""
    for a, b in ((one, other), (other, one)):
        for rule in a.rules:  # of two rules for one place, the longer one lies in the shorter one
            also = b.rule_for(rule.bucket, rule.prefix) if rule.target is not None else None
            if also is not None and also.target is not None:
                return rule.source
    pairs = ((a.target or "", b.target or "") for a in _writing(one) for b in _writing(other) if _nested(a, b))
    return next((f"s3://{one.target_bucket}/{max(pair, key=len)}" for pair in pairs), "")


def _writing(layout: Layout) -> list[AnyRule]:
    """The rules that write objects."""
    rules: list[AnyRule] = [*layout.rules, *layout.recorded]
    return [rule for rule in rules if rule.target is not None and _writes(rule)]


def _writes(rule: AnyRule) -> bool:
    """False for a rule that only maps recorded paths. That of a local folder uploads its files."""
    return isinstance(rule, Rule) or rule.is_local


def _nested(one: AnyRule, other: AnyRule) -> bool:
    """True if the targets of the rules are the same, or one lies in the other."""
    a, b = (f"{rule.target}/" if rule.target else "" for rule in (one, other))
    return a.startswith(b) or b.startswith(a)
