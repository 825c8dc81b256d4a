"""The gate: rules say what a dossier lacks, ``findings.toml`` says it in words.

A rule is a function that yields `Raised` values; it knows codes and figures,
never prose. Which roles may waive a finding stands beside its words.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files

from pydantic import TypeAdapter

from archive.facts.decisions import Decision, Waive
from archive.gate.content import CONTENT_RULES
from archive.gate.raised import Changes, Raised, Surroundings, Term
from archive.gate.treatment import DELIVERY_RULES
from archive.model import Dossier, Finding, Held, Person, Severity, Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How one finding reads, how grave it is and who may let it stand."""

    severity: Severity
    waivable_by: tuple[str, ...]
    en: str
    zh: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWords:
    """How a word among the figures reads."""

    en: str
    zh: str


_TERMS = TypeAdapter(dict[str, TermWords])
_WORDS = TypeAdapter(dict[str, Words])


def standard_words() -> dict[str, Words]:
    """Return the words that come with the program, by code."""
    return _WORDS.validate_python(_table("findings.toml"))


def standard_terms() -> dict[str, TermWords]:
    """Return the words that stand among figures, by `Term`."""
    return _TERMS.validate_python(_table("terms.toml"))


def _table(name: str) -> dict[str, object]:
    return tomllib.loads(files("archive.gate").joinpath(name).read_text("utf-8"))


class Gate:
    """Applies the rules to dossiers.

    Parameters
    ----------
    words
        Texts, severities and roles by code; the ones that come with the program if None.
    """

    def __init__(self, words: Mapping[str, Words] | None = None) -> None:
        self._words = standard_words() if words is None else words
        self._terms = standard_terms()

    def of_dossier(self, dossier: Dossier, surroundings: Surroundings) -> tuple[Finding, ...]:
        """Return the findings of a dossier, the gravest first, then by code and subject."""
        days = {held.uid: held.receipt.received_at.date() for held in (*dossier.instances, *dossier.late)}
        first = min(days.values(), default=None)
        signed = _Signed(surroundings.decisions, frozenset(dossier.plan_uids))
        findings = []
        for rule in (*CONTENT_RULES, *DELIVERY_RULES):
            for raised in rule(dossier, surroundings):
                since = min((days[uid] for uid in raised.instance_uids if uid in days), default=raised.since or first)
                findings.append(signed.waive(self._in_words(raised, since)))
        return tuple(sorted(findings, key=_order))

    def of_patient(self, person: Person, unattached: Sequence[Held]) -> tuple[Finding, ...]:
        """Return the findings of a patient as a whole: what belongs to no course, or to nobody."""
        if not unattached:
            return ()
        kinds = ", ".join(sorted({held.header.modality or held.kind.value for held in unattached}))
        uids = tuple(held.uid for held in unattached)
        raised = [Raised(code="UNATTACHED", params={"count": len(uids), "kinds": kinds}, instance_uids=uids)]
        if not person.identifiers:
            raised.append(Raised(code="PATIENT-UNKNOWN", instance_uids=uids))
        since = min(held.receipt.received_at.date() for held in unattached)
        return tuple(sorted((self._in_words(one, since) for one in raised), key=_order))

    def _in_words(self, raised: Raised, since: date | None) -> Finding:
        words = self._words[raised.code]
        return Finding(
            code=raised.code,
            subject=raised.subject,
            severity=words.severity,
            message=words.en.format_map(self._said(raised, lambda term: term.en)),
            message_zh=words.zh.format_map(self._said(raised, lambda term: term.zh)),
            fix=words.fix,
            waivable_by=words.waivable_by,
            since=since,
            instance_uids=raised.instance_uids,
        )

    def _said(self, raised: Raised, language: Callable[[TermWords], str]) -> dict[str, object]:
        """Return the figures of a finding, its terms in one language."""
        return {name: self._in_language(value, language) for name, value in raised.params.items()}

    def _in_language(self, value: object, language: Callable[[TermWords], str]) -> object:
        if isinstance(value, Term):
            return language(self._terms[value])
        if isinstance(value, Changes):
            told = ((language(self._terms[one.what]), one.before, one.after) for one in value)
            return "; ".join(f"{what} {before} → {after}" if before or after else what for what, before, after in told)
        return value


_GRAVITY = tuple(Severity)


def _order(finding: Finding) -> tuple[int, str, str]:
    return (_GRAVITY.index(finding.severity), finding.code, finding.subject)


class _Signed:
    """The waivers signed for one course."""

    def __init__(self, decisions: Iterable[Decision], plan_uids: frozenset[str]) -> None:
        self._by_finding: dict[tuple[str, str, str], list[Waiver]] = {}
        for decision in sorted(decisions, key=lambda one: one.number):
            what = decision.what
            if isinstance(what, Waive) and plan_uids.intersection(what.plan_uids):
                waiver = Waiver(reason=what.reason, account=decision.account, role=decision.role, decision=decision)
                self._by_finding.setdefault((what.code, what.subject, what.message), []).append(waiver)

    def waive(self, finding: Finding) -> Finding:
        """Return the finding with the waivers that were signed for just these words."""
        waivers = self._by_finding.get((finding.code, finding.subject, finding.message), ())
        return replace(finding, waivers=tuple(waivers))
