"""Archives in the states in which a blow may find them, and one blow after another on copies of them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import pydicom

from lastgate.sample import SampleCourse
from tests.faults.disks import Disk
from tests.faults.prepared import Ended, Prepared
from tests.hostile.nodes import dataset_digest

_START_STEPS: Final = 50
TRIES: Final = 4
"""So many times as often as wanted a blow is tried: one that comes after the end of the deed is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Archives of one course, and what was promised of them: copy them, never change them.

    Parameters
    ----------
    instances
        Digest of the data set of each instance of the archive, by SOP Instance UID.
    """

    spooled: Path
    open: Path
    ready: Path
    sealed: Path
    late: Path
    instances: Mapping[str, str]
    late_instances: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Toll:
    """What blows did.

    Parameters
    ----------
    blows
        How many came before the deed was done.
    second_blows
        How many killed the start after a blow.
    wrongs
        What was wrong after a restart, with the moment of the blow.
    """

    blows: int = 0
    second_blows: int = 0
    acknowledged: int = 0
    wrongs: list[str] = field(default_factory=list)

    def told(self, what: str) -> dict[str, int]:
        """Return the counts for the end of the run."""
        lost = sum("lost:" in one for one in self.wrongs)
        return {
            what: self.blows,
            f"{what.split(' while')[0]} again while it would start": self.second_blows,
            "instances asked for again after a blow": self.acknowledged,
            "instances, seals and journal lines lost": lost,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """When a process is killed: before a durable step, or after a time; and before which step the one after it."""

    at: int | None = None
    after_s: float | None = None
    then_at: int | None = None


def build_states(prepared: Prepared, folder: Path, course: SampleCourse) -> States:
    """Bring an archive through its states and keep a copy of each; the plan's dose comes late."""
    home, late = folder / "home", course.plans[0].dose_path
    assert late is not None
    first = [path for path in sorted(course.folder.rglob("*.dcm")) if path != late]

    def kept(name: str) -> Path:
        return Path(shutil.copytree(home, folder / name))

    prepared.done("take", home, paths=[str(path) for path in first])
    spooled = kept("spooled")
    prepared.done("file", home)
    opened = kept("open")
    prepared.done("ready", home)
    ready = kept("ready")
    prepared.done("seal", home)
    sealed = kept("sealed")
    prepared.done("take", home, paths=[str(late)])
    prepared.done("file", home)
    return States(
        spooled=spooled,
        open=opened,
        ready=ready,
        sealed=sealed,
        late=kept("late"),
        instances=digests(first),
        late_instances=digests([*first, late]),
    )


def digests(paths: list[Path]) -> dict[str, str]:
    """Return the digest of the data set of each file, by SOP Instance UID."""
    return {
        str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): dataset_digest(path.read_bytes())
        for path in paths
    }


def blows(whole: Ended, *, at_steps: int, at_times: int, chance: Random) -> list[Blow]:
    """Return moments for as many blows: steps all over a deed that was done once, and times all over its length."""
    firsts = [Blow(at=chance.randrange(len(whole.steps))) for _ in range(at_steps)]
    firsts += [Blow(after_s=chance.uniform(0, whole.seconds)) for _ in range(at_times)]
    return [replace(one, then_at=chance.choice((None, None, chance.randrange(_START_STEPS)))) for one in firsts]


class Trial:
    """Deals blows to one deed, each on a copy of an archive.

    Parameters
    ----------
    state
        The archive as it is before.
    promised
        What was promised by then, as `tests.faults.wholeness.Promised` takes it.
    promises
        Which of these what the deed says last is a promise of; none if empty.
    disk
        Where the copies lie, so that its power is cut; they are killed alone without one.
    values
        What the deed is given.
    """

    def __init__(
        self,
        prepared: Prepared,
        folder: Path,
        state: Path,
        *,
        promised: Mapping[str, Any],
        promises: str = "",
        disk: Disk | None = None,
        **values: Any,
    ) -> None:
        self.toll = Toll()
        self._prepared = prepared
        self._folder = disk.mounted if disk else folder
        self._disk = disk
        self._state = state
        self._promised = promised
        self._promises = promises
        self._values = values

    def whole(self, deed: str) -> Ended:
        """Do it to its end once, so that its steps and its length are known."""
        home = self._fresh()
        ended = self._prepared.done(deed, home, **self._values)
        self._judge(home, f"after {deed}", ended)
        shutil.rmtree(home)
        return ended

    def strike(self, deed: str, blow: Blow) -> None:
        """Kill it at a moment, start anew and judge; a blow that comes too late is not counted."""
        home = self._fresh()
        ended = self._struck(deed, home, blow.at, blow.after_s, self._values)
        self.toll.blows += ended.how == "killed"
        if blow.then_at is not None and ended.how == "killed":
            again = self._struck("restart", home, blow.then_at, None, {"promised": {}})
            self.toll.second_blows += again.how == "killed"
        self._judge(home, f"{deed}, {blow}", ended)
        shutil.rmtree(home)

    def strike_all(self, deed: str, moments: list[Blow]) -> Toll:
        """Deal all blows; those by time that came too late are dealt again, sooner."""
        left = list(moments)
        for _ in range(TRIES * len(moments)):
            if not left:
                break
            blow, before = left.pop(), self.toll.blows
            self.strike(deed, blow)
            if self.toll.blows == before:
                left.append(replace(blow, at=0) if blow.after_s is None else replace(blow, after_s=blow.after_s / 2))
        return self.toll

    def _struck(self, deed: str, home: Path, at: int | None, after_s: float | None, values: Mapping[str, Any]) -> Ended:
        disk = self._disk
        ended = self._prepared.run(deed, home, at=at, after_s=after_s, disk=disk.mounted if disk else None, **values)
        assert ended.how != "failed", ended.why
        if disk and ended.how == "killed":
            disk.power_up()
        return ended

    def _judge(self, home: Path, when: str, ended: Ended) -> None:
        promised = dict(self._promised)
        if self._promises and ended.said:
            promised[self._promises] = ended.said[-1]
        judged = self._prepared.done("restart", home, promised=promised)
        self.toll.acknowledged += len(promised.get("instances", ()))
        self.toll.wrongs += [f"{when}: {wrong}" for wrong in judged.said]

    def _fresh(self) -> Path:
        home = self._folder / "struck"
        shutil.copytree(self._state, home)
        if self._disk:
            self._disk.settle()
        return home
