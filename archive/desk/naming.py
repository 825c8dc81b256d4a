"""What people name at the desk: dossiers and findings by a part of their names, and roles that may do something."""

from archive.desk.accounts import Account
from archive.errors import Ambiguous, NotFound, Refused
from archive.model import Dossier, Finding, PatientRecord


def pick(record: PatientRecord, name: str) -> Dossier:
    """Return a patient's dossier by its id, an alias or the beginning of one; raises `NotFound`, `Ambiguous`."""
    fitting = [one for one in record.dossiers if any(known.startswith(name) for known in (one.id, *one.aliases))]
    if not fitting:
        raise NotFound(f"There is no dossier {name!r}")
    if len(fitting) > 1:
        raise Ambiguous(f"{name!r} fits {len(fitting)} dossiers")
    return fitting[0]


def pick_finding(dossier: Dossier, name: str) -> Finding:
    """Return a finding by its id, or by its code where there is only one of it; raises `NotFound`, `Ambiguous`."""
    fitting = [one for one in dossier.findings if one.id == name]
    fitting = fitting or [one for one in dossier.findings if one.code == name]
    if not fitting:
        raise NotFound(f"The dossier has no finding {name!r}", hint="Run `lastgate gate DOSSIER` to see what it has.")
    if len(fitting) > 1:
        raise Ambiguous(f"There are {len(fitting)} findings {name}", hint="Name it with its ending, as gate shows.")
    return fitting[0]


def refuse_role(account: Account, allowed: frozenset[str], doing: str) -> None:
    """Raise `Refused` unless the account has one of these roles."""
    if account.role not in allowed:
        hint = f"Ask a {' or a '.join(sorted(allowed))}."
        raise Refused(f"{account.name!r} is {account.role} and may not {doing.replace('-', ' ')}", hint=hint)
