"""Which SOP classes are storage: all that the standard calls so, and all it does not know."""

import pytest
from pydicom._uid_dict import UID_dictionary

from ingest.peers.classes import is_storage, service_of


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.2",  # CT
        "1.2.840.10008.5.1.4.1.1.481.5",  # RT Plan
        "1.2.840.10008.5.1.4.1.1.481.10",  # RT Physician Intent, second generation
        "1.2.840.10008.5.1.4.1.1.481.25",  # Tomotherapeutic Radiation Record
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
        "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery Instruction
        "1.2.840.10008.5.1.4.34.1",  # its trial version, retired
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound, retired
        "1.2.840.10008.5.1.1.30",  # Hardcopy Color Image, retired
        "1.2.840.10008.5.1.4.1.1.40",  # retired and without a name in the dictionary
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.1.1.481.999",  # unknown
        "1.2.246.352.70.1.70",  # private
    ],
)
def test_is_storage_when_it_may_be_stored_then_it_is(uid: str) -> None:
    assert is_storage(uid)
    assert service_of(uid) == "store"


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print Management
        "1.2.840.10008.5.1.1.26",  # Print Queue Management, retired
        "1.2.840.10008.5.1.4.31",  # Modality Worklist
        "1.2.840.10008.5.1.4.34.6.1",  # Unified Procedure Step
        "1.2.840.10008.5.1.4.34.8",  # RT Conventional Machine Verification
        "1.2.840.10008.5.1.4.1.1.201.5",  # Inventory Creation
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model, retired
        "1.2.840.10008.4.2",  # Storage Service Class
        "1.2.840.10008.1.2.1",  # a transfer syntax
    ],
)
def test_service_of_when_it_is_known_for_something_else_then_none(uid: str) -> None:
    assert service_of(uid) is None


def test_is_storage_when_the_standard_calls_a_class_storage_then_it_is() -> None:
    named = {
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and "Commitment" not in name and "Directory" not in name
    }

    assert len(named) > 150
    assert all(map(is_storage, named))


@pytest.mark.parametrize(
    ("uid", "service"),
    [
        ("1.2.840.10008.1.1", "verify"),
        ("1.2.840.10008.5.1.4.1.2.1.1", "find"),
        ("1.2.840.10008.5.1.4.1.2.2.2", "move"),
        ("1.2.840.10008.5.1.4.1.2.2.3", "get"),
        ("1.2.840.10008.5.1.4.1.2.5.3", "get"),
        ("1.2.840.10008.1.20.1", "commit"),
        ("1.2.840.10008.3.1.2.3.3", "mpps"),
        ("1.2.840.10008.5.1.4.33", "mpps"),
    ],
)
def test_service_of_when_it_is_offered_then_it_is_named(uid: str, service: str) -> None:
    assert service_of(uid) == service
