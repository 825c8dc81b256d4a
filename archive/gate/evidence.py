"""Gate rules that need dose: they read what was computed in the background (`archive.evidence`)."""

from archive.gate.raised import Rule

EVIDENCE_RULES: tuple[Rule, ...] = ()
