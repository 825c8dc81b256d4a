"""Destroys a sealed dossier whose retention has ended, and leaves a signed certificate of what went.

One put-if-absent of the certificate under ``disposed/`` decides, as the plan of
a seal does; whoever finds it without its end carries on. Each step is
idempotent. The declaration of the OCFL object goes first: what is half gone is
no object any more. Only states that were listed are deleted, so that nothing
that arrives meanwhile goes with them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, Literal

from pydantic import TypeAdapter

from archive.errors import Refused
from archive.facts.receipts import PatientKey
from archive.signing.signing import SigningKey, is_signed
from archive.vault import ocfl
from archive.vault.locking import is_held, locked_until
from storage.base import ObjectStore, Replicated
from storage.documents import put_document
from storage.errors import KeyTaken, StoreUnavailable
from storage.reading import replicas_of

FOLDER: Final = "disposed/"
"""Certificates lie below it, in the store of the vault."""

_CERTIFICATE: Final = ".json"
_ENDED: Final = ".ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneFile:
    """One file of a dossier that was destroyed; `path` is that inside the OCFL object."""

    path: str
    sha256: str
    sha512: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneSource:
    """Where a copy outside the vault lay.

    Parameters
    ----------
    key
        In the work store.
    arrivals
        How often the file had arrived, or the paper had been released, by then.
    is_paper
        Whether it was printed here and released.
    """

    key: str
    sha256: str
    arrivals: int
    is_paper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was destroyed, by whom and why; it names no patient.

    Parameters
    ----------
    request, request_sha256
        Number and digest of the decision it carries out.
    requested_by, confirmed_by
        Two accounts.
    kept_until
        The last day on which the dossier had to be kept.
    sources
        Copies outside the vault that went too; what another dossier holds is not among them.
    """

    format: Literal["lastgate/disposal/1"] = "lastgate/disposal/1"
    dossier: str
    version: int
    patient_key: PatientKey
    request: int
    request_sha256: str
    requested_by: str
    confirmed_by: str
    reason: str
    kept_until: date
    made_at: datetime
    node: str
    plan_uids: tuple[str, ...]
    dossier_sha256s: tuple[str, ...]
    files: tuple[GoneFile, ...]
    sources: tuple[GoneSource, ...]
    signature: str = ""
    public_key: str = ""


CERTIFICATE: Final = TypeAdapter(Certificate)


def signed_certificate(certificate: Certificate, key: SigningKey) -> Certificate:
    """Return the certificate with the signature of the node."""
    return replace(certificate, signature=key.sign(_body(certificate)), public_key=key.public_key)


def is_genuine_certificate(certificate: Certificate) -> bool:
    """Return whether a certificate is what was signed."""
    return is_signed(_body(certificate), signature=certificate.signature, public_key=certificate.public_key)


def _body(certificate: Certificate) -> dict[str, object]:
    body: dict[str, object] = CERTIFICATE.dump_python(certificate, mode="json")
    return {name: value for name, value in body.items() if name not in {"signature", "public_key"}}


class Disposals:
    """Carries out disposals.

    Parameters
    ----------
    work
        Store of the intake and of the sealing plans.
    locked
        Store of the vault and of the certificates.
    """

    def __init__(self, *, work: ObjectStore, locked: ObjectStore) -> None:
        self._work = work
        self._locked = locked

    def refuse_if_kept(self, dossier: str) -> None:
        """Raise where a store still keeps a file of a dossier.

        Raises
        ------
        Refused
            A lock has not ended, or a legal hold stands.
        StoreUnavailable
            One of two stores can't be reached: nothing may stay behind in it.
        """
        self._refuse_unless_whole()
        end = locked_until(self._locked, dossier)
        if end is not None:
            raise Refused(
                f"The store keeps the dossier locked until {end.isoformat(timespec='minutes')}",
                hint="Nobody can shorten a lock; dispose of it then.",
            )
        if is_held(self._locked, dossier):
            raise Refused("The store keeps the dossier under legal hold", hint="Lift it: lastgate hold DOSSIER --lift")

    def settle(self, certificate: Certificate, *, retain_until: datetime | None) -> Certificate:
        """Put the certificate unless somebody was quicker, lock it, and return the one that counts."""
        key = f"{_place(certificate)}{_CERTIFICATE}"
        try:
            version = put_document(self._locked, key, CERTIFICATE.dump_json(certificate, indent=1) + b"\n")
        except KeyTaken:
            certificate, version = self._read(key), self._locked.stat(key).version
        if retain_until is not None:
            self._locked.retain_until(version, retain_until)
        return certificate

    def certificates(self) -> Iterator[Certificate]:
        """Yield the certificates of everything that was ever disposed of."""
        for stat in self._locked.list(FOLDER):
            if stat.key.endswith(_CERTIFICATE):
                yield self._read(stat.key)

    def unfinished(self, dossier: str = "") -> Iterator[Certificate]:
        """Yield what was begun and not brought to its end, of one dossier or of all."""
        keys = {stat.key for stat in self._locked.list(f"{FOLDER}{dossier}{'/' if dossier else ''}")}
        for key in sorted(keys):
            if key.endswith(_CERTIFICATE) and key.removesuffix(_CERTIFICATE) + _ENDED not in keys:
                yield self._read(key)

    def carry_out(self, certificate: Certificate, *, arrivals: Callable[[str], int]) -> None:
        """Delete everything the certificate names, in every store, and note that it is done.

        Parameters
        ----------
        arrivals
            Returns by digest how often a file has arrived, or a paper was released, by now: then it lives and stays.

        Raises
        ------
        Retained
            A lock was set since it was looked at.
        StoreUnavailable
            A store can't be reached; done again, it goes on where it stopped.
        """
        self._refuse_unless_whole()
        for prefix in (f"{ocfl.object_folder(certificate.dossier)}/", f"sealing/{certificate.dossier}/"):
            _delete_below(self._locked if prefix.startswith(ocfl.ROOT) else self._work, prefix)
        for source in certificate.sources:
            self._delete_source(source, arrivals)
        put_document(self._locked, f"{_place(certificate)}{_ENDED}", b"ended\n")

    def _delete_source(self, source: GoneSource, arrivals: Callable[[str], int]) -> None:
        found = [stat for stat in self._work.list_versions(source.key) if stat.key == source.key]
        if arrivals(source.sha256) <= source.arrivals:
            for stat in found:
                self._work.delete(stat.key, version=stat.version)

    def _refuse_unless_whole(self) -> None:
        for store in (self._work, self._locked):
            if isinstance(store, Replicated) and len(replicas_of(store)) < 2:
                raise StoreUnavailable("The second store is away: nothing is destroyed in one store alone")

    def _read(self, key: str) -> Certificate:
        return CERTIFICATE.validate_json(self._locked.read_bytes(key))


def _place(certificate: Certificate) -> str:
    return f"{FOLDER}{certificate.dossier}/d{certificate.request}"


def _delete_below(store: ObjectStore, prefix: str) -> None:
    """Delete all states of all keys below `prefix` in every store, the declaration of an OCFL object first."""
    found = sorted(store.list_versions(prefix), key=lambda stat: not stat.key.endswith(ocfl.OBJECT_DECLARATION))
    for stat in found:
        store.delete(stat.key, version=stat.version)
    for replica in replicas_of(store)[1:]:
        for stat in list(replica.list_versions(prefix)):
            replica.delete(stat.key, version=stat.version)
