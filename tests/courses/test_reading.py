"""Bytes are checked before they are read, and the planning image is told from others."""

import io
from dataclasses import replace

import pytest

from archive.model import Held
from courses.reading import planning_series
from storage.errors import DigestMismatch
from tests import factories as made
from tests.courses.archived import Archived, SampleRecord


def test_dataset_when_the_bytes_are_not_those_received_then_they_are_never_read(archived: Archived) -> None:
    receipt = made.receipt(made.dose(), body=b"what was received")
    other = b"what lies there"
    digest = made.receipt(made.dose(), body=other).file_sha256
    archived.store.put_if_absent(receipt.key, io.BytesIO(other), sha256=digest, size_bytes=len(other))
    with pytest.raises(DigestMismatch, match="does not have the digest of its receipt"):
        archived.reader.dataset(Held(receipt=receipt))


def test_image_when_slices_make_no_volume_then_there_is_none(sample_archive: Archived, lung: SampleRecord) -> None:
    (_, slices), *_ = planning_series(lung.record.dossiers[0])
    volume = sample_archive.reader.image(slices)
    assert volume is not None
    assert volume.geometry.shape[0] == len(slices)
    assert sample_archive.reader.image([*slices[:5], *slices[6:]]) is None


def test_planning_series_when_several_are_there_then_the_one_contoured_on_comes_first() -> None:
    longer = [replace(one, frame_uid=made.uid("frame")) for one in made.series("zz", slices=9)]
    dossier = made.only_dossier([*made.course(), *longer])
    assert [uid for uid, _ in planning_series(dossier)] == [made.uid("ct"), made.uid("zz")]


def test_planning_series_when_nothing_refers_to_one_then_the_frame_of_the_dose_decides() -> None:
    contoured = made.structures("structures ct", series="", frame="frame")
    rest = [one for one in made.course() if one.structure_set is None]
    elsewhere = made.series("aa", slices=9, frame="mr frame")
    joined = made.registration("reg", "frame", "mr frame")
    dossier = made.only_dossier([*rest, contoured, *elsewhere, joined])
    assert [uid for uid, _ in planning_series(dossier)] == [made.uid("ct"), made.uid("aa")]
