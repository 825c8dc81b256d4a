"""Figures of a histogram by their names of TG-263 (Mayo et al., Int J Radiat Oncol Biol Phys 100:1057, 2018).

| name | what it is |
| --- | --- |
| ``Max[Gy]``, ``Mean[Gy]``, ``Min[Gy]`` | extremes and mean |
| ``D0.03cc[Gy]``, ``D95%[Gy]`` | least dose of the hottest part of that volume |
| ``V20Gy[cc]``, ``V20Gy[%]`` | volume that receives at least that dose |
| ``CV16Gy[cc]``, ``CV16Gy[%]`` | volume that receives less than that dose (critical volume) |

Doses in percent of a prescription are not understood: a histogram knows no prescription.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Self

from dose.errors import BadMetric
from dose.shapes.dvh import Dvh, Figure

_NUMBER = r"(?P<at>\d+(?:\.\d+)?)"
_SIMPLE = re.compile(r"(?P<kind>Max|Mean|Min)\[(?P<unit>Gy)\]")
_DOSE = re.compile(rf"(?P<kind>D){_NUMBER}(?P<measure>cc|%)\[(?P<unit>Gy)\]")
_VOLUME = re.compile(rf"(?P<kind>V|CV){_NUMBER}(?P<measure>Gy)\[(?P<unit>cc|%)\]")


class Kind(Enum):
    """What is asked of a histogram."""

    MAX = "Max"
    MEAN = "Mean"
    MIN = "Min"
    DOSE = "D"
    VOLUME = "V"
    CRITICAL_VOLUME = "CV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that can be asked of any histogram.

    Parameters
    ----------
    kind
        What is asked.
    at
        The volume of a dose (in the unit `measure`) or the dose of a volume, Gy; 0 for extremes and mean.
    measure
        Unit of `at`: cc, %, Gy; empty for extremes and mean.
    unit
        Unit of the figure: Gy, cc or %.
    """

    kind: Kind
    at: float = 0.0
    measure: str = ""
    unit: str = "Gy"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name as TG-263 writes it.

        Raises
        ------
        BadMetric
            It is not such a name, or asks for no volume or for more than all of it.
        """
        found = next((m for m in (p.fullmatch(name.strip()) for p in (_SIMPLE, _DOSE, _VOLUME)) if m), None)
        if found is None:
            raise BadMetric(f"{name!r} is not the name of a figure of a dose-volume histogram.")
        parts = found.groupdict()
        at, measure = float(parts.get("at") or 0), parts.get("measure") or ""
        if parts["kind"] == Kind.DOSE.value and (at <= 0 or (measure == "%" and at > 100)):
            raise BadMetric(f"{name!r} asks for the dose of no volume, or of more than there is.")
        return cls(kind=Kind(parts["kind"]), at=at, measure=measure, unit=parts["unit"])

    def __str__(self) -> str:
        """The name as TG-263 writes it."""
        at = f"{self.at:.6f}".rstrip("0").rstrip(".") if self.measure else ""
        return f"{self.kind.value}{at}{self.measure}[{self.unit}]"

    def of(self, dvh: Dvh) -> Figure:
        """The figure, with bounds where dose is unknown or the structure is smaller than the volume asked for."""
        figures: dict[Kind, Callable[[], Figure]] = {
            Kind.MAX: lambda: dvh.max_gy,
            Kind.MEAN: lambda: dvh.mean_gy,
            Kind.MIN: lambda: dvh.min_gy,
            Kind.DOSE: lambda: dvh.d_percent(self.at) if self.measure == "%" else dvh.d_cc(self.at),
            Kind.VOLUME: lambda: dvh.v_gy(self.at),
            Kind.CRITICAL_VOLUME: lambda: dvh.cv_gy(self.at),
        }
        figure = figures[self.kind]()
        return figure.times(100.0 / dvh.volume_cc) if self.unit == "%" else figure
