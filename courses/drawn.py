"""The structures of the course a sum lies on: which count, and which can't be used and why."""

from dataclasses import dataclass

from archive.model import DeliveryState, Dossier, Held
from archive.uids import is_own
from courses.composite import Composite
from courses.errors import Unreadable
from courses.notices import Notice, notice
from courses.reading import Reader
from dose.errors import DoseError
from dose.shapes.structures import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is drawn on the image of a sum.

    Parameters
    ----------
    structures
        Those that enclose a volume in the frame of reference of the sum, each name once.
    notices
        Structures and whole sets that could not be used, and why.
    """

    structures: tuple[Structure, ...]
    notices: tuple[Notice, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The notices in words."""
        return tuple(dict.fromkeys(one.words for one in self.notices))


def structures_of(composite: Composite, reader: Reader) -> Drawn:
    """Return the structures of the course a sum lies on; of two of one name that of the set which counts first."""
    return drawn_in(composite.onto, composite.frame_uid, reader)


def drawn_in(dossier: Dossier, frame_uid: str, reader: Reader) -> Drawn:
    """Return the structures of a course in a frame of reference; of two of one name the set that counts first wins."""
    found: dict[str, Structure] = {}
    told: list[Notice] = []
    for held in _structure_sets(dossier):
        label = (held.header.structure_set.label if held.header.structure_set else "") or held.uid
        try:
            read = reader.structures(held)
        except (Unreadable, DoseError) as error:
            told.append(notice("structure-unreadable", what=f"Structure set {label}", reason=error))
            continue
        told += [
            notice("structure-unreadable", what=f"Structure {one.name} of set {label}", reason=one.reason)
            for one in read.unreadable
        ]
        told += [notice("structure-without-contours", name=name, label=label) for name in _empty(held)]
        for structure in read.structures:
            if not structure.has_volume:
                continue
            if (structure.frame_of_reference_uid or held.header.frame_uid) != frame_uid:
                told.append(notice("structure-elsewhere", name=structure.name, label=label))
            elif found.setdefault(structure.name, structure) is not structure:
                told.append(notice("structure-named-twice", name=structure.name, label=label))
    return Drawn(structures=tuple(found.values()), notices=tuple(dict.fromkeys(told)))


def _empty(held: Held) -> list[str]:
    rois = held.header.structure_set.rois if held.header.structure_set else ()
    return [roi.name for roi in rois if roi.contours == 0]


def _structure_sets(dossier: Dossier) -> list[Held]:
    """Return the structure sets of a course, those its delivered plans were made on first, then the newest first."""
    given = [plan for plan in dossier.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
    planned_on = {held.uid for plan in given for held in plan.structure_sets}
    sets = [held for held in dossier.instances if held.header.structure_set and not is_own(held.uid)]
    newest = sorted(sets, key=lambda held: (_day(held), held.uid), reverse=True)
    return sorted(newest, key=lambda held: held.uid not in planned_on)


def _day(held: Held) -> str:
    return (held.header.structure_set.date if held.header.structure_set else "") or held.header.study_date
