"""The gate: rules say what a dossier lacks, packs say what is asked for, ``findings.toml`` says it in words.

A rule is a function that yields `Raised` values; it knows codes and figures,
never prose. Which codes are asked for, how grave each is and who may waive it
depends on what was treated (`archive.gate.binding`). The gate is pure: no clock,
no index, no store; what it must know of doses is handed in as evidence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from archive.evidence import DoseEvidence
from archive.facts.decisions import Decision, Waive
from archive.gate.agreement import AGREEMENT_RULES
from archive.gate.binding import standard_rulebook
from archive.gate.content import CONTENT_RULES
from archive.gate.corrected import CORRECTED_RULES
from archive.gate.demands import Demands
from archive.gate.dosimetry import EVIDENCE_RULES
from archive.gate.order import ORDER_RULES
from archive.gate.papers import PAPER_RULES
from archive.gate.raised import Changes, Raised, Rule, Surroundings, Term
from archive.gate.rulebook import Demand, StoredRules
from archive.gate.summary import SUMMARY_RULES
from archive.gate.treatment import DELIVERY_RULES
from archive.gate.volumes import VOLUME_RULES
from archive.gate.words import TermWords, Words, standard_terms, words_with
from archive.model import Dossier, Finding, Held, Person, Plan, RulesMark, Severity, Waiver

RULES: tuple[Rule, ...] = (
    *CONTENT_RULES,
    *VOLUME_RULES,
    *PAPER_RULES,
    *AGREEMENT_RULES,
    *DELIVERY_RULES,
    *ORDER_RULES,
    *EVIDENCE_RULES,
    *SUMMARY_RULES,
    *CORRECTED_RULES,
)
"""All rules, whichever codes a pack asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """How one code reads and is judged."""

    words: Words
    demand: Demand


class Gate:
    """Applies the rules to dossiers.

    Parameters
    ----------
    rules
        The rules in force; those that come with the program if None.
    earlier
        Returns the rules of a number: a sealed dossier is judged by those it was sealed under. They never change, so
        each is asked for once.
    evidence
        Returns what was found out about the dose of plans; None where nobody looks at doses.
    """

    def __init__(
        self,
        rules: StoredRules | None = None,
        *,
        earlier: Callable[[int], StoredRules] | None = None,
        evidence: Callable[[Iterable[Plan]], Mapping[str, DoseEvidence]] | None = None,
    ) -> None:
        self.rules = rules or StoredRules(rulebook=standard_rulebook())
        self._earlier = earlier
        self._evidence = evidence
        self._known = {self.rules.number: (self.rules, self.rules.mark)}
        self._terms = standard_terms()

    def mark_for(self, sealed_under: int) -> RulesMark:
        """Return the name of the rules that judge a dossier.

        Parameters
        ----------
        sealed_under
            Number of the rules it was sealed under; 0 where it is not sealed, or was before rules were stored.

        Raises
        ------
        FactDamaged
            Those rules are not there or can't be read.
        """
        number = sealed_under or self.rules.number
        if number not in self._known and self._earlier is not None:
            earlier = self._earlier(number)
            self._known[number] = (earlier, earlier.mark)
        return self._known.get(number, self._known[self.rules.number])[1]

    def of_dossier(self, dossier: Dossier, surroundings: Surroundings) -> tuple[Finding, ...]:
        """Return the findings of a dossier, the gravest first, then by code and subject."""
        days = {held.uid: held.receipt.received_at.date() for held in (*dossier.instances, *dossier.late)}
        first = min(days.values(), default=None)
        signed = _Signed(surroundings.decisions, frozenset(dossier.plan_uids))
        rulebook = self.rules_for(dossier).rulebook
        demands = Demands.on(dossier.plans, rulebook)
        words = words_with(rulebook.requirements)
        evidence = self._evidence(dossier.plans) if self._evidence else None
        around = replace(surroundings, demands=demands, evidence=evidence)
        findings = []
        for rule in RULES:
            for raised in rule(dossier, around):
                demand = demands.of(raised.code, raised.plan_uid)
                if demand is None:
                    continue
                since = min((days[uid] for uid in raised.instance_uids if uid in days), default=raised.since or first)
                code = _Code(words=words[raised.code], demand=demand)
                findings.append(signed.waive(self._in_words(raised, code, since)))
        return tuple(sorted(findings, key=_order))

    def rules_for(self, dossier: Dossier) -> StoredRules:
        """Return the rules that judge a dossier, as `mark_for` named them when it was folded."""
        return self._known.get(dossier.rules.number, self._known[self.rules.number])[0]

    def of_patient(self, person: Person, unattached: Sequence[Held]) -> tuple[Finding, ...]:
        """Return the findings of a patient as a whole: what belongs to no course, or to nobody.

        No pack has a say in them, as no course was treated with anything.
        """
        if not unattached:
            return ()
        kinds = ", ".join(sorted({held.header.modality or held.kind.value for held in unattached}))
        uids = tuple(held.uid for held in unattached)
        raised = [Raised(code="UNATTACHED", params={"count": len(uids), "kinds": kinds}, instance_uids=uids)]
        if not person.identifiers:
            raised.append(Raised(code="PATIENT-UNKNOWN", instance_uids=uids))
        since = min(held.receipt.received_at.date() for held in unattached)
        words = words_with({})
        coded = ((one, _Code(words=words[one.code], demand=words[one.code].demand)) for one in raised)
        return tuple(sorted((self._in_words(one, code, since) for one, code in coded), key=_order))

    def _in_words(self, raised: Raised, code: _Code, since: date | None) -> Finding:
        words = code.words
        return Finding(
            code=raised.code,
            subject=raised.subject,
            severity=code.demand.severity,
            message=words.en.format_map(self._said(raised, lambda term: term.en)),
            message_zh=words.zh.format_map(self._said(raised, lambda term: term.zh)),
            fix=words.fix,
            fix_zh=words.fix_zh,
            waivable_by=code.demand.waivable_by,
            since=since,
            figures_sha256=raised.figures_sha256,
            instance_uids=raised.instance_uids,
        )

    def _said(self, raised: Raised, language: Callable[[TermWords], str]) -> Mapping[str, object]:
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
        self._by_finding: dict[tuple[str, str], list[tuple[Waive, Waiver]]] = {}
        for decision in sorted(decisions, key=lambda one: one.number):
            what = decision.what
            if isinstance(what, Waive) and plan_uids.intersection(what.plan_uids):
                waiver = Waiver(reason=what.reason, account=decision.account, role=decision.role, decision=decision)
                self._by_finding.setdefault((what.code, what.subject), []).append((what, waiver))

    def waive(self, finding: Finding) -> Finding:
        """Return the finding with the waivers that were signed for just these figures."""
        signed = self._by_finding.get((finding.code, finding.subject), ())
        return replace(finding, waivers=tuple(waiver for what, waiver in signed if _covers(what, finding)))


def _covers(what: Waive, finding: Finding) -> bool:
    """Return whether a waiver holds for a finding as it is: by its figures, an early one by its message."""
    if what.figures_sha256:
        return what.figures_sha256 == finding.figures_sha256
    return what.message == finding.message
