"""What the signature of a decision covers, and whether it is genuine."""

import hashlib
from collections.abc import Iterable, Iterator

from archive.facts.decisions import DECISION, Decision
from archive.signing.keys import KeyRing
from archive.signing.signing import canonical, is_signed


def signed_body(decision: Decision) -> dict[str, object]:
    """Return what the signature of a decision covers: everything but the signature and its key."""
    body: dict[str, object] = DECISION.dump_python(decision, mode="json")
    return {name: value for name, value in body.items() if name not in {"signature", "public_key"}}


def signed_sha256(decision: Decision) -> str:
    """Return the digest (hex) of what the signature of a decision covers: it names the decision for good."""
    return hashlib.sha256(canonical(signed_body(decision))).hexdigest()


def is_genuine(decision: Decision) -> bool:
    """Return whether a decision is what was signed; whose the key is, `archive.signing.keys.KeyRing` tells."""
    return is_signed(signed_body(decision), signature=decision.signature, public_key=decision.public_key)


def signature_problems(decisions: Iterable[Decision], keys: KeyRing) -> Iterator[str]:
    """Yield, in words, which decisions are not what was signed, or were signed by a key that may not."""
    for decision in decisions:
        named = f"decision {decision.number} ({decision.what.act}, {decision.account})"
        if not is_genuine(decision):
            yield f"{named} is not what was signed"
            continue
        problem = keys.problem(decision.public_key, at=decision.made_at)
        if problem:
            yield f"{named} was signed {problem}"
