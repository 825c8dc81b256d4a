"""What the reactor relies on inside pynetdicom: when it changes, this says what to read again before it is taken."""

import hashlib
import importlib
import inspect
from functools import reduce
from typing import Any

import pynetdicom
import pytest

from ingest.node.reactor import RELIES_ON

# Path of what is replaced or called, and the first digits of the SHA-256 of its source. After an update of pynetdicom
# read what changed beside ingest/node (reactor, connection, guard, fast_receive), then note the new digest.
KNOWN = {
    "acse:ACSE._negotiate_as_acceptor": "6472492e99f8fa2a",
    "acse:ACSE._negotiate_as_requestor": "06e7222dce332643",
    "acse:ACSE.is_aborted": "4bc40f84884027b1",
    "acse:ACSE.is_release_requested": "cf7e1d4f0f60d48e",
    "acse:ACSE.negotiate_release": "38be873e03c2fc3d",
    "ae:ApplicationEntity.associate": "a0d8e8a195ae81d8",
    "ae:ApplicationEntity.make_server": "c9b5db74de1078fd",
    "association:Association.__init__": "2cf4c4c3f9a64f93",
    "association:Association._abort_blocking": "c95ce39384751c78",
    "association:Association._run_reactor": "cb82fc19c31a1eef",
    "association:Association._serve_request": "99c2e085201d0487",
    "association:Association._wrap_find_responses": "4708a2c6eed1f54c",
    "association:Association.kill": "789b01c573c1e5c7",
    "association:Association.release": "5562267c9c41a1d6",
    "association:Association.request": "2f04f4f65da05f54",
    "association:Association.run_reactor": "14082be92a2cadfa",
    "association:Association.send_c_store": "0034454adbc031e4",
    "dimse:DIMSEServiceProvider.__init__": "106c7dd2c468f8f5",
    "dimse:DIMSEServiceProvider.get_msg": "1185aa737de8b616",
    "dimse:DIMSEServiceProvider.maximum_pdu_size": "0ea5da265d3452c0",
    "dimse:DIMSEServiceProvider.receive_primitive": "30ca257ed4a4d320",
    "dimse:DIMSEServiceProvider.send_msg": "a51b828382da0320",
    "dul:DULServiceProvider.__init__": "dc16729890247595",
    "dul:DULServiceProvider._is_transport_event": "e6689baa15a2f1f3",
    "dul:DULServiceProvider._process_recv_primitive": "e2389839bb29c2d9",
    "dul:DULServiceProvider._read_pdu_data": "90e4453840f7e31a",
    "dul:DULServiceProvider._send": "3a8a7c1472f70d7d",
    "dul:DULServiceProvider.kill_dul": "ac7c3cb0e93943f6",
    "dul:DULServiceProvider.peek_next_pdu": "b3575c10fe0a4227",
    "dul:DULServiceProvider.receive_pdu": "ff567181d80eba7f",
    "dul:DULServiceProvider.run_reactor": "5510d9fcbcb03759",
    "dul:DULServiceProvider.send_pdu": "42db5b3f1e789c63",
    "dul:DULServiceProvider.stop_dul": "f6e4e1616894f6d1",
    "fsm:AA_1": "506614b141eed437",
    "fsm:AA_8": "a1bf3ca750f346c1",
    "fsm:DT_2": "6541e369216c2ab5",
    "fsm:StateMachine": "615fd241a309d971",
    "fsm:TRANSITION_TABLE": "73f9bd6de4b8d8ee",
    "timer:Timer": "16623fd38e37590f",
    "transport:AssociationServer": "ae1e29f8a6ccba91",
    "transport:AssociationSocket": "0f1259542a19a874",
    "transport:RequestHandler": "79686e7d5c8ea0ca",
    "transport:ThreadedAssociationServer": "0e2281d32ede3718",
}


def digest_of(path: str) -> str:
    """Return the first digits of the digest of a source, blanks at the ends of lines left out."""
    module, _, name = path.partition(":")
    found: Any = reduce(getattr, name.split("."), importlib.import_module(f"pynetdicom.{module}"))
    found = getattr(found, "fget", found)  # of a property
    source = inspect.getsource(found) if callable(found) else repr(sorted(found.items()))
    return hashlib.sha256("\n".join(line.rstrip() for line in source.splitlines()).encode()).hexdigest()[:16]


def test_pynetdicom_when_installed_then_it_is_the_version_that_was_read() -> None:
    assert pynetdicom.__version__ == RELIES_ON


@pytest.mark.parametrize("path", sorted(KNOWN))
def test_pynetdicom_when_its_source_is_compared_then_it_is_what_was_read(path: str) -> None:
    assert digest_of(path) == KNOWN[path], f"pynetdicom.{path} has changed: read it beside ingest/node"
