"""Gives a node a new key: the new one is made known first, then put in place, then the old one ends.

Each step may be the last before a crash. Until the new key is in place the
node signs with the old one and rotating again goes on with the same new key;
afterwards `end_former` ends whatever key of the node is not in use.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from archive.signing.keys import KeyRing, PublicKey
from archive.signing.signing import SigningKey, replacing, succeed


def rotate(
    path: Path, ring: KeyRing, *, node: str, account: str, clock: Callable[[], datetime]
) -> tuple[SigningKey, tuple[PublicKey, ...]]:
    """Replace the key of a node in the file `path` and return the new one with those that ended.

    Raises
    ------
    KeyInUse
        A process still signs with the old one; nothing was changed.
    """
    SigningKey.load_or_create(path)
    with replacing(path):
        ring.publish(SigningKey.successor(path), node=node, at=clock())
        succeed(path)
    key = SigningKey.load_or_create(path)
    return key, end_former(key, ring, node=node, account=account, at=clock())


def end_former(key: SigningKey, ring: KeyRing, *, node: str, account: str, at: datetime) -> tuple[PublicKey, ...]:
    """End every key of a node but the one it signs with, and return those that had not ended."""
    former = tuple(one for one in ring.all() if one.node == node and one.id != key.id and one.ended_at is None)
    for one in former:
        ring.end(one, by=key, account=account, at=at)
    return former
