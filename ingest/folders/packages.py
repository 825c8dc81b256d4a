"""Packages that come in: checked whole, and asked whose their files are and who sealed them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from archive.handover.formats import PackageFormat
from archive.headers import Identifier
from archive.signing.signing import is_signed
from ingest.errors import BadPackage, FileChanged
from ingest.folders.bags import check_bag
from ingest.folders.checked import Checked, refuse
from ingest.folders.media import check_medium
from ingest.folders.ocfl_objects import check_object
from ingest.folders.trees import Tree

DOSSIER_JSON: Final = "dossier.json"
SEAL_JSON: Final = "seal.json"
_OWN: Final = (DOSSIER_JSON, SEAL_JSON, "deidentification.json")
_FORMATS: Final = {DOSSIER_JSON: "lastgate/dossier/1", SEAL_JSON: "lastgate/seal/1"}
_KNOWN_PREFIX: Final = "lastgate/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """A file of a dossier in a package.

    Parameters
    ----------
    name
        Path in the tree of the package.
    sha256
        Hex digest it had when the package was checked.
    patient
        Whose it is, as the sender's archive knows; None if the package does not tell.
    title
        Of a document.
    """

    name: str
    sha256: str
    patient: Identifier | None
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealTold:
    """Who sealed what is in a package; the signature is good, whosever the key is.

    Parameters
    ----------
    public_key
        Hex; only the sender can say that it is his.
    """

    account: str
    made_at: str
    public_key: str

    @property
    def key_id(self) -> str:
        """Name of the key: the first 16 hex digits of the SHA-256 of its public half."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of which every file is what was packed.

    Parameters
    ----------
    shown
        What the place it came from is called.
    dossier
        Id of the dossier in the sender's archive, empty if it does not tell.
    files
        Instances, documents and papers.
    told
        Content of the files that tell of the dossier, by SHA-256.
    own
        Path in the tree of each file that is no part of the dossier.
    dossier_sha256, seal_sha256
        Of the newest dossier.json and of its seal.json, empty if there is none.
    """

    shown: str
    kind: PackageFormat
    dossier: str
    files: tuple[PackedFile, ...]
    told: Mapping[str, bytes]
    own: tuple[str, ...]
    dossier_sha256: str
    seal_sha256: str
    seal: SealTold | None


def open_package(tree: Tree, kind: PackageFormat) -> Package | None:
    """Check a package; None for a DICOM medium that this program did not write, whose files are taken as they lie.

    Raises
    ------
    BadPackage
        It is not whole, or not what was packed or sealed.
    NotTaken
        A file of it can't be read.
    """
    checked = _check(tree, kind)
    if checked is None:
        return None
    own = {path: name for path, name in checked.payload.items() if _is_own(path)}
    told = {path: b"".join(tree.pieces(name)) for path, name in own.items()}
    dossier = _document(told, DOSSIER_JSON)
    seal = _seal_told(told)
    packed = {path: name for path, name in checked.payload.items() if path not in own}
    hints = _hints(dossier)
    _refuse_unless_told(dossier, packed, checked)
    return Package(
        shown=tree.shown,
        kind=kind,
        dossier=str(dossier.get("id", "")),
        files=tuple(_packed(path, name, checked.sha256s[name], hints) for path, name in sorted(packed.items())),
        told={hashlib.sha256(body).hexdigest(): body for body in told.values()},
        own=tuple(sorted({*checked.own, *own.values()} & set(tree.names))),
        dossier_sha256=_sha256_of(told, DOSSIER_JSON),
        seal_sha256=_sha256_of(told, SEAL_JSON),
        seal=seal,
    )


def as_checked(tree: Tree, file: PackedFile) -> Iterator[bytes]:
    """Yield the content of a file; raises `FileChanged` if it is no longer what it was when the package was checked."""
    digest = hashlib.sha256()
    for piece in tree.pieces(file.name):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise FileChanged("It changed after the package was checked")


def _check(tree: Tree, kind: PackageFormat) -> Checked | None:
    match kind:
        case PackageFormat.OCFL:
            return check_object(tree)
        case PackageFormat.BAGIT:
            return check_bag(tree)
        case PackageFormat.DICOMDIR:
            return check_medium(tree)


def _is_own(path: str) -> bool:
    """Return whether a file tells of the dossier, also if an earlier version of it stands beside."""
    return any(path == own or path.startswith(f"{own}.") for own in _OWN)


def _document(told: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """Return what a file of ours says, empty if it is missing or not of ours."""
    try:
        document = json.loads(told.get(name, b"{}"))
    except ValueError as error:
        raise BadPackage(f"{name} can't be read") from error
    written = str(document.get("format", "")) if isinstance(document, dict) else ""
    if not written.startswith(_KNOWN_PREFIX):
        return {}
    if written != _FORMATS[name]:
        raise BadPackage(
            f"{name} is of the format {written!r}, which this version does not know: update Lastgate, then import again"
        )
    return dict(document)


def _seal_told(told: Mapping[str, bytes]) -> SealTold | None:
    seal = _document(told, SEAL_JSON)
    if not seal:
        return None
    body = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
    key = str(seal.get("public_key", ""))
    if not is_signed(body, signature=str(seal.get("signature", "")), public_key=key):
        raise BadPackage(f"{SEAL_JSON} is not what was signed: it was changed, or never sealed")
    if seal.get("dossier_sha256") != _sha256_of(told, DOSSIER_JSON):
        raise BadPackage(f"{SEAL_JSON} was made over another {DOSSIER_JSON}")
    return SealTold(account=str(seal.get("account", "")), made_at=str(seal.get("made_at", "")), public_key=key)


def _hints(dossier: Mapping[str, Any]) -> dict[str, tuple[Identifier, str]]:
    """Return whose each file is and what it is called, by its SHA-256; under the empty one, whose the dossier is."""
    hints: dict[str, tuple[Identifier, str]] = {}
    try:
        for file in dossier.get("files", ()):
            header = file["receipt"]["header"]
            told = header["patient"]["identifier"]
            identifier = Identifier(
                value=str(told["value"]), issuer=str(told.get("issuer", "")), kind=str(told.get("kind", ""))
            )
            hints[str(file["receipt"]["file_sha256"])] = identifier, str(header.get("document_title", ""))
            if identifier.value:
                hints.setdefault("", (identifier, ""))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPackage(f"{DOSSIER_JSON} does not tell of its files as it must") from error
    return hints


def _refuse_unless_told(dossier: Mapping[str, Any], packed: Mapping[str, str], checked: Checked) -> None:
    """Refuse a package whose dossier.json names files that are not in it, or not as they were."""
    held = {checked.sha256s[name] for name in packed.values()}
    files: Iterable[Mapping[str, Any]] = dossier.get("files", ())
    refuse([f"{file.get('path')} is missing" for file in files if file["receipt"]["file_sha256"] not in held])


def _packed(path: str, name: str, sha256: str, hints: Mapping[str, tuple[Identifier, str]]) -> PackedFile:
    patient, title = hints.get(sha256, (hints[""][0] if "" in hints else None, ""))
    return PackedFile(name=name, sha256=sha256, patient=patient, title=title or PurePosixPath(path).name)


def _sha256_of(told: Mapping[str, bytes], name: str) -> str:
    return hashlib.sha256(told[name]).hexdigest() if name in told else ""
