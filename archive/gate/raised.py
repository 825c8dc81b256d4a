"""What a gate rule sees beside the dossier, and what it yields."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

from archive.assembly.courses import CourseRules, Interval
from archive.evidence import DoseEvidence
from archive.facts.decisions import Decision
from archive.gate.binding import standard_rulebook
from archive.gate.demands import Demands
from archive.model import Dossier


def _standard_demands() -> Demands:
    return Demands(rulebook=standard_rulebook(), packs={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rule may know beside the dossier itself.

    Parameters
    ----------
    by_frame
        UIDs of instances that only their frame of reference ties to the dossier.
    neighbours
        First and last days of the patient's other courses.
    decisions
        All decisions about the patient.
    rules
        Settings of the grouping into courses.
    demands
        How each code is judged; the gate sets it.
    evidence
        What was found out about the planned dose, by UID of the plan; None where nobody looks. The gate sets it.
    """

    by_frame: frozenset[str] = frozenset()
    neighbours: tuple[Interval, ...] = ()
    decisions: tuple[Decision, ...] = ()
    rules: CourseRules = field(default_factory=CourseRules)
    demands: Demands = field(default_factory=_standard_demands)
    evidence: Mapping[str, DoseEvidence] | None = None


class Term(str):
    """A word among the figures of a finding, such as ``birth-date``; ``terms.toml`` says it in each language."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure that is another now; both texts are empty where they would be too long to be read in a sentence."""

    what: Term
    before: str = ""
    after: str = ""


class Changes(tuple[Change, ...]):
    """Changes among the figures of a finding; they are told one after the other."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A finding before it has words: a code, the figures of its text, and the instances it is about.

    Parameters
    ----------
    subject
        What lacks something: a UID, or a UID and what tells several of one code apart, parted by ``/``. It begins with
        the UID of the plan where it is about one; empty for the dossier as a whole.
    params
        Figures and names as they stand in the data; `Term` or `Changes` for anything that is said in a language.
    since
        Since when it is so, where no instance tells.
    """

    code: str
    subject: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    instance_uids: tuple[str, ...] = ()
    since: date | None = None

    @property
    def plan_uid(self) -> str:
        """UID of the plan it is about, if it is about one."""
        return self.subject.partition("/")[0]

    @property
    def figures_sha256(self) -> str:
        """Digest of code, subject and figures, never of prose: a waiver is signed for these."""
        figures = {"code": self.code, "subject": self.subject, "figures": dict(self.params)}
        canonical = json.dumps(figures, default=asdict, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


Rule = Callable[[Dossier, Surroundings], Iterator[Raised]]
