"""What a check of the archive found, added up."""

from dataclasses import dataclass, field
from typing import Any

from archive.vault.rounds import Outcome


@dataclass(slots=True, kw_only=True)
class Found:
    """Adds up outcomes; what is still wrong stands in `problems`, in words."""

    dossiers: int = 0
    objects: int = 0
    size_bytes: int = 0
    repaired: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more unit."""
        checked = outcome.checked
        self.dossiers += bool(outcome.unit.dossier and checked.objects)
        self.objects += checked.objects
        self.size_bytes += checked.size_bytes
        self.repaired += outcome.repaired
        for damage in outcome.damages:
            where = " (in the second store)" if damage.copy > 1 else ""
            named = f"{damage.dossier}: " if damage.dossier else ""
            self.problems.append(f"{named}{damage.problem}{where}")

    def answer(self) -> dict[str, Any]:
        """Return what `lastgate verify --json` prints."""
        return {
            "dossiers": self.dossiers,
            "objects": self.objects,
            "bytes": self.size_bytes,
            "repaired": self.repaired,
            "problems": self.problems,
        }
