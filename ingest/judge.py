"""What is it: judging bytes that already lie on the spool's disk, before anything is acknowledged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import BinaryIO

from archive.facts.receipts import Source
from archive.headers import Identifier
from ingest.dataset.limits import Limits
from ingest.dataset.names import Names
from ingest.dataset.part10 import FileLayout, find_dataset
from ingest.dataset.walker import Walker
from ingest.errors import (
    BadDataSet,
    BadFileMeta,
    EmptyFile,
    ExecutablePreamble,
    IngestError,
    Mismatch,
    NoPatientNamed,
    TooLarge,
)
from ingest.spool.arrival import Arrival, Refusal

Judge = Callable[[BinaryIO, Arrival], Arrival]
"""Takes the bytes and a draft (source, digest, length) and returns the arrival, understood or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a command set or file meta group says of the data set that follows; empty where it says nothing."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""

    def compare(self, names: Names) -> None:
        """Raise `Mismatch` unless the data set is the one that was announced."""
        if self.sop_instance_uid and self.sop_instance_uid != names.sop_instance_uid:
            raise Mismatch("The SOP Instance UID announced is not the one in the data set (0008,0018)")
        if self.sop_class_uid and self.sop_class_uid != names.sop_class_uid:
            raise Mismatch("The SOP Class UID announced is not the one in the data set (0008,0016)")


def judge_network(*, layout: FileLayout, announced: Announced, limits: Limits, digesting: bool = True) -> Judge:
    """Judge a data set from the network behind the header this node wrote.

    Where the sender waits, the digests of the data set can be left to whoever reads it next (`digested`).
    """

    def judge(stream: BinaryIO, draft: Arrival) -> Arrival:
        return _walked(stream, draft, layout, announced, limits, digesting=digesting)

    return judge


def digested(stream: BinaryIO, arrival: Arrival, *, limits: Limits) -> Arrival:
    """Return an arrival with the digests of its data set, read from `stream`; itself if it has them or needs none."""
    if arrival.kind != "dicom" or arrival.dataset_sha256:
        return arrival
    stream.seek(arrival.dataset_offset)
    size_bytes = arrival.size_bytes - arrival.dataset_offset
    walked = Walker(stream, arrival.transfer_syntax_uid, limits=limits, size_bytes=size_bytes).walk()
    return replace(arrival, dataset_sha256=walked.dataset_sha256, content_sha256=walked.content_sha256)


def judge_file(*, limits: Limits, patient: Identifier | None, title: str) -> Judge:
    """Judge a file as found: a DICOM file is walked, any other belongs to `patient`, or to nobody."""

    def judge(stream: BinaryIO, draft: Arrival) -> Arrival:
        try:
            layout = find_dataset(stream)
        except (BadDataSet, ExecutablePreamble) as error:
            return refused(draft, error)
        if layout is not None:
            return _with_meta_compared(_walked(stream, draft, layout, Announced(), limits), layout)
        if not draft.size_bytes:
            return refused(draft, EmptyFile("The file is empty"))
        if patient is None:
            return refused(draft, NoPatientNamed(f"No patient was named for the document {title!r}"))
        return replace(draft, kind="document", patient=patient, title=title, dataset_sha256=draft.file_sha256)

    return judge


def judge_again(source: Source, *, limits: Limits, patient: Identifier | None) -> Judge:
    """Judge what came before as it was judged then: what came from the network, by what was announced of it.

    That stands in the header this node wrote; a file's own header is only flagged where it differs.
    """
    if source.kind != "dicom":
        return judge_file(limits=limits, patient=patient, title=PurePath(source.name).name)

    def judge(stream: BinaryIO, draft: Arrival) -> Arrival:
        try:
            layout = find_dataset(stream)
        except (BadDataSet, ExecutablePreamble) as error:
            return refused(draft, error)
        if layout is None:
            return refused(draft, BadFileMeta("The header this node wrote is not there"))
        announced = Announced(sop_class_uid=layout.sop_class_uid, sop_instance_uid=layout.sop_instance_uid)
        return judge_network(layout=layout, announced=announced, limits=limits)(stream, draft)

    return judge


def _with_meta_compared(arrival: Arrival, layout: FileLayout) -> Arrival:
    """Flag a file meta group that names another instance: anonymisers change the data set and forget the header."""
    said = Announced(sop_class_uid=layout.sop_class_uid, sop_instance_uid=layout.sop_instance_uid)
    try:
        said.compare(arrival.names)
    except Mismatch:
        return replace(arrival, flags=(*arrival.flags, "file-meta-differs"))
    return arrival


def _walked(
    stream: BinaryIO,
    draft: Arrival,
    layout: FileLayout,
    announced: Announced,
    limits: Limits,
    *,
    digesting: bool = True,
) -> Arrival:
    draft = replace(
        draft,
        kind="dicom",
        dataset_offset=layout.dataset_offset,
        transfer_syntax_uid=layout.transfer_syntax_uid,
        implementation_class_uid=layout.implementation_class_uid,
    )
    stream.seek(layout.dataset_offset)
    size_bytes = draft.size_bytes - layout.dataset_offset
    walker = Walker(stream, layout.transfer_syntax_uid, limits=limits, size_bytes=size_bytes, digesting=digesting)
    try:
        walked = walker.walk()
        walked.names.check()
        announced.compare(walked.names)
    except (BadDataSet, Mismatch, TooLarge) as error:
        return refused(replace(draft, names=walker.names), error)
    return replace(
        draft,
        names=walked.names,
        dataset_sha256=walked.dataset_sha256,
        content_sha256=walked.content_sha256,
        flags=tuple(sorted({*layout.flags, *walked.flags})),
    )


def refused(draft: Arrival, error: IngestError) -> Arrival:
    """Return the draft as something refused: it is kept all the same, in quarantine."""
    refusal = Refusal(code=error.code, message=str(error), hint=error.hint, status=int(error.status))
    return replace(draft, kind="refused", refusal=refusal)
