"""Where two people are needed: whether a second one may sign what a first one decided, and whether one did.

Pure: it looks at decisions and accounts, stores nothing. A countersignature
names the decision by number and by the digest of what was signed, so that it
holds for those words alone. Two signatures of one person are one signature.
"""

from collections.abc import Collection, Iterable

from archive.desk.accounts import Account
from archive.errors import NotFound, Refused
from archive.facts.decisions import Act, Countersign, Decision
from archive.signing.acts import signed_sha256


def countersign_of(decision: Decision) -> Countersign:
    """Return the act by which a second person signs `decision`."""
    return Countersign(number=decision.number, sha256=signed_sha256(decision))


def countersignatures(decision: Decision, decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Return who signed `decision` beside the one who made it, in order of number, each person's first."""
    wanted = countersign_of(decision)
    found: dict[str, Decision] = {}
    for one in sorted(decisions, key=lambda other: other.number):
        if one.what == wanted and one.number > decision.number and one.account != decision.account:
            found.setdefault(one.account, one)
    return tuple(found.values())


def is_countersigned(decision: Decision, decisions: Iterable[Decision]) -> bool:
    """Return whether a second person signed `decision`."""
    return bool(countersignatures(decision, decisions))


def named_decision(number: int, kind: type[Act], decisions: Iterable[Decision]) -> Decision:
    """Return the decision with this number, if it is of this kind.

    Raises
    ------
    NotFound
        There is none, or it is of another kind.
    """
    found = next((one for one in decisions if one.number == number and isinstance(one.what, kind)), None)
    if found is None:
        raise NotFound(f"There is no such decision {number}", hint="Look at the dossier again: lastgate show DOSSIER")
    return found


def refuse_countersigning(
    decision: Decision, decisions: Iterable[Decision], account: Account, *, roles: Collection[str]
) -> None:
    """Raise if this account may not be the second to sign `decision`.

    Parameters
    ----------
    roles
        Who may sign second.

    Raises
    ------
    Refused
        It is the person who signed first, the role may not, or two have signed already.
    """
    if account.name == decision.account:
        raise Refused(
            f"{account.name!r} made decision {decision.number}", hint="A second person must sign: give another account."
        )
    if account.role not in roles:
        raise Refused(
            f"{account.name!r} is {account.role} and may not sign decision {decision.number}",
            hint=f"Ask a {' or a '.join(sorted(roles))}.",
        )
    signed = countersignatures(decision, decisions)
    if signed:
        raise Refused(
            f"{signed[0].account!r} signed decision {decision.number} already", hint="Two signatures are enough."
        )
