"""What of a dossier goes into a package: of a sealed one what its newest seal holds, else what it holds now."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from archive.answers import dossier_answer
from archive.facts.decisions import DECISION, Decision
from archive.facts.receipts import RECEIPT, Receipt, sharing
from archive.model import Dossier, DossierState, Held
from archive.vault import ocfl
from archive.vault.places import Places
from archive.vault.seal import place_of
from archive.vault.vault import Vault

DOSSIER_JSON: Final = "dossier.json"
SEAL_JSON: Final = "seal.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One file that goes into a package.

    Parameters
    ----------
    path
        Inside the dossier, such as ``dicom/<series>/<sop instance uid>.dcm``.
    size_bytes
        Its length, or what it is reckoned to be where it is made on the way.
    pieces
        Yields the content.
    sha256
        What its digest must be, hex; empty where it is made on the way.
    title
        Of a document: the name it came with.
    """

    path: str
    size_bytes: int
    pieces: Callable[[], Iterator[bytes]]
    sha256: str = ""
    title: str = ""

    @property
    def is_instance(self) -> bool:
        """Whether it is a DICOM instance."""
        return self.path.startswith("dicom/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that goes into a package.

    Parameters
    ----------
    dossier
        Id of the dossier; that of its pseudonym where identities are taken away.
    version
        Of the seal; 0 where there is none.
    files
        Instances, documents, papers, and what tells of them.
    """

    dossier: str
    version: int
    files: tuple[Payload, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


def contents_of(dossier: Dossier, decisions: Iterable[Decision], *, vault: Vault, places: Places) -> Contents:
    """Return what of a dossier goes into a package.

    What came after the seal stays out of it: it becomes part of the dossier by an addendum.
    """
    inventory = vault.inventory(dossier.id) if dossier.state is DossierState.SEALED else None
    if inventory is None:
        files = [_told(dossier, decisions), *(_held(one, places) for one in dossier.instances)]
        return Contents(dossier=dossier.id, version=0, files=tuple(files))
    receipts = receipts_by_digest(dossier)
    digests = ocfl.content_paths(inventory)
    folder = ocfl.object_folder(dossier.id)
    sealed = [
        sealed_file(path, f"{folder}/{content}", digests[content][1], receipts=receipts, vault=vault, places=places)
        for path, content in sorted(ocfl.logical_paths(inventory).items())
    ]
    return Contents(dossier=dossier.id, version=dossier.version, files=tuple(sealed))


def receipts_by_digest(dossier: Dossier) -> dict[str, Receipt]:
    """Return the receipts of all instances of a dossier by the digest of the file."""
    held = (*dossier.instances, *dossier.late)
    return {one.receipt.file_sha256: one.receipt for one in held}


def sealed_file(
    path: str, key: str, sha256: str, *, receipts: Mapping[str, Receipt], vault: Vault, places: Places
) -> Payload:
    """Return a file of the vault; of an instance any good copy will do.

    Parameters
    ----------
    path
        What it is called in the package.
    key
        Where it lies in the vault.
    """
    receipt = receipts.get(sha256)
    if receipt is not None:
        return _of_receipt(path, receipt, places)
    body = b"".join(vault.read(key))
    return Payload(path=path, size_bytes=len(body), pieces=partial(iter, (body,)), sha256=sha256)


def made_here(path: str, body: bytes) -> Payload:
    """Return a file whose content this program makes."""
    return Payload(path=path, size_bytes=len(body), pieces=partial(iter, (body,)))


def _held(held: Held, places: Places) -> Payload:
    return _of_receipt(place_of(held), held.receipt, places)


def _of_receipt(path: str, receipt: Receipt, places: Places) -> Payload:
    return Payload(
        path=path,
        size_bytes=receipt.size_bytes,
        pieces=partial(places.pieces, receipt),
        sha256=receipt.file_sha256,
        title=receipt.header.document_title,
    )


def _told(dossier: Dossier, decisions: Iterable[Decision]) -> Payload:
    """Return the dossier.json of a dossier that is not sealed: the same shape, and nobody's signature over it."""
    receipts = sharing(held.receipt for held in dossier.instances)
    body = {
        "format": "lastgate/dossier/1",
        **dossier_answer(dossier),
        "files": [
            {"path": place_of(held), "receipt": RECEIPT.dump_python(receipt, mode="json", exclude_defaults=True)}
            for held, receipt in zip(dossier.instances, receipts, strict=True)
        ],
        "decisions": [DECISION.dump_python(decision, mode="json") for decision in decisions],
    }
    return made_here(DOSSIER_JSON, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode())
