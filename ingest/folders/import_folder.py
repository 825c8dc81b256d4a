"""Importing folders, single files and zip archives, with an account of every path."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from uuid import uuid4

from archive.facts.receipts import Source
from archive.headers import Identifier
from ingest.dataset.part10 import find_dataset
from ingest.errors import BadDataSet, ExecutablePreamble, NotTaken, TooLarge
from ingest.folders.found import NotFoundFit, find_files, open_file, pieces_of
from ingest.folders.zips import CheckedZip, ZipLimits, is_zip
from ingest.judge import judge_file
from ingest.spool.spool import Spool

Disposition = Literal[
    "stored", "duplicate", "variant", "conflict", "quarantined", "lost", "waiting", "refused", "ignored"
]
_DICOMDIR_CLASS: Final = "1.2.840.10008.1.3.10"
_HEAD_BYTES: Final = 1024 * 1024
_LITTER: Final = frozenset({"thumbs.db", "desktop.ini", ".ds_store"})
_SETTLED_EVERY_FILES: Final = 500
_SETTLED_EVERY_BYTES: Final = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLine:
    """What became of one path.

    Parameters
    ----------
    path
        As given, and what lies below; members of an archive below the archive.
    disposition
        As `Outcome.disposition`; ``waiting`` is safe in the spool but not filed
        yet, ``refused`` was not taken, ``ignored`` is an index or litter.
    reason
        In plain words, empty if it was simply stored.
    """

    path: str
    disposition: Disposition
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """The account of one import: a line for every path."""

    lines: tuple[ImportLine, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many paths became what; they add up to the number of lines."""
        return dict(Counter(line.disposition for line in self.lines))

    @property
    def is_clean(self) -> bool:
        """Whether everything was taken without a word to say about it."""
        return all(line.disposition in ("stored", "duplicate", "variant", "ignored") for line in self.lines)


def import_paths(
    paths: Sequence[Path],
    spool: Spool,
    *,
    patient: Identifier | None = None,
    issuer: str = "",
    settle: Callable[[Sequence[int]], object] | None = None,
    on_progress: Callable[[ImportLine], None] | None = None,
    limit_bytes: int = 16 * 1024**3,
    zip_limits: ZipLimits | None = None,
) -> ImportReport:
    """Take in everything below `paths`.

    Every file is kept byte for byte. DICOM is found by content, not by name;
    any other file is a document of `patient`, or goes to quarantine.

    Parameters
    ----------
    paths
        Folders, files, zip archives.
    spool
        Where it goes.
    patient
        Whose the documents are.
    issuer
        Issuer of patient identifiers that name none.
    settle
        Files what is in the spool and returns when these arrivals are settled;
        without it everything is reported as ``waiting``.
    on_progress
        Called with each line as soon as it is known.
    limit_bytes, zip_limits
        The longest file, and what an archive may hold.

    Raises
    ------
    SpoolFull, SpoolFailed
        The import stops here; what was taken is safe and will be filed.
    """
    run = _Import(spool, patient=patient, issuer=issuer, limit_bytes=limit_bytes, zip_limits=zip_limits)
    run.settle, run.on_progress = settle, on_progress
    for path in paths:
        for found in find_files(path):
            if isinstance(found, NotFoundFit):
                run.tell(_shown(found.path), "refused", f"{found.error} ({found.error.code})")
            else:
                run.take(found.path, kind="folder" if found.in_folder else "file")
    run.account()
    return ImportReport(lines=tuple(run.lines))


class _Import:
    """One run over the given paths."""

    settle: Callable[[Sequence[int]], object] | None
    on_progress: Callable[[ImportLine], None] | None

    def __init__(
        self,
        spool: Spool,
        *,
        patient: Identifier | None,
        issuer: str,
        limit_bytes: int,
        zip_limits: ZipLimits | None,
    ) -> None:
        self.lines: list[ImportLine] = []
        self._spool = spool
        self._patient = patient
        self._issuer = issuer
        self._limit_bytes = limit_bytes
        self._zip_limits = zip_limits
        self._batch = f"import-{uuid4().hex}"
        self._waiting: dict[int, str] = {}
        self._waiting_bytes = 0

    def take(self, path: Path, *, kind: Literal["folder", "file"]) -> None:
        """Take one file, or refuse it with a line."""
        shown = _shown(path)
        try:
            with open_file(path) as stream:
                head = stream.read(_HEAD_BYTES)
                if is_zip(path, head):
                    stream.seek(0)
                    self._take_archive(shown, CheckedZip(stream, limits=self._zip_limits))
                    return
                ignored = _why_ignored(path.name, head)
                if ignored:
                    self.tell(shown, "ignored", ignored)
                    return
                pieces = pieces_of(stream, limit_bytes=self._limit_bytes)
                self._receive(pieces, Source(kind=kind, name=shown), title=_shown(Path(path.name)))
        except (NotTaken, TooLarge) as error:
            self.tell(shown, "refused", f"{error} ({error.code})")

    def _take_archive(self, shown: str, archive: CheckedZip) -> None:
        for name, pieces in archive.members():
            ignored = _why_ignored(name, archive.first_bytes(name, _HEAD_BYTES))
            if ignored:
                self.tell(f"{shown}/{name}", "ignored", ignored)
            else:
                title = PurePosixPath(name).name
                self._receive(pieces, Source(kind="zip", name=f"{shown}/{name}"), title=title)

    def _receive(self, pieces: Iterator[bytes], source: Source, *, title: str) -> None:
        judge = judge_file(limits=self._spool.dataset_limits, patient=self._patient, title=title)
        held = self._spool.receive(pieces, judge, source=source, batch=self._batch, issuer=self._issuer)
        self._waiting[held.number] = source.name
        self._waiting_bytes += held.arrival.size_bytes
        if len(self._waiting) >= _SETTLED_EVERY_FILES or self._waiting_bytes >= _SETTLED_EVERY_BYTES:
            self.account()

    def account(self) -> None:
        """Have what was taken filed, and write its lines."""
        if not self._waiting:
            return
        numbers = list(self._waiting)
        if self.settle is not None:
            self.settle(numbers)
        outcomes = self._spool.outcomes(numbers)
        for number, shown in self._waiting.items():
            outcome = outcomes.get(number)
            if outcome is None:
                self.tell(shown, "waiting", "Safe in the spool; it will be filed")
            else:
                self.tell(shown, outcome.disposition, outcome.reason)
        self._waiting.clear()
        self._waiting_bytes = 0

    def tell(self, shown: str, disposition: Disposition, reason: str) -> None:
        """Add a line to the report."""
        line = ImportLine(path=shown, disposition=disposition, reason=reason)
        self.lines.append(line)
        if self.on_progress is not None:
            self.on_progress(line)


def _why_ignored(name: str, head: bytes) -> str:
    """Return why a file is no part of anybody's record, empty if it may be."""
    parts: Iterable[str] = PurePosixPath(name).parts
    if PurePosixPath(name).name.lower() in _LITTER or "__MACOSX" in parts:
        return "Litter of an operating system"
    try:
        layout = find_dataset(io.BytesIO(head))
    except (BadDataSet, ExecutablePreamble):
        return ""
    if layout is not None and layout.sop_class_uid == _DICOMDIR_CLASS:
        return "A DICOMDIR: an index of the other files, which are taken themselves"
    return ""


def _shown(path: Path) -> str:
    """Return a path as text that can be stored: names that are no UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()
