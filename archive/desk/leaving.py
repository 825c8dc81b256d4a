"""What goes when a dossier is disposed of: its files in the vault, and copies outside that nobody else needs."""

from collections import Counter
from collections.abc import Iterable, Iterator

from archive.facts.decisions import Release
from archive.facts.linked import PatientFacts
from archive.facts.receipts import Receipt
from archive.facts.store import FactStore
from archive.model import Dossier
from archive.vault import ocfl
from archive.vault.disposal import GoneFile, GoneSource
from archive.vault.vault import Vault

_DOCUMENTS = "intake/documents/"


def gone_files(vault: Vault, dossier: Dossier) -> tuple[GoneFile, ...]:
    """Return every content file of a sealed dossier, of all its versions, in order of path."""
    inventory = vault.inventory(dossier.id)
    paths = ocfl.content_paths(inventory) if inventory else {}
    return tuple(GoneFile(path=path, sha256=short, sha512=long) for path, (long, short) in sorted(paths.items()))


def receipts_of(dossier: Dossier) -> Iterator[Receipt]:
    """Yield the receipts of all that a dossier holds, what came late and contents in conflict included."""
    for held in (*dossier.instances, *dossier.late):
        yield held.receipt
        yield from held.others


def arrivals_of(facts: PatientFacts) -> Counter[str]:
    """Return by digest how often each file arrived and each paper was released."""
    released = (one.what.papers for one in facts.decisions if isinstance(one.what, Release))
    return Counter(
        [*(receipt.file_sha256 for receipt in facts.receipts), *(paper.sha256 for some in released for paper in some)]
    )


def gone_sources(
    facts: PatientFacts, dossier: Dossier, others: Iterable[Dossier], store: FactStore
) -> tuple[GoneSource, ...]:
    """Return the copies outside the vault that no other dossier holds, in order of key.

    A paper can have been given to two patients who were never linked, so that
    for papers the facts of all patients are asked; whatever else bears a
    patient's identity in itself, and so lies under that patient alone.
    """
    digests = {receipt.file_sha256 for receipt in receipts_of(dossier)}
    shared = {receipt.file_sha256 for other in others for receipt in receipts_of(other)}
    own = {receipt.key: receipt.file_sha256 for receipt in facts.receipts if receipt.file_sha256 in digests - shared}
    papers = {digest for key, digest in own.items() if key.startswith(_DOCUMENTS)}
    if papers:
        elsewhere = _held_by_strangers(papers, facts, store)
        own = {key: digest for key, digest in own.items() if digest not in elsewhere}
    arrivals = arrivals_of(facts)
    found = [GoneSource(key=key, sha256=digest, arrivals=arrivals[digest]) for key, digest in own.items()]
    return tuple(sorted((*found, *_printed(facts, dossier, others)), key=lambda one: one.key))


def _held_by_strangers(digests: set[str], facts: PatientFacts, store: FactStore) -> set[str]:
    known = {member.key for member in facts.members} or {facts.key}
    return {
        receipt.file_sha256
        for key in store.patients()
        if key not in known
        for receipt in store.read_alone(key).receipts
        if receipt.file_sha256 in digests
    }


def _printed(facts: PatientFacts, dossier: Dossier, others: Iterable[Dossier]) -> Iterator[GoneSource]:
    """Yield the papers that were released for this course alone."""
    uids = frozenset(dossier.plan_uids)
    foreign = frozenset(uid for other in others for uid in other.plan_uids)
    releases = [one.what for one in facts.decisions if isinstance(one.what, Release)]
    papers = {
        paper.key: paper
        for release in releases
        if uids.intersection(release.plan_uids) and not foreign.intersection(release.plan_uids)
        for paper in release.papers
    }
    for key, paper in papers.items():
        yield GoneSource(key=key, sha256=paper.sha256, arrivals=arrivals_of(facts)[paper.sha256], is_paper=True)
