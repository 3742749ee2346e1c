"""The settings of the target as ``aws`` or ``mc`` commands, for scripts. Documents are here-documents in the commands,
and every name is quoted for the shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from migrator.settings.kinds import (
    CORS,
    ENCRYPTION,
    LIFECYCLE,
    LOCK,
    NOTIFICATIONS,
    POLICY,
    TAGS,
    VERSIONING,
    Document,
)
from migrator.settings.notifications import KINDS, limits_of

AWS, MC = "aws", "mc"
ALIAS = "ALIAS"
"""A placeholder for the alias of the server in ``mc``; the user replaces it."""
_END = "END"
_FILE = "file:///dev/stdin"
_SSE = "ServerSideEncryptionConfiguration"
_AWS: Mapping[str, tuple[str, str, str]] = {
    POLICY: ("put-bucket-policy", "--policy", ""),
    LIFECYCLE: ("put-bucket-lifecycle-configuration", "--lifecycle-configuration", ""),
    ENCRYPTION: (
        "put-bucket-encryption",
        "--server-side-encryption-configuration",
        "ServerSideEncryptionConfiguration",
    ),
    VERSIONING: ("put-bucket-versioning", "--versioning-configuration", ""),
    TAGS: ("put-bucket-tagging", "--tagging", ""),
    CORS: ("put-bucket-cors", "--cors-configuration", ""),
    NOTIFICATIONS: ("put-bucket-notification-configuration", "--notification-configuration", ""),
    LOCK: ("put-object-lock-configuration", "--object-lock-configuration", "ObjectLockConfiguration"),
}
"""Setting → the command, its option, and the part of the document that the option takes ("" for all of it)."""
_MC_EVENTS = {"s3:ObjectCreated": "put", "s3:ObjectRemoved": "delete", "s3:ObjectAccessed": "get"}


def commands(kind: str, bucket: str, settings: Iterable[tuple[str, Document]], *, make: bool) -> str:
    """The commands that set these (setting, document) on a bucket. ``make``: also create the bucket. Comments name
    settings that ``mc`` cannot set."""
    lines = [_make(kind, bucket)] if make else []
    for setting, document in settings:
        lines.append(_aws(bucket, setting, document) if kind == AWS else _mc(bucket, setting, document))
    return "".join(f"{line}\n" for line in lines)


def readable(setting: str, document: Document | None) -> Any:
    """A document for people: with a policy as a JSON object instead of a text."""
    if document is None:
        return None
    return json.loads(document["Policy"]) if setting == POLICY else dict(document)


def _make(kind: str, bucket: str) -> str:
    if kind == AWS:
        return f"aws s3api create-bucket --bucket {shlex.quote(bucket)}"
    return f"mc mb --ignore-existing {_place(bucket)}"


def _place(bucket: str) -> str:
    return shlex.quote(f"{ALIAS}/{bucket}")


def _here(command: str, text: str) -> str:
    """A command with a text as its input. The end marker is a word that no line of the text has."""
    end = _END
    while end in text.split("\n"):
        end += "_"
    return f"{command} <<'{end}'\n{text}\n{end}"


def _from_file(start: str, end: str, text: str) -> str:
    """A command with a text in a file: some commands of mc read no standard input."""
    written = _here('FILE=$(mktemp) && cat > "$FILE"', text)
    return f'{written}\n{start} "$FILE" {end}'.rstrip() + ' && rm "$FILE"'


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)


def _aws(bucket: str, setting: str, document: Document) -> str:
    command, option, part = _AWS[setting]
    value = readable(setting, document)
    start = f"aws s3api {command} --bucket {shlex.quote(bucket)}"
    if setting == LIFECYCLE:
        value = {"Rules": value["Rules"]}
    return _here(f"{start} {option} {_FILE}", _json(value[part] if part else value))


def _mc(bucket: str, setting: str, document: Document) -> str:
    return _MC[setting](bucket, document)


def _mc_policy(bucket: str, document: Document) -> str:
    return _from_file("mc anonymous set-json", _place(bucket), _json(readable(POLICY, document)))


def _mc_lifecycle(bucket: str, document: Document) -> str:
    rules = [_of_mc(rule) for rule in document["Rules"]]
    lost = [str(rule.get("ID")) for rule, made in zip(document["Rules"], rules, strict=True) if made is None]
    notes = [f"# mc cannot set the lifecycle rule {_comment(name)}: it has several transitions" for name in lost]
    kept = [rule for rule in rules if rule is not None]
    return "\n".join([*notes, _here(f"mc ilm import {_place(bucket)}", _json({"Rules": kept}))])


def _of_mc(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    """A lifecycle rule in the format of mc, which has one transition instead of a list; None if there are more."""
    made = dict(rule)
    for many, one in (("Transitions", "Transition"), ("NoncurrentVersionTransitions", "NoncurrentVersionTransition")):
        moves = list(made.pop(many, []))
        if len(moves) > 1:
            return None
        if moves:
            made[one] = moves[0]
    return made


def _mc_encryption(bucket: str, document: Document) -> str:
    default = document["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    if default["SSEAlgorithm"] == "AES256":
        return f"mc encrypt set sse-s3 {_place(bucket)}"
    return f"mc encrypt set sse-kms {shlex.quote(str(default.get('KMSMasterKeyID', '')))} {_place(bucket)}"


def _mc_versioning(bucket: str, document: Document) -> str:
    return f"mc version {'enable' if document.get('Status') == 'Enabled' else 'suspend'} {_place(bucket)}"


def _mc_tags(bucket: str, document: Document) -> str:
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in document["TagSet"]}
    if any({"&", "="} & {*key, *value} for key, value in tags.items()):
        return "# mc cannot set these tags: a key or a value has & or = in it"
    return f"mc tag set {_place(bucket)} {shlex.quote('&'.join(f'{key}={value}' for key, value in tags.items()))}"


def _mc_cors(bucket: str, document: Document) -> str:
    """mc takes the XML of S3."""
    one = {"AllowedMethods": "AllowedMethod", "AllowedOrigins": "AllowedOrigin", "AllowedHeaders": "AllowedHeader",
           "ExposeHeaders": "ExposeHeader", "ID": "ID", "MaxAgeSeconds": "MaxAgeSeconds"}  # fmt: skip
    rules = []
    for rule in document["CORSRules"]:
        inner = "".join(
            f"<{one[name]}>{escape(str(value))}</{one[name]}>"
            for name, values in rule.items()
            for value in (values if isinstance(values, list) else [values])
        )
        rules.append(f"  <CORSRule>{inner}</CORSRule>")
    text = "\n".join(["<CORSConfiguration>", *rules, "</CORSConfiguration>"])
    return _from_file(f"mc cors set {_place(bucket)}", "", text)


def _mc_notifications(bucket: str, document: Document) -> str:
    lines = []
    for kind, name in KINDS.items():
        for one in document.get(kind, []):
            words = {_MC_EVENTS.get(str(event).rsplit(":", 1)[0], "") for event in one["Events"]}
            if "" in words:
                lines.append(f"# mc cannot set the notification {_comment(str(one.get('Id')))}: it has other events")
                continue
            limits = "".join(f" --{key} {shlex.quote(value)}" for key, value in limits_of(one).items() if value)
            events = ",".join(sorted(words))
            arn = shlex.quote(str(one[name]))
            lines.append(f"mc event add {_place(bucket)} {arn} --event {events}{limits} --ignore-existing")
    return "\n".join(lines)


def _mc_lock(bucket: str, document: Document) -> str:
    default = document["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention")
    if not default:
        return "# object lock: mc mb --with-lock makes a bucket with it"
    time = f"{int(default['Days'])}d" if "Days" in default else f"{int(default['Years'])}y"
    mode = shlex.quote(str(default["Mode"]).lower())
    return f"mc retention set --default {mode} {time} {_place(bucket)}"


def _comment(text: str) -> str:
    """A name in a comment of a script, without line breaks."""
    return "".join(char if char.isprintable() else "?" for char in text)


_MC: Mapping[str, Callable[[str, Document], str]] = {
    POLICY: _mc_policy,
    LIFECYCLE: _mc_lifecycle,
    ENCRYPTION: _mc_encryption,
    VERSIONING: _mc_versioning,
    TAGS: _mc_tags,
    CORS: _mc_cors,
    NOTIFICATIONS: _mc_notifications,
    LOCK: _mc_lock,
}
