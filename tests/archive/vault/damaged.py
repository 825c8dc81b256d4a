"""A small archive in two stores, ways to damage a copy behind its back, and what reads it back."""

from dataclasses import dataclass
from pathlib import Path

from archive.journal.journal import Event
from archive.vault.damage import DamageBook
from archive.vault.repair import Repairer
from archive.vault.rounds import Outcome, Ports, Rounds
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from storage.mirrored import Behind, MirroredStore, Second
from tests.archive.house import SmallHouse
from tests.archive.stores import clock


def pair(first: ObjectStore, second: ObjectStore, notes: ObjectStore, name: str) -> MirroredStore:
    """Return two stores as one."""
    return MirroredStore(first, Second(lambda: second, pause_s=0.0), behind=Behind(notes, f"behind/{name}/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Twofold:
    """A house of which everything lies in two stores.

    Parameters
    ----------
    work, locked
        The two stores of each pair, the first one first.
    """

    house: SmallHouse
    work: tuple[FilesystemStore, FilesystemStore]
    locked: tuple[FilesystemStore, FilesystemStore]
    events: list[Event]
    stations: set[str]

    def read(self, *, repair: bool = True, most: int = 20) -> list[tuple[str, int, str]]:
        """Read everything back that is known to lie anywhere, and return what is left of damage."""
        return found(read_all(self.rounds(repair=repair, most=most), frozenset(self.stations) or None))

    def rounds(self, *, repair: bool = True, most: int = 20, thorough: bool = False) -> Rounds:
        """Return what reads it back."""
        return rounds_of(self.house, self.events, repair=repair, most=most, thorough=thorough)

    def book(self) -> DamageBook:
        """Return what is known to be damaged."""
        return DamageBook(self.house.work)


def twofold(folder: Path) -> Twofold:
    """Return an empty house with two stores."""
    work = FilesystemStore(folder / "work", now=clock), FilesystemStore(folder / "work-2", now=clock)
    locked = FilesystemStore(folder / "locked", now=clock), FilesystemStore(folder / "locked-2", now=clock)
    house = SmallHouse(folder, work=pair(*work, work[0], "work"), locked=pair(*locked, work[0], "vault"))
    return Twofold(house=house, work=work, locked=locked, events=[], stations=set())


def rounds_of(
    house: SmallHouse, events: list[Event], *, repair: bool = True, most: int = 20, thorough: bool = False
) -> Rounds:
    """Return what reads a house back, whose events are gathered."""
    ports = Ports(
        work=house.work,
        locked=house.locked,
        vault=house.vault,
        verify_journal=house.journal.verify,
        record=events.append,
        clock=clock,
    )
    repairer = Repairer(work=house.work, locked=house.locked, vault=house.vault, record=events.append, most=most)
    return Rounds(ports, DamageBook(house.work), repairer=repairer if repair else None, thorough=thorough)


def read_all(rounds: Rounds, only: frozenset[str] | None = None) -> list[Outcome]:
    """Read everything back once, or these stations alone."""
    stations = [station for station in rounds.stations() if only is None or station.name in only]
    return [rounds.look_at(unit) for station in stations for unit in station.units()]


def inhabited(rounds: Rounds) -> frozenset[str]:
    """Return the names of the stations at which there is anything: the others take most of the time of a round."""
    return frozenset(station.name for station in rounds.stations() if any(station.units()))


def found(outcomes: list[Outcome]) -> list[tuple[str, int, str]]:
    """Return kind, store and key of all damage that is left."""
    return sorted((one.kind, one.copy, one.key) for outcome in outcomes for one in outcome.damages)
