"""Names of structures as tables of tissues and limits use them: organ, side and margin apart (AAPM TG-263, 6 to 8).

A side changes no tissue: ``Parotid_L`` is a ``Parotid``. A margin does not either, but a limit of an organ is none of
its planning risk volume: ``SpinalCord_PRV05`` has the alpha/beta of the cord, and limits of its own. Plurals are names
of their own (``Lungs`` is both), as in TG-263.
"""

import re
from dataclasses import dataclass

_PRV = re.compile(r"[\s_^-]*PRV[\s_]*(\d*)(?:\s*mm)?", re.IGNORECASE)
_SIDE = re.compile(r"_(L|R)(?=$|[_^])")
_TARGET = re.compile(r"(?:I?GTV|[IP]?CTV|ITV|PTV)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureName:
    """A name in its parts.

    Parameters
    ----------
    organ
        Without side and margin: ``Parotid``, ``SpinalCord``.
    side
        ``L``, ``R`` or empty.
    margin
        ``PRV``, ``PRV05`` (millimetres) or empty: the organ itself.
    """

    organ: str
    side: str = ""
    margin: str = ""

    @property
    def is_target(self) -> bool:
        """Whether the name begins as that of a target: GTV, CTV, ITV, PTV."""
        return _TARGET.match(self.organ) is not None

    @property
    def key(self) -> str:
        """What is compared: organ and margin in small letters, sides alike."""
        return f"{self.organ}{'_' if self.margin else ''}{self.margin}".casefold()

    @property
    def organ_key(self) -> str:
        """The organ alone in small letters, sides and margins alike."""
        return self.organ.casefold()


def parse_name(name: str) -> StructureName:
    """Take a TG-263 name apart; any other name is an organ called so."""
    margin = _PRV.search(name)
    rest = name if margin is None else name[: margin.start()] + name[margin.end() :]
    side = _SIDE.search(rest)
    organ = rest if side is None else rest[: side.start()] + rest[side.end() :]
    return StructureName(
        organ=organ.strip(" _^") or name,
        side=side[1] if side else "",
        margin=f"PRV{int(margin[1]):02d}" if margin and margin[1] else "PRV" if margin else "",
    )
