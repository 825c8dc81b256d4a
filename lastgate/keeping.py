"""Joins what keeps dossiers for their term: retention, disposal, the sweep of the intake, keys, time-stamps."""

import threading
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from archive.answers import person_answer
from archive.desk.keeping import Keeping, Kept
from archive.facts.decisions import Decision
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import Dossier, DossierState
from archive.signing.keys import KeyRing, PublicKey
from archive.vault.retention import Retention, Rule, hold_of, retention_of, rules_of
from archive.vault.tidying import Tidied, Tidying, sweep_before
from lastgate.settings import SealSettings, Settings, SettingsError
from search.kinds import Kind
from search.query import Query

if TYPE_CHECKING:
    from archive.signing.timestamps import TimeStamps
    from lastgate.wiring import House

_EVERY_S: Final = 3600.0
_LOG = structlog.get_logger(__name__)


def terms_in_force(settings: Settings) -> tuple[Rule, ...]:
    """Return the terms of the settings."""
    return rules_of(settings.retention.preset, site_years=settings.retention.years or settings.retention_years)


def retained(settings: Settings, dossier: Dossier, decisions: Sequence[Decision], sealed_on: date) -> Retention:
    """Return until when a dossier is kept by the terms of the settings."""
    return retention_of(dossier, decisions, terms_in_force(settings), sealed_on=sealed_on)


def keeping_of(house: "House") -> Keeping:
    """Return where people settle how long dossiers are kept."""
    return Keeping(desk=house.desk, rules=terms_in_force(house.settings), lock_certificates=house.end_of_retention)


def timestamps_of(settings: SealSettings) -> "TimeStamps | None":
    """Return what has seals time-stamped and checks that; None where the settings name neither.

    Raises
    ------
    SettingsError
        The certificates can't be read, or a stamp is asked for that could not be checked.
    """
    if settings.timestamp_authority is None:
        if settings.timestamp_url:
            raise SettingsError(
                "seal.timestamp_url is set without seal.timestamp_authority: its stamps can't be checked"
            )
        return None
    return _timestamps(settings.timestamp_url, settings.timestamp_authority, settings.timestamp_required)


@cache
def _timestamps(url: str, authority: Path, is_required: bool) -> "TimeStamps":
    from archive.signing.timestamps import TimeStamps

    try:
        return TimeStamps(url=url, authority=authority.read_bytes(), is_required=is_required)
    except (OSError, ValueError) as error:
        raise SettingsError(f"seal.timestamp_authority: {authority} holds no certificates: {error}") from error


def tidy(house: "House") -> Iterator[Tidied]:
    """End disposals that were interrupted, and let the intake go of what lies in the vault; journal what went."""
    end_disposals(house)
    days = house.settings.intake_grace_days
    if days is not None:
        yield from _tidying(house).sweep(before=sweep_before(house.clock(), days=days))


def end_disposals(house: "House") -> int:
    """Bring disposals to their end that a crash interrupted; raises what a store raises."""
    return keeping_of(house).resume()


def _tidying(house: "House") -> Tidying:
    def dossiers(key: PatientKey) -> Iterator[Dossier]:
        for one in house.facts.linked(key):
            yield from house.desk.record(one).dossiers

    def record(tidied: Tidied) -> None:
        subject = {"dossier": tidied.dossier, "version": tidied.version, "objects": tidied.objects}
        house.journal.append(Event(act="tidy", account=house.settings.node.id, subject=subject))

    return Tidying(
        work=house.stores.work, locked=house.stores.locked, vault=house.vault, dossiers=dossiers, record=record
    )


def keep_tidy(house: "House", stop: threading.Event) -> None:
    """Tidy up every hour until `stop` is set; what fails is tried again."""
    while not stop.wait(_EVERY_S):
        try:
            for tidied in tidy(house):
                _LOG.info("intake.tidied", dossier=tidied.dossier, objects=tidied.objects)
                if stop.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - one damaged dossier must not end the node
            _LOG.error("intake.untidy", error=f"{type(error).__name__}: {error}")


def due(house: "House") -> Iterator[tuple[Kept, dict[str, Any]]]:
    """Yield the sealed dossiers whose retention has ended, with the answer about their patient, by day of its end."""
    keeping, now = keeping_of(house), house.clock()
    query = Query(kind=Kind.DOSSIER, state=(DossierState.SEALED.value,), limit=500)
    keys = dict.fromkeys(PatientKey(hit.patient_key) for hit in house.hits(query))
    found = {
        kept.dossier.id: kept for key in keys for kept in keeping.all_kept(house.desk.record(key)) if kept.is_due(now)
    }
    for kept in sorted(found.values(), key=lambda one: (one.retention.until, one.dossier.id)):
        yield kept, person_answer(kept.dossier.person)


def kept_answer(house: "House", key: PatientKey, dossier: Dossier) -> dict[str, Any]:
    """Return as JSON until when a dossier is kept, null while it is not sealed, and who holds it."""
    kept = keeping_of(house).kept(key, dossier.id) if dossier.state is DossierState.SEALED else None
    hold = hold_of(dossier, house.facts.decisions(key))
    terms = kept.retention.terms if kept else ()
    return {
        "until": terms[0].until.isoformat() if terms else None,
        "terms": [{"code": one.code, "until": one.until.isoformat(), "source": one.source} for one in terms],
        "hold": hold
        and {
            "account": hold.account,
            "since": hold.made_at.date().isoformat(),
            "reason": getattr(hold.what, "reason", ""),
        },
    }


def rotate_key(house: "House", *, account: str) -> tuple[PublicKey, ...]:
    """Give the node of a house a new key and return those that ended; before anything of the house signs.

    Raises
    ------
    KeyInUse
        Another process of this node runs.
    """
    from archive.signing.rotation import rotate

    ring = KeyRing(house.stores.work)
    node = house.settings.node.id
    key, ended = rotate(house.key_path, ring, node=node, account=account, clock=house.clock)
    subject = {"node": node, "key": key.id, "ended": ", ".join(one.id for one in ended)}
    house.journal.append(Event(act="rotate-key", account=account, subject=subject))
    return ended


def revoke_key(house: "House", name: str, *, since: datetime, reason: str, account: str) -> PublicKey:
    """Make known that nothing counts which a key signed from `since` on; raises what `KeyRing.revoke` does."""
    ring = KeyRing(house.stores.work)
    found = ring.revoke(name, since=since, reason=reason, by=house.key, account=account, made_at=house.clock())
    subject = {"key": name, "since": since.isoformat(), "reason": found.note}
    house.journal.append(Event(act="revoke-key", account=account, subject=subject))
    return found


def end_former_keys(house: "House") -> None:
    """End keys of this node that a rotation left, because a crash came before their end was written."""
    from archive.signing.rotation import end_former

    ring, node = KeyRing(house.stores.work), house.settings.node.id
    for one in end_former(house.key, ring, node=node, account=node, at=house.clock()):
        subject = {"node": node, "key": house.key.id, "ended": one.id}
        house.journal.append(Event(act="rotate-key", account=node, subject=subject))
