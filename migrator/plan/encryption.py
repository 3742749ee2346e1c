"""The default encryption of the target. It applies to all copies: the encryption of a source is not copied."""

from __future__ import annotations

from migrator.findings import Finding
from migrator.inventory.bucket_settings import encryption_of, strength_of
from migrator.settings.kinds import ENCRYPTION
from migrator.store.bucket_settings import BucketSettings


def default_algorithm(settings: BucketSettings) -> str:
    """The algorithm of a bucket's default encryption; "" for none."""
    return encryption_of(settings.found.get(ENCRYPTION))[0]


class TargetEncryption:
    """How the target encrypts. ``target``: its settings, or those that it will have when it is created (``exists``
    False)."""

    def __init__(self, target: BucketSettings, *, exists: bool) -> None:
        self._bucket, self._exists = target.bucket, exists
        self._unread = ENCRYPTION in target.denied or ENCRYPTION in target.failed
        self._algorithm = default_algorithm(target)

    def is_weaker_than(self, algorithm: str) -> bool:
        """True if copies would be encrypted less than with this algorithm. False if that is not known."""
        return not self._unread and strength_of(self._algorithm) < strength_of(algorithm)

    def finding(self, bucket: str, what: str, *, count: int = 1) -> Finding:
        """The finding that copies would be encrypted less than their sources in an old bucket. ``what``: which sources
        are encrypted."""
        weaker = "encrypts only with keys of the server (SSE-S3)" if self._algorithm else "is not set to encrypt"
        if not self._exists:
            weaker += ", because it does not exist yet"
        move = (
            f"Set default encryption on s3://{self._bucket}/ before anything is copied: aws s3api "
            "put-bucket-encryption."
        )
        message = f"{what}, and the target {weaker}"
        return Finding.of("target-not-encrypted", f"s3://{bucket}/", message, move, count=count)
