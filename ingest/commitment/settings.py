"""How Storage Commitment and its notices behave."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentSettings:
    """How we answer requests for commitment, and how we ask others.

    Parameters
    ----------
    ae_title
        Ours, when we call.
    unknown_after
        An instance that no spool of this node holds and no receipt names fails after so long (0112).
    fails_after
        What is not filed, or can't be read, after so long fails (0110): DESIGN section 3, promise 1.
    same_association
        So long the answer waits for the requestor to take it on its own association before we call it.
    gives_up_after
        So long a requestor is called that can't be reached.
    kept_for
        So long a closed transaction is kept, and its UID stays taken.
    least_copies
        So many copies that stand for themselves must be whole.
    bytes_per_s
        Rate of reading back; 0 for no limit.
    """

    ae_title: str = "LASTGATE"
    unknown_after: timedelta = timedelta(minutes=10)
    fails_after: timedelta = timedelta(hours=24)
    same_association: timedelta = timedelta(seconds=5)
    gives_up_after: timedelta = timedelta(days=7)
    kept_for: timedelta = timedelta(days=30)
    least_copies: int = 1
    bytes_per_s: int = 100_000_000
