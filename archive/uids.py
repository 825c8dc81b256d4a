"""UIDs of what we make ourselves, under a root of our own."""

import hashlib
from typing import Final

UID_ROOT: Final = "2.25.281229701337894082947902907875930691117"
"""Ours for ever: assembly never takes what bears it as plan dose, whoever sends it back."""


def own_uid(*parts: str) -> str:
    """Return the UID of something we make, always the same for the same parts."""
    # The first thousand are kept for what has a name of its own, such as the Implementation Class UID.
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"{UID_ROOT}.{int.from_bytes(digest[:8]) % 10**18 + 1000}"


def is_own(uid: str) -> bool:
    """Return whether we made the thing with this UID."""
    return uid.startswith(f"{UID_ROOT}.")
