"""A gate for tests of what comes behind it."""

from archive.gate.gate import Gate
from archive.model import Finding


class AsksNothing(Gate):
    """A gate that lets everything pass: what the gate asks is tested elsewhere."""

    def of_dossier(self, *_: object, **__: object) -> tuple[Finding, ...]:
        """Find nothing."""
        return ()

    def of_patient(self, *_: object, **__: object) -> tuple[Finding, ...]:
        """Find nothing."""
        return ()
