"""References in messages, beside what pydicom makes of the same bytes."""

import struct
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import decode, encode

from ingest.commitment.references import Failure, Message, Reference, dataset_of, read_message
from ingest.errors import BadDataSet, BadLength, BadUID, EmptyDataSet, TooMany, Truncated
from tests.ingest.commitment.conftest import information
from tests.ingest.datasets import BIG, CT_CLASS, DEFLATED, EXPLICIT, IMPLICIT

SYNTAXES = {
    IMPLICIT: (True, True, False),
    EXPLICIT: (False, True, False),
    BIG: (False, False, False),
    DEFLATED: (False, True, True),
}
MESSAGE = Message(
    transaction_uid="1.2.3",
    references=(Reference(CT_CLASS, "1.2.3.4"), Reference(CT_CLASS, "1.2.3.45")),
    failures=(Failure(CT_CLASS, "1.2.3.6", 0x0112),),
)


def encoded(dataset: Dataset, syntax: str) -> BytesIO:
    raw = encode(dataset, *SYNTAXES[syntax])
    assert raw is not None
    return BytesIO(raw)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_message_when_written_then_pydicom_and_we_read_the_same(syntax: str) -> None:
    raw = encoded(dataset_of(MESSAGE, syntax), syntax)
    told = decode(BytesIO(raw.getvalue()), *SYNTAXES[syntax])
    assert told.TransactionUID == "1.2.3"
    assert [one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence] == ["1.2.3.4", "1.2.3.45"]
    assert [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in told.FailedSOPSequence] == [
        ("1.2.3.6", 0x0112)
    ]
    assert read_message(raw, syntax) == MESSAGE


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_undefined", [False, True])
def test_message_when_written_by_pydicom_with_more_in_it_then_only_references_are_read(
    syntax: str, is_undefined: bool
) -> None:
    asked = information("1.9", ["1.2.3.4", "1.2.3.45"])
    asked.RetrieveAETitle = "SCANNER"
    asked.StorageMediaFileSetID = "DISK"
    asked.ReferencedPerformedProcedureStepSequence = information("1.8", ["1.7"]).ReferencedSOPSequence
    asked["ReferencedSOPSequence"].is_undefined_length = is_undefined
    asked["ReferencedPerformedProcedureStepSequence"].is_undefined_length = is_undefined
    for item in (*asked.ReferencedSOPSequence, *asked.ReferencedPerformedProcedureStepSequence):
        item.is_undefined_length_sequence_item = is_undefined
    assert read_message(encoded(asked, syntax), syntax) == Message(transaction_uid="1.9", references=MESSAGE.references)


def test_message_when_an_instance_is_named_twice_then_it_counts_once() -> None:
    asked = information("1.9", ["1.2.3.4", "1.2.3.4"])
    assert len(read_message(encoded(asked, IMPLICIT), IMPLICIT).references) == 1


def test_message_when_it_names_too_many_then_it_is_refused() -> None:
    raw = encoded(information("1.9", ["1.2", "1.3", "1.4"]), IMPLICIT)
    assert len(read_message(BytesIO(raw.getvalue()), IMPLICIT, most=3).references) == 3
    with pytest.raises(TooMany, match="more than 2 instances"):
        read_message(raw, IMPLICIT, most=2)


def test_message_when_an_item_lacks_a_name_then_it_is_refused() -> None:
    asked = information("1.9", ["1.2"])
    del asked.ReferencedSOPSequence[0].ReferencedSOPClassUID
    with pytest.raises(BadUID):
        read_message(encoded(asked, EXPLICIT), EXPLICIT)


def test_message_when_empty_then_it_is_refused() -> None:
    with pytest.raises(EmptyDataSet):
        read_message(BytesIO(), EXPLICIT)


def test_message_when_a_length_leaves_its_item_then_it_is_refused() -> None:
    raw = bytearray(encoded(information("1.9", ["1.2"]), IMPLICIT).getvalue())
    at = raw.index(struct.pack("<HHI", 0x0008, 0x1155, 4)) + 4
    raw[at] = 40
    with pytest.raises((BadLength, Truncated)):
        read_message(BytesIO(raw), IMPLICIT)


@given(
    cut=st.integers(min_value=0, max_value=200), noise=st.binary(max_size=6), syntax=st.sampled_from(sorted(SYNTAXES))
)
def test_message_when_damaged_then_it_is_read_or_refused_and_nothing_else(cut: int, noise: bytes, syntax: str) -> None:
    raw = encoded(dataset_of(MESSAGE, syntax), syntax).getvalue()
    damaged = raw[:cut] + noise + raw[cut + len(noise) :]
    try:
        read = read_message(BytesIO(damaged), syntax)
    except BadDataSet:
        return
    assert len(read.references) <= 3


def test_message_when_it_names_many_then_memory_stays_small() -> None:
    many = Message(
        transaction_uid="1.2",
        references=tuple(Reference(CT_CLASS, f"1.2.826.0.1.3680043.10.1234.5678.{n}") for n in range(20_000)),
    )
    raw = encoded(dataset_of(many, IMPLICIT), IMPLICIT)
    assert len(raw.getvalue()) > 1_600_000
    tracemalloc.start()
    try:
        read = read_message(raw, IMPLICIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == many
    assert peak < 12 * 1024 * 1024  # pydicom: 36
