"""The audit in the background: everything once in its period, on from where it was left, one process at a time."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archive.journal.journal import Event
from archive.vault.audit import KEY, Audit, Budget, Cursor, Round, read_cursor
from archive.vault.checks import Unit
from archive.vault.rounds import Outcome, Rounds
from storage.errors import StoreUnavailable
from tests.archive.house import SmallHouse
from tests.archive.stores import NOW, flip
from tests.archive.vault.damaged import rounds_of


class Stop(threading.Event):
    """Waits by moving a clock on, and is set when the waiting is over, or after so many units."""

    def __init__(self, watch: "Watch", *, until: datetime) -> None:
        super().__init__()
        self._watch = watch
        self._until = until

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._watch.waited.append(timeout)
        self._watch.now += timedelta(seconds=timeout)
        if self._watch.now >= self._until:
            self.set()
        return self.is_set()


@dataclass
class Watch:
    """A clock that moves when somebody waits, and what was read when."""

    now: datetime = NOW
    waited: list[float] = field(default_factory=list)
    read: list[tuple[datetime, str]] = field(default_factory=list)


class Watched(Rounds):
    """Notes each unit that is read."""

    watch: Watch

    def look_at(self, unit: Unit) -> Outcome:
        self.watch.read.append((self.watch.now, unit.name))
        return super().look_at(unit)


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    made = SmallHouse(tmp_path)
    made.sealed()
    made.journal.flush()
    return made


def audit_of(
    house: SmallHouse, watch: Watch, *, days: float = 1, events: list[Event] | None = None, holder: str = "n1"
) -> Audit:
    told = [] if events is None else events

    def begin() -> Rounds:
        rounds = rounds_of(house, told)
        rounds.__class__ = Watched
        rounds.watch = watch  # type: ignore[attr-defined]
        return rounds

    return Audit(
        work=house.work,
        locked=house.locked,
        begin=begin,
        budget=Budget(period=timedelta(days=days)),
        holder=holder,
        clock=lambda: watch.now,
        record=told.append,
    )


def run(house: SmallHouse, watch: Watch, *, days: float, holder: str = "n1", period: float = 1) -> None:
    audit_of(house, watch, days=period, holder=holder).run(Stop(watch, until=watch.now + timedelta(days=days)))


def cursor_of(house: SmallHouse) -> Cursor:
    found = read_cursor(house.work)
    assert found is not None
    return found


def test_round_when_its_period_runs_then_everything_is_read_once_and_evenly(house: SmallHouse) -> None:
    watch, events = Watch(), list[Event]()
    audit_of(house, watch, events=events).run(Stop(watch, until=NOW + timedelta(days=0.99)))

    done = cursor_of(house).now
    names = [name for _, name in watch.read]
    everything = {stat.key for stat in house.work.list("")} | {stat.key for stat in house.locked.list("journal/")}
    missing = {
        key for key in everything if not key.startswith(("facts/", "site/audit", "site/fixity")) and key not in names
    }
    assert missing == set()
    assert any(name.startswith("vault/") for name in names)
    assert any(name.startswith("facts/") for name in names)
    assert len(names) == len(set(names))
    assert done.ended_at is not None
    assert timedelta(days=0.6) < done.ended_at - done.began_at < timedelta(days=0.9)
    half = sum(1 for at, _ in watch.read if at < NOW + timedelta(days=0.4))
    assert 0.2 < half / len(names) < 0.8
    (told,) = [event for event in events if event.act == "audit"]
    assert told.subject["objects"] == done.objects


def test_next_round_when_the_period_is_over_then_it_begins_and_the_last_one_is_remembered(house: SmallHouse) -> None:
    watch = Watch()
    run(house, watch, days=1.05)

    cursor = cursor_of(house)
    assert (cursor.now.number, cursor.now.ended_at) == (2, None)
    assert cursor.last is not None
    assert cursor.last.number == 1
    assert cursor.last.ended_at is not None


def test_audit_when_started_again_then_it_goes_on_where_it_was_left(house: SmallHouse) -> None:
    watch = Watch()
    run(house, watch, days=0.3)
    before = [name for _, name in watch.read]
    left = cursor_of(house)
    run(house, watch, days=0.69)

    names = [name for _, name in watch.read]
    again = names[len(before) :]
    assert left.station
    assert set(before) & set(again) <= {name for name in names if name.startswith("journal")}
    assert cursor_of(house).now.ended_at is not None
    assert cursor_of(house).now.objects >= len(set(names)) / 2


def test_audit_when_another_node_is_at_it_then_it_waits_until_that_one_is_gone(house: SmallHouse) -> None:
    watch = Watch()
    run(house, watch, days=0.05)
    count = len(watch.read)
    watch.now -= timedelta(minutes=1)

    run(house, watch, days=0.001, holder="n2")
    assert len(watch.read) == count

    run(house, watch, days=0.9, holder="n2")
    assert len(watch.read) > count


def test_audit_when_something_is_damaged_then_it_is_counted_and_recorded(house: SmallHouse) -> None:
    key = next(stat.key for stat in house.work.list("papers/"))
    flip(house.work_files, key, at=1)
    watch = Watch()
    run(house, watch, days=0.99)

    assert cursor_of(house).now.damages >= 1
    assert list(house.work.list("site/damage/"))


def test_audit_when_the_store_is_away_then_it_waits_and_says_nothing_of_damage(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    run(house, watch, days=0.1)
    left = cursor_of(house)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("500")

    with monkeypatch.context() as patch:
        for name in ("digests", "read", "read_bytes", "list", "stat"):
            patch.setattr(house.work_files.__class__, name, away)
        run(house, watch, days=0.1)

    now = cursor_of(house)
    assert (now.station, now.after) == (left.station, left.after)
    assert list(house.work.list("site/damage/")) == []


@pytest.mark.parametrize(("days", "most", "rate"), [(10, 0, 10_000_000 / (8 * 86_400)), (10, 0, None), (1e-4, 7, 7)])
def test_budget_when_asked_then_it_spreads_what_is_left_and_keeps_below_the_most(
    days: float, most: int, rate: float | None
) -> None:
    budget = Budget(period=timedelta(days=days), most_bytes_per_s=most)
    cursor = Cursor(now=Round(number=1, began_at=NOW), expected_bytes=10_000_000, spent_bytes=0)
    if rate is None:  # late: what is left is read within what time is left
        late = budget.rate(cursor, NOW + timedelta(days=7))
        assert late == pytest.approx(10_000_000 / 86_400)
    elif most:
        assert budget.rate(cursor, NOW) == rate
    else:  # what was underrated at the beginning does not slow down the end
        for spent in (0, 5_000_000, 9_999_999, 20_000_000):
            assert budget.rate(replace(cursor, spent_bytes=spent), NOW) == pytest.approx(rate)


def test_cursor_when_it_can_not_be_read_then_a_new_round_begins(house: SmallHouse) -> None:
    house.work.replace_if_match(KEY, b"not a cursor", expected=None)
    watch = Watch()
    run(house, watch, days=0.01)

    assert cursor_of(house).now.number == 1
