"""Locations, rules, and the only functions that map an old path to a new one. Pure: no I/O. The planner and every
rewriter map paths with :meth:`Layout.map_uri` and :meth:`Layout.map_key`.

Paths are not decoded or normalised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from migrator.errors import ConfigError, redacted
from migrator.layout.recorded import S3_SCHEMES, Recorded, has_password, is_s3, spelled

MEDALLION = ("warehouse", "bronze", "silver", "gold", "checkpoints", "logs", "scripts")
"""The buckets of the built-in layout; each becomes the prefix of its own name."""

MEDALLION_WAREHOUSES = {"s3://bronze/iceberg-warehouse/": "warehouse/"}
"""The only rule of the built-in layout that is not bucket → prefix of the same name."""

_URI = re.compile(r"(s3[an]?)://([^/]+)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True)
class Location:
    """A place in an object store: ``scheme://bucket/key``. ``key`` is the literal key, never decoded."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location | None:
        """The location that an ``s3://``, ``s3a://`` or ``s3n://`` URI names; None for anything else."""
        match = _URI.fullmatch(uri)
        return cls(match[1], match[2], match[3] or "") if match else None

    @property
    def collapsed(self) -> Location:
        """The same place as Hadoop's S3A file system spells it: without empty levels (``a//b``, ``/a``)."""
        return Location(self.scheme, self.bucket, re.sub("/{2,}", "/", self.key).removeprefix("/"))

    @property
    def uri(self) -> str:
        """``scheme://bucket/key``."""
        return f"{self.scheme}://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Everything under ``bucket``/``prefix`` goes under ``target``; ``target`` None leaves it where it is.

    ``prefix`` and ``target`` have no slash at their ends; "" stands for the whole bucket.
    """

    bucket: str
    prefix: str
    target: str | None

    def covers(self, key: str) -> bool:
        """True if ``key`` is the prefix itself or lies under it, on a ``/`` boundary."""
        return not self.prefix or key == self.prefix or key.startswith(self.prefix + "/")

    def move(self, key: str) -> str | None:
        """The target key of ``key``, which this rule must cover; None if the rule leaves it out."""
        if self.target is None:
            return None
        rest = key[len(self.prefix) :] if self.prefix else ("/" + key if key else "")
        return self.target + rest if self.target else rest[1:]

    @property
    def source(self) -> str:
        """The old place, as ``[layout]`` writes it."""
        return f"s3://{self.bucket}/{self.prefix}/" if self.prefix else f"s3://{self.bucket}/"


@dataclass(frozen=True)
class Layout:
    """The rules and the target bucket. The rule with the longest matching prefix applies.

    ``rules`` map objects to their new keys. ``recorded`` maps paths that are not in S3. ``later``: rules that other
    plans carry out; in ``rules`` and ``recorded`` their target is None (:mod:`migrator.layout.choice`).
    """

    target_bucket: str
    rules: tuple[Rule, ...]
    recorded: tuple[Recorded, ...] = ()
    later: tuple[Rule | Recorded, ...] = ()
    _by_bucket: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_bucket: dict[str, list[Rule]] = {}
        for rule in sorted(self.rules, key=lambda r: -len(r.prefix)):
            by_bucket.setdefault(rule.bucket, []).append(rule)
        object.__setattr__(self, "_by_bucket", {b: tuple(r) for b, r in by_bucket.items()})
        object.__setattr__(self, "recorded", tuple(sorted(self.recorded, key=lambda r: -len(r.prefix))))

    @classmethod
    def from_mapping(cls, target_bucket: str, mapping: Mapping[str, str | bool]) -> Layout:
        """A layout from ``{"s3://bucket/prefix/": "prefix/"}``; the value ``False`` leaves a prefix out.

        A source that is not in S3, such as ``hdfs://nn:8020/wh/``, is a place in recorded paths whose objects another
        rule moves to this prefix. Raises ConfigError for an invalid source, a target that is not a plain prefix, for
        two rules with the same source, and for a source inside the target bucket.
        """
        if not _BUCKET.fullmatch(target_bucket):
            raise ConfigError(f"{target_bucket!r} is not a bucket name.", next_move="Correct [target] bucket.")
        rules: dict[tuple[str, str], Rule] = {}
        recorded: dict[str, Recorded] = {}
        for source, target in mapping.items():
            if not is_s3(source) and (elsewhere := _recorded(source, target, target_bucket)) is not None:
                if elsewhere.prefix in recorded:
                    raise ConfigError(f"[layout] names {elsewhere.source!r} twice.", next_move="Keep one of the two.")
                recorded[elsewhere.prefix] = elsewhere
                continue
            rule = _rule(source, target)
            if rule.bucket == target_bucket:
                raise ConfigError(
                    f"[layout] {source!r} lies in the target bucket {target_bucket!r}.",
                    next_move="The target must be another bucket: migrator never writes to a source.",
                )
            if (rule.bucket, rule.prefix) in rules:
                raise ConfigError(f"[layout] names {rule.source!r} twice.", next_move="Keep one of the two.")
            rules[rule.bucket, rule.prefix] = rule
        return cls(target_bucket, tuple(rules.values()), tuple(recorded.values()))

    @classmethod
    def medallion(cls, target_bucket: str, buckets: Iterable[str]) -> Layout:
        """The built-in layout for those of its buckets that are in ``buckets``."""
        present = [b for b in MEDALLION if b in set(buckets) and b != target_bucket]
        mapping: dict[str, str | bool] = {f"s3://{b}/": f"{b}/" for b in present}
        mapping |= {s: t for s, t in MEDALLION_WAREHOUSES.items() if _rule(s, t).bucket in present}
        return cls.from_mapping(target_bucket, mapping)

    @property
    def buckets(self) -> tuple[str, ...]:
        """The source buckets, in order."""
        return tuple(sorted(self._by_bucket))

    @property
    def moved_buckets(self) -> tuple[str, ...]:
        """The source buckets of which at least one prefix moves, in order. The others need not exist."""
        return tuple(sorted({rule.bucket for rule in self.rules if rule.target is not None}))

    @property
    def target_prefixes(self) -> list[str]:
        """The target prefixes of the rules, each once, in order; without a slash at the end."""
        return sorted({rule.target for rule in self.rules if rule.target is not None})

    @property
    def chosen(self) -> tuple[Rule | Recorded, ...]:
        """The rules that move objects in this plan, if other plans carry out others; none if this one moves all."""
        rules: tuple[Rule | Recorded, ...] = (*self.rules, *self.recorded)
        return tuple(rule for rule in rules if self.later and rule.target is not None)

    @property
    def whole(self) -> Layout:
        """This layout with the rules of the other plans, too."""
        rules = {rule.source: rule for rule in self.later if isinstance(rule, Rule)}
        recorded = {rule.source: rule for rule in self.later if isinstance(rule, Recorded)}
        return Layout(
            self.target_bucket,
            tuple(rules.get(rule.source, rule) for rule in self.rules),
            tuple(recorded.get(rule.source, rule) for rule in self.recorded),
        )

    def later_rule(self, uri: str) -> Rule | Recorded | None:
        """The rule of another plan that moves this path; None if there is none."""
        if not self.later:
            return None
        at = Location.parse(uri)
        found: Rule | Recorded | None = self.recorded_rule(uri) if at is None else self.rule_for(at.bucket, at.key)
        return next((rule for rule in self.later if found is not None and rule.source == found.source), None)

    def later_target(self, uri: str) -> Rule | Recorded | None:
        """The rule of another plan that moves objects to this place in the target; None if there is none."""
        at = Location.parse(uri)
        if at is None or at.bucket != self.target_bucket:
            return None
        return next((rule for rule in self.later if Rule("", rule.target or "", None).covers(at.key)), None)

    def rule_for(self, bucket: str, key: str) -> Rule | None:
        """The rule with the longest prefix that covers this key, or None."""
        for rule in self._by_bucket.get(bucket, ()):
            if rule.covers(key):
                return rule
        return None

    def map_key(self, bucket: str, key: str) -> str | None:
        """The key in the target bucket that ``bucket``/``key`` goes to; None if no rule moves it."""
        rule = self.rule_for(bucket, key)
        return rule.move(key) if rule else None

    def map_uri(self, uri: str) -> str | None:
        """The new URI of ``uri``: same scheme, target bucket, mapped key; None if no rule moves it. A path that is
        not in S3 gets the scheme of its rule.

        A URI that already lies in the target bucket maps to itself, so mapping twice has the same result as mapping
        once. ``s3a://bucket`` and ``s3a://bucket/`` are both mapped, without or with the trailing slash as before.
        """
        return self._moved(uri, None)

    def _moved(self, uri: str, left: str | None) -> str | None:
        """See :meth:`map_uri`. ``left``: what is returned for an S3 URI that a rule leaves where it is."""
        # Called for every path of every manifest: this splits the URI as Location.parse does, but faster.
        scheme, _, rest = uri.partition("://")
        bucket, _, old = rest.partition("/")
        if scheme not in S3_SCHEMES or not bucket:
            return self._map_recorded(uri)
        if bucket == self.target_bucket:
            return uri
        rule = self.rule_for(bucket, old)
        if rule is None or rule.target is None:
            return None if rule is None else left
        key = rule.move(old) or ""
        if not old and uri.endswith("/") and key:
            key += "/"
        return f"{scheme}://{self.target_bucket}" + (f"/{key}" if key or uri.endswith("/") else "")

    def stays(self, uri: str) -> bool:
        """True for an S3 URI of a place that a rule leaves where it is."""
        at = Location.parse(uri)
        rule = self.rule_for(at.bucket, at.key) if at is not None else None
        return rule is not None and rule.target is None

    def new_path(self, uri: str) -> str | None:
        """The path of this file in a moved table: as :meth:`map_uri`, but a path that :meth:`stays` is not changed."""
        return self._moved(uri, uri)

    def _map_recorded(self, path: str) -> str | None:
        rule = self.recorded_rule(path)
        key = rule.move(spelled(path)) if rule else None
        if rule is None or key is None:
            return None
        return f"{rule.scheme}://{self.target_bucket}" + (f"/{key}" if key or path.endswith("/") else "")

    def recorded_rule(self, path: str) -> Recorded | None:
        """The rule with the longest prefix that covers this path, which is not in S3, or None."""
        whole = spelled(path) if self.recorded else ""
        return next((rule for rule in self.recorded if rule.covers(whole)), None)

    def place_of(self, path: str) -> Location | None:
        """The place of the object of a path.

        For an S3 URI, that is the URI itself. For a path outside of S3, it is the old object that goes to the same
        target key; if several rules map to that key, one of them. None if no rule does.
        """
        if is_s3(path) or (new := Location.parse(self._map_recorded(path) or "")) is None:
            return Location.parse(path)
        return next((Location("s3", bucket, key) for bucket, key in self.sources_of(new.key)), None)

    def sources_of(self, key: str) -> Iterator[tuple[str, str]]:
        """The (bucket, key) of every old place from which an object goes to this key in the target bucket: several if
        several rules map to this key. The rule with the longest target prefix comes first."""
        for rule in sorted(self.rules, key=lambda rule: -len(rule.target or "")):
            if rule.target is None or not Rule("", rule.target, "").covers(key):
                continue
            rest = key[len(rule.target) + 1 :] if rule.target else key
            old = f"{rule.prefix}/{rest}" if rule.prefix and rest else rule.prefix or rest
            if self.map_key(rule.bucket, old) == key:
                yield rule.bucket, old

    def is_source(self, uri: str) -> bool:
        """True if ``uri`` is in one of the source buckets, moved or not, or if a rule maps this path outside of S3."""
        location = Location.parse(uri)
        return self._map_recorded(uri) is not None if location is None else location.bucket in self._by_bucket

    def to_mapping(self) -> dict[str, str | bool]:
        """The inverse of :meth:`from_mapping`."""
        mapping: dict[str, str | bool] = {
            r.source: False if r.target is None else (f"{r.target}/" if r.target else "") for r in self.rules
        }
        for rule in self.recorded:
            folder = f"{rule.target}/" if rule.target else ""
            if rule.scheme != "s3":
                folder = f"{rule.scheme}://{self.target_bucket}/{folder}"
            mapping[rule.source] = False if rule.target is None else folder
        return mapping


def source_places(layout: Layout) -> list[tuple[str, str]]:
    """The smallest set of (bucket, prefix) pairs whose listings contain every object that a rule moves exactly once."""
    places: list[tuple[str, str]] = []
    for rule in sorted(layout.rules, key=lambda r: (r.bucket, len(r.prefix))):
        if rule.target is None:
            continue  # objects that stay are not listed, and their bucket may not exist any more
        if not any(rule.bucket == b and rule.prefix.startswith(p) for b, p in places):
            places.append((rule.bucket, rule.prefix))
    return places


def _rule(source: str, target: str | bool) -> Rule:
    location = Location.parse(source)
    if location is None or not _BUCKET.fullmatch(location.bucket):
        raise ConfigError(
            f"[layout] {source!r} is not a place in S3.",
            next_move='Write it as "s3://bucket/" or "s3://bucket/prefix/"; or, for paths that tables record, as they '
            'do: "hdfs://host:8020/warehouse/".',
        )
    return Rule(location.bucket, location.key.removesuffix("/"), _target(source, target))


def _recorded(source: str, target: str | bool, target_bucket: str) -> Recorded | None:
    """The rule for paths that are not in S3; None if the source has no scheme."""
    prefix = spelled(source).rstrip("/")
    if ":/" not in source and not source.startswith("/") and "/" not in prefix:
        return None
    if not prefix or has_password(prefix):
        raise ConfigError(
            f"[layout] {redacted(source)!r} cannot be a prefix of paths in tables.",
            next_move='Write a prefix of the paths in the tables, such as "hdfs://host:8020/warehouse/".',
        )
    scheme = "s3"
    if isinstance(target, str) and is_s3(target):
        at = Location.parse(target)
        if at is None or at.bucket != target_bucket:
            raise ConfigError(
                f"[layout] {source!r} maps to {target!r}, which is not in the target bucket {target_bucket!r}.",
                next_move='Write the prefix inside the target bucket, for example "warehouse/".',
            )
        scheme, target = at.scheme, at.key
    return Recorded(prefix, _target(source, target), scheme)


def _target(source: str, target: str | bool) -> str | None:
    """The target prefix without a slash at its end; None for ``false``."""
    if target is False:
        return None
    if not isinstance(target, str):
        raise ConfigError(
            f"[layout] {source!r} must map to a prefix or to false, not to {target!r}.",
            next_move='For example "warehouse/", or false to leave it where it is.',
        )
    if "://" in target or target.startswith("/") or "//" in target or {".", ".."} & set(target.split("/")):
        raise ConfigError(
            f"[layout] {source!r} maps to {target!r}, which is not a plain prefix.",
            next_move='Write the prefix inside the target bucket, for example "warehouse/".',
        )
    return target.removesuffix("/")
