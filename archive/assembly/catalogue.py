"""The distinct instances of one patient, and the ways to find them by what refers to them."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from archive.facts.receipts import Receipt
from archive.headers import InstanceKind
from archive.model import Held

_Key = TypeVar("_Key", bound=Hashable)


def distinct(receipts: Iterable[Receipt], *, sealed: frozenset[str]) -> tuple[Held, ...]:
    """Return one `Held` per SOP Instance UID (per digest for documents), in order of UID.

    Same bytes and re-encoded bytes (variants) count as one content. Of several
    contents (a conflict) the sealed one counts, else the one received first,
    tie by digest; the others are kept beside it.

    Parameters
    ----------
    sealed
        File digests (SHA-256) that stand in a seal of this patient.
    """
    arrivals: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        arrivals.setdefault(receipt.header.sop_instance_uid or receipt.file_sha256, []).append(receipt)
    return tuple(_held(arrivals[uid], sealed) for uid in sorted(arrivals))


def _held(arrivals: list[Receipt], sealed: frozenset[str]) -> Held:
    def rank(receipt: Receipt) -> tuple[bool, bool, datetime, str]:
        is_conflict = receipt.disposition == "conflict"
        return (receipt.file_sha256 not in sealed, is_conflict, receipt.received_at, receipt.file_sha256)

    ranked = sorted(arrivals, key=rank)
    contents: dict[str, Receipt] = {}
    for receipt in ranked:
        contents.setdefault(receipt.content_sha256 or receipt.dataset_sha256, receipt)
    first, *others = contents.values()
    seen = {receipt.dataset_sha256 for receipt in ranked if _same_content(receipt, first)}
    return Held(receipt=first, others=tuple(one for one in others if one.dataset_sha256 not in seen))


def _same_content(one: Receipt, other: Receipt) -> bool:
    if one.dataset_sha256 == other.dataset_sha256:
        return True
    return one.content_sha256 is not None and one.content_sha256 == other.content_sha256


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Looks up the instances of one patient."""

    by_uid: Mapping[str, Held]
    by_kind: Mapping[InstanceKind, tuple[Held, ...]]
    by_series: Mapping[str, tuple[Held, ...]]
    by_frame: Mapping[str, tuple[Held, ...]]

    @classmethod
    def of(cls, instances: Iterable[Held]) -> "Catalogue":
        """Index `instances` (order kept)."""
        everything = tuple(instances)
        return cls(
            by_uid={held.uid: held for held in everything},
            by_kind=_grouped(everything, lambda held: held.kind),
            by_series=_grouped(everything, lambda held: held.header.series_uid),
            by_frame=_grouped(everything, lambda held: held.header.frame_uid),
        )

    def of_kind(self, kind: InstanceKind) -> tuple[Held, ...]:
        """Return all instances of one kind."""
        return self.by_kind.get(kind, ())

    def present(self, uids: Iterable[str], kind: InstanceKind) -> tuple[Held, ...]:
        """Return those of `uids` that are held and are of that kind."""
        return tuple(held for uid in uids if (held := self.by_uid.get(uid)) is not None and held.kind is kind)

    def in_series(self, series_uids: Iterable[str], kind: InstanceKind) -> tuple[Held, ...]:
        """Return all instances of that kind in these series."""
        return tuple(held for uid in series_uids for held in self.by_series.get(uid, ()) if held.kind is kind)

    def in_frame(self, frame_uid: str, kind: InstanceKind) -> tuple[Held, ...]:
        """Return all instances of that kind in one frame of reference; none for an empty UID."""
        if not frame_uid:
            return ()
        return tuple(held for held in self.by_frame.get(frame_uid, ()) if held.kind is kind)


def _grouped(instances: Iterable[Held], key: Callable[[Held], _Key]) -> dict[_Key, tuple[Held, ...]]:
    groups: dict[_Key, list[Held]] = {}
    for held in instances:
        groups.setdefault(key(held), []).append(held)
    return {name: tuple(group) for name, group in groups.items()}
