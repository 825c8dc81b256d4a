"""The gate rules in force: read from the department's file, stored when new, applied to what waits."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.errors import BadRules
from archive.facts.receipts import PatientKey
from archive.gate.binding import rulebook_from, standard_rulebook
from archive.gate.demands import Demands
from archive.gate.rulebook import Demand, Rulebook, StoredRules
from archive.gate.stored import RuleStore
from archive.gate.words import words_with
from archive.journal.journal import Event, Journal
from archive.model import Dossier
from search.kinds import Kind
from search.query import Query

if TYPE_CHECKING:
    from lastgate.wiring import House

_MARK = "judged-by"
"""Names the file beside the index that says under which rules it was written."""


def rules_in_force(store: RuleStore, file: Path | None, journal: Journal, *, account: str) -> StoredRules:
    """Return the rules in force after the department's file was looked at; new ones are stored and journalled.

    Raises
    ------
    BadRules
        The file can't be read, or not be used.
    """
    before = store.newest()
    rules = store.adopt(_rulebook(file))
    if before is None or before.number != rules.number:
        subject = {"number": rules.number, "sha256": rules.mark.sha256}
        journal.append(Event(act="rules", account=account, subject=subject))
    return rules


def _rulebook(file: Path | None) -> Rulebook:
    if file is None:
        return standard_rulebook()
    try:
        return rulebook_from(file.read_text("utf-8"))
    except OSError as error:
        raise BadRules(f"The file of the gate's rules {file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRules(f"The file of the gate's rules {file} is no text in UTF-8") from error


def judge_anew(house: "House", *, is_thorough: bool = False) -> int:
    """Fold again what waits at the gate and was judged under other rules; return how many patients that were.

    What is sealed is judged by the rules it was sealed under, and does not change.

    Parameters
    ----------
    is_thorough
        Look at each dossier, not only at what this machine did last: a node that still ran on older rules may have
        written some since.
    """
    mark, number = house.home / _MARK, house.rules.number
    if not is_thorough and mark.is_file() and mark.read_text("ascii") == str(number):
        return 0
    waiting = house.hits(Query(kind=Kind.DOSSIER, state=("open", "ready"), limit=500))
    keys = {PatientKey(hit.patient_key) for hit in waiting if hit.body.get("rules", {}).get("number") != number}
    if keys:
        house.on_facts(*sorted(keys))
    mark.write_text(str(number), "ascii")
    return len(keys)


def rules_answer(rules: StoredRules) -> dict[str, Any]:
    """Return the rules in force as `lastgate gate --rules --json` prints them: what is switched off included."""
    book = rules.rulebook
    words = words_with(book.requirements)
    return {
        "number": rules.number,
        "sha256": rules.mark.sha256,
        "packs": {
            name: {
                "en": pack.en,
                "zh": pack.zh,
                "rules": {code: _demand(demand) for code, demand in sorted(pack.demands.items())},
                "off": list(pack.off),
            }
            for name, pack in sorted(book.packs.items())
        },
        "sources": {code: words[code].source for code in sorted(book.codes) if code in words and words[code].source},
        "courses": {
            "longest_gap_days": book.courses.longest_gap_days,
            "doubtful_gap_days": list(book.courses.doubtful_gap_days),
        },
    }


def _demand(demand: Demand) -> dict[str, Any]:
    figures = {name: list(one) if isinstance(one, tuple) else one for name, one in sorted(demand.figures.items())}
    return {"severity": demand.severity.value, "waivable_by": list(demand.waivable_by), "figures": figures}


def packs_answer(rules: StoredRules, dossier: Dossier) -> dict[str, Any]:
    """Return by which rules and packs a dossier is judged, plan by plan."""
    demands = Demands.on(dossier.plans, rules.rulebook)
    plans = [{"uid": plan.uid, "label": plan.header.label, "pack": demands.packs[plan.uid]} for plan in dossier.plans]
    return {"id": dossier.id, "number": rules.number, "packs": list(demands.whole), "plans": plans}
