"""The acts of an archive that are killed, each with the archive it is done on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.faults.disks import Disk
from tests.faults.lives import Blow, States, Toll, Trial, blows
from tests.faults.prepared import Prepared
from tests.hostile.crash import Load

_LIFE_S: Final = 0.5
_FIRST_STEPS: Final = 120
_FOR_EACH_ARCHIVE: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something an archive does that a kill may interrupt.

    Parameters
    ----------
    name
        As people say it.
    deed
        Of `tests.faults.deeds`.
    state
        On which of the `States` it is done.
    times
        How many kills it gets in the suite.
    timed
        Which share of them comes at a random time and not before a counted step: nearly all of what an act does may
        be SQLite's.
    """

    name: str
    deed: str
    state: str
    times: int
    timed: float = 0.25
    sealed: int = 0
    promises: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def struck(self, prepared: Prepared, where: Path | Disk, states: States, *, times: int, chance: Random) -> Toll:
        """Kill it so many times, each time on an archive as it was before, and judge what became of it.

        Parameters
        ----------
        where
            Folder of the copies, or the disk whose power is cut.
        """
        instances = states.late_instances if self.state == "late" else states.instances
        trial = Trial(
            prepared,
            where.mounted if isinstance(where, Disk) else where,
            getattr(states, self.state),
            promised={"instances": instances, "sealed": self.sealed},
            promises=self.promises,
            disk=where if isinstance(where, Disk) else None,
            **self.values,
        )
        whole = trial.whole(self.deed)
        timed = round(times * self.timed)
        return trial.strike_all(self.deed, blows(whole, at_steps=times - timed, at_times=timed, chance=chance))


ACTS: Final = (
    Act(name="file", deed="file", state="spooled", times=32),
    Act(name="close and sign", deed="ready", state="open", times=18),
    Act(name="seal", deed="seal", state="ready", times=36, promises="sealed"),
    Act(name="add to a sealed dossier", deed="seal", state="late", times=28, sealed=1, promises="sealed"),
    Act(name="verify", deed="verify", state="sealed", times=8, timed=1.0, sealed=1),
    Act(name="rebuild", deed="rebuild", state="sealed", times=16, timed=1.0, sealed=1),
    Act(name="chain the journal", deed="chain", state="ready", times=16, promises="viewed", values={"events": 40}),
)


def struck_while_receiving(
    prepared: Prepared, where: Path | Disk, deed: str, *, times: int, chance: Random, **values: Any
) -> Toll:
    """Kill a node that receives over four associations, some times on one archive, then on the next one.

    Parameters
    ----------
    where
        Folder of the archives, or the disk whose power is cut.
    """
    toll = Toll()
    disk = where if isinstance(where, Disk) else None
    home = disk.mounted if disk else where
    assert isinstance(home, Path)
    while toll.blows < times:
        archive = home / str(toll.blows)
        instances: dict[str, str] = {}
        for life in range(min(_FOR_EACH_ARCHIVE, times - toll.blows)):
            instances |= _one_life(prepared, archive, deed, f"{toll.blows}.{life}", chance, disk, values)
            toll.blows += 1
        judged = prepared.done("restart", archive, promised={"instances": instances})
        toll.acknowledged += len(instances)
        toll.wrongs += [f"{deed}: {wrong}" for wrong in judged.said]
        shutil.rmtree(archive)
    return toll


def _one_life(
    prepared: Prepared,
    home: Path,
    deed: str,
    serial: str,
    chance: Random,
    disk: Disk | None,
    values: Mapping[str, Any],
) -> dict[str, str]:
    """Let a node live for a moment; return the digests of what it acknowledged, by SOP Instance UID."""
    loads: list[Load] = []

    def begin(port: int) -> None:
        loads.append(Load(port, "LASTGATE", serial=serial, chance=chance).__enter__())

    is_timed = chance.random() < 0.5
    blow = Blow(after_s=chance.uniform(0.05, _LIFE_S)) if is_timed else Blow(at=chance.randrange(16, _FIRST_STEPS))
    if disk:
        disk.settle()
    ended = prepared.run(
        deed,
        home,
        at=blow.at,
        after_s=blow.after_s or 3 * _LIFE_S,
        disk=disk.mounted if disk else None,
        on_said=begin,
        **values,
    )
    for load in loads:
        load.__exit__()
    assert ended.how == "killed", ended.why
    if disk:
        disk.power_up()
    return {one.instance: one.digest for load in loads for one in load.acknowledged}
