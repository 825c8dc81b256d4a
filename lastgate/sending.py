"""Sends a dossier to another node, its digests checked on the way out."""

import tempfile
from pathlib import Path
from typing import Any

from archive.journal import Event
from archive.model import Dossier
from ingest.sender import Peer, send
from lastgate.wiring import House
from storage.reading import read_back


def send_dossier(house: House, dossier: Dossier, peer_text: str) -> dict[str, Any]:
    """Send all DICOM objects of a dossier over C-STORE and return what the peer answered to each.

    Raises
    ------
    NotSent
        The peer can't be reached or refuses.
    DigestMismatch
        An object is not what was received; nothing of it is sent.
    """
    peer = Peer.parse(peer_text)
    objects = [held for held in dossier.instances if held.header.sop_instance_uid]
    with tempfile.TemporaryDirectory(prefix="lastgate-send-", dir=house.home) as folder:
        paths = {}
        for number, held in enumerate(objects):
            receipt = held.receipt
            read_back(house.stores.work, receipt.key, sha256=receipt.file_sha256, size_bytes=receipt.size_bytes)
            path = Path(folder) / f"{number:06d}.dcm"
            with path.open("wb") as file:
                file.writelines(house.stores.work.read(receipt.key))
            paths[path] = held.uid
        sent = send(list(paths), peer, calling=house.settings.node.aet)
    refused = [
        {"uid": paths[one.path], "status": None if one.status is None else f"{one.status:04X}"}
        for one in sent
        if not one.is_stored
    ]
    subject = {"dossier": dossier.id, "peer": peer_text, "objects": len(sent), "refused": len(refused)}
    house.journal.append(Event(act="send", account=house.settings.node.aet, subject=subject))
    return {
        "dossier": dossier.id,
        "peer": peer_text,
        "objects": len(sent),
        "stored": len(sent) - len(refused),
        "refused": refused,
    }
