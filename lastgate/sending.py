"""Sends a dossier to another node, its digests checked on the way out."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from archive.journal import Event
from archive.model import Dossier, Held
from ingest.errors import IngestError
from ingest.part10 import file_header, find_dataset
from ingest.sender import Peer, Sent, send
from lastgate.wiring import House
from storage.base import ObjectStore
from storage.errors import DigestMismatch


def send_dossier(house: House, dossier: Dossier, peer: Peer) -> dict[str, Any]:
    """Send all DICOM objects of a dossier over C-STORE and return what became of each.

    The data sets go out as they came in; the command names them by what they say themselves, not by the file
    meta group they arrived with, which may name another instance.

    Raises
    ------
    NotSent
        The peer can't be reached or refuses.
    DigestMismatch
        An object is not what was received; nothing is sent.
    """
    objects = [held for held in dossier.instances if held.header.sop_instance_uid]
    told = f"{peer.aet}@{peer.host}:{peer.port}"
    subject: dict[str, object] = {"dossier": dossier.id, "peer": told, "objects": len(objects)}
    with tempfile.TemporaryDirectory(prefix="lastgate-send-", dir=house.home) as folder:
        paths = [Path(folder) / f"{number:06d}.dcm" for number in range(len(objects))]
        for held, path in zip(objects, paths, strict=True):
            _lay_out(house.stores.work, held, path)
        try:
            sent = send(paths, peer, calling=house.settings.node.aet)
        except IngestError as error:
            _journal(house, {**subject, "reason": error.code}, outcome="refused")
            raise
    refused = [_told(held, one) for held, one in zip(objects, sent, strict=True) if not one.is_stored]
    _journal(house, {**subject, "refused": len(refused)}, outcome="done")
    return {
        "dossier": dossier.id,
        "peer": told,
        "objects": len(objects),
        "stored": len(objects) - len(refused),
        "refused": refused,
    }


def _lay_out(store: ObjectStore, held: Held, path: Path) -> None:
    """Write an object as a file that says what is in it; its bytes are checked before they go anywhere."""
    receipt = held.receipt
    digest = hashlib.sha256()
    with path.open("w+b") as file:
        for piece in store.read(receipt.key):
            digest.update(piece)
            file.write(piece)
        if digest.hexdigest() != receipt.file_sha256:
            raise DigestMismatch(f"{receipt.key} does not have the digest of its receipt")
        file.seek(0)
        layout = find_dataset(file)
        if layout is None or (not layout.flags and (layout.sop_class_uid, layout.sop_instance_uid) == _names(held)):
            return
        file.seek(layout.dataset_offset)
        dataset = file.read()
    header = file_header(
        sop_class_uid=held.header.sop_class_uid,
        sop_instance_uid=held.header.sop_instance_uid,
        transfer_syntax_uid=receipt.transfer_syntax_uid,
    )
    path.write_bytes(header + dataset)


def _names(held: Held) -> tuple[str, str]:
    return held.header.sop_class_uid, held.header.sop_instance_uid


def _told(held: Held, sent: Sent) -> dict[str, Any]:
    status = None if sent.status is None else f"{sent.status:04X}"
    return {"uid": held.uid, "status": status, "reason": sent.reason}


def _journal(house: House, subject: dict[str, object], *, outcome: str) -> None:
    house.journal.append(Event(act="send", account=house.settings.node.aet, subject=subject, outcome=outcome))
