"""Importing folders, single files and zip archives, with an account of every path."""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from uuid import uuid4

from archive.facts.receipts import Source
from archive.handover.formats import PackageFormat
from archive.headers import Identifier
from ingest.dataset.part10 import find_dataset
from ingest.errors import BadDataSet, ExecutablePreamble, NotTaken, TooLarge
from ingest.folders.found import FoundPackage, NotFoundFit, find_files, open_file, pieces_of
from ingest.folders.ocfl_objects import is_of_root, objects_in
from ingest.folders.packages import Package, PackedFile, as_checked, open_package
from ingest.folders.trees import FolderTree, Tree, ZipTree, branch, packages_in
from ingest.folders.zips import CheckedZip, ZipLimits, is_zip
from ingest.judge import judge_file
from ingest.spool.spool import Spool

Disposition = Literal[
    "stored", "duplicate", "variant", "conflict", "quarantined", "lost", "waiting", "refused", "ignored", "package"
]
KeepPackage = Callable[[Package], str]
"""Keeps what tells of a package that is going to be taken in, and returns in words who sealed it."""
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
        yet, ``refused`` was not taken, ``ignored`` is an index or litter,
        ``package`` the folder of a package whose files all are what was packed.
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
        clean = ("stored", "duplicate", "variant", "ignored", "package")
        return all(line.disposition in clean for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """How an import looks at what it meets.

    Parameters
    ----------
    file_bytes
        The longest file.
    archives
        What a zip archive may hold.
    as_files
        Whether packages are taken for the files in them, which nobody has checked then.
    """

    file_bytes: int = 16 * 1024**3
    archives: ZipLimits = field(default_factory=ZipLimits)
    as_files: bool = False


def import_paths(
    paths: Sequence[Path],
    spool: Spool,
    *,
    patient: Identifier | None = None,
    issuer: str = "",
    settle: Callable[[Sequence[int]], object] | None = None,
    on_progress: Callable[[ImportLine], None] | None = None,
    keep_package: KeepPackage | None = None,
    limits: ImportLimits | None = None,
) -> ImportReport:
    """Take in everything below `paths`.

    Every file is kept byte for byte. DICOM is found by content, not by name;
    any other file is a document of `patient`, or goes to quarantine. A package
    of a dossier (OCFL, BagIt, our DICOM media) is checked whole before
    anything of it is taken; it tells itself whose its documents are.

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
    keep_package
        Called with each package before its files are taken.
    limits
        How it looks at what it meets.

    Raises
    ------
    SpoolFull, SpoolFailed
        The import stops here; what was taken is safe and will be filed.
    """
    run = _Import(spool, patient=patient, issuer=issuer, limits=limits or ImportLimits())
    run.settle, run.on_progress, run.keep_package = settle, on_progress, keep_package
    for path in paths:
        run.take_below(path, packages=not run.limits.as_files)
    run.account()
    return ImportReport(lines=tuple(run.lines))


class _Import:
    """One run over the given paths."""

    settle: Callable[[Sequence[int]], object] | None
    on_progress: Callable[[ImportLine], None] | None
    keep_package: KeepPackage | None

    def __init__(self, spool: Spool, *, patient: Identifier | None, issuer: str, limits: ImportLimits) -> None:
        self.lines: list[ImportLine] = []
        self.limits = limits
        self._spool = spool
        self._patient = patient
        self._issuer = issuer
        self._batch = f"import-{uuid4().hex}"
        self._waiting: dict[int, str] = {}
        self._waiting_bytes = 0

    def take_below(self, path: Path, *, packages: bool) -> None:
        """Take everything below a path."""
        for found in find_files(path, packages=packages):
            if isinstance(found, NotFoundFit):
                self.tell(_shown(found.path), "refused", f"{found.error} ({found.error.code})")
            elif isinstance(found, FoundPackage):
                self._take_folder(found)
            else:
                self.take(found.path, kind="folder" if found.in_folder else "file")

    def _take_folder(self, package: FoundPackage) -> None:
        """Take the packages in a folder, and as they lie the files that are of none."""
        tree = FolderTree(package.path, shown=_shown(package.path), limit_bytes=self.limits.file_bytes)
        for unfit in tree.unfit:
            self.tell(_shown(unfit.path), "refused", f"{unfit.error} ({unfit.error.code})")
        done = self._take_packed(tree, package.kind)
        for name in tree.names:
            if name not in done:
                self.take(package.path / name, kind="folder")

    def take(self, path: Path, *, kind: Literal["folder", "file"]) -> None:
        """Take one file, or refuse it with a line."""
        shown = _shown(path)
        try:
            with open_file(path) as stream:
                head = stream.read(_HEAD_BYTES)
                if is_zip(path, head):
                    stream.seek(0)
                    self._take_archive(shown, CheckedZip(stream, limits=self.limits.archives))
                    return
                ignored = _why_ignored(path.name, head)
                if ignored:
                    self.tell(shown, "ignored", ignored)
                    return
                pieces = pieces_of(stream, limit_bytes=self.limits.file_bytes)
                self._receive(pieces, Source(kind=kind, name=shown), title=_shown(Path(path.name)))
        except (NotTaken, TooLarge) as error:
            self.tell(shown, "refused", f"{error} ({error.code})")

    def _take_archive(self, shown: str, archive: CheckedZip) -> None:
        tree = ZipTree(archive, shown=shown)
        packages = {} if self.limits.as_files else packages_in(tree)
        done: set[str] = set()
        for prefix, kind in packages.items():
            done.update(f"{prefix}{name}" for name in self._take_packed(branch(tree, prefix), kind))
        for name, pieces in archive.members():
            if name in done:
                continue
            ignored = _why_ignored(name, archive.first_bytes(name, _HEAD_BYTES))
            if ignored:
                self.tell(f"{shown}/{name}", "ignored", ignored)
            else:
                title = PurePosixPath(name).name
                self._receive(pieces, Source(kind="zip", name=f"{shown}/{name}"), title=title)

    def _take_packed(self, tree: Tree, kind: PackageFormat) -> Collection[str]:
        """Take the packages in a tree, or refuse them with a line; return which files that settles."""
        if kind is not PackageFormat.OCFL:
            return self._take_package(tree, kind)
        prefixes = objects_in(tree)
        done = {name for name in tree.names if is_of_root(name)}
        for name in sorted(done):
            self.tell(f"{tree.shown}/{name}", "ignored", "Of an OCFL storage root")
        for prefix in prefixes:
            done.update(f"{prefix}{name}" for name in self._take_package(branch(tree, prefix), kind))
        return done

    def _take_package(self, tree: Tree, kind: PackageFormat) -> Collection[str]:
        names = tree.names
        try:
            package = open_package(tree, kind)
        except NotTaken as error:
            self.tell(tree.shown, "refused", f"{error} ({error.code}). {error.hint}")
            return names
        if package is None:
            return ()
        told = self.keep_package(package) if self.keep_package is not None else ""
        self.tell(tree.shown, "package", f"{len(package.files)} files ({kind.value}), all as packed. {told}".rstrip())
        for name in package.own:
            self.tell(f"{tree.shown}/{name}", "ignored", "Of the package")
        for file in package.files:
            self._receive_packed(tree, package, file)
        return {*package.own, *(file.name for file in package.files)}

    def _receive_packed(self, tree: Tree, package: Package, file: PackedFile) -> None:
        source = Source(
            kind=tree.kind,
            name=f"{tree.shown}/{file.name}",
            package=package.kind.value,
            dossier_sha256=package.dossier_sha256,
            seal_sha256=package.seal_sha256,
        )
        try:
            self._receive(as_checked(tree, file), source, title=file.title, patient=file.patient)
        except NotTaken as error:
            self.tell(source.name, "refused", f"{error} ({error.code})")

    def _receive(
        self, pieces: Iterator[bytes], source: Source, *, title: str, patient: Identifier | None = None
    ) -> None:
        """Take one thing in; `patient` is whose it is, where a package tells it."""
        judge = judge_file(limits=self._spool.dataset_limits, patient=patient or self._patient, title=title)
        issuer = patient.issuer if patient else self._issuer
        held = self._spool.receive(pieces, judge, source=source, batch=self._batch, issuer=issuer)
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
