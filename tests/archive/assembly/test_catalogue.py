"""One instance per UID, whatever arrived under it."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from archive.assembly.catalogue import Catalogue, distinct
from archive.facts.receipts import Receipt
from archive.headers import InstanceKind
from archive.model import Held
from tests.factories import document, dose, image, plan, receipt, series, uid


def only(*receipts: Receipt, sealed: frozenset[str] = frozenset()) -> Held:
    """Return what is held, the same in any order of the receipts."""
    results = {tuple(distinct(order, sealed=sealed)) for order in permutations(receipts)}
    assert len(results) == 1
    (held,) = results.pop()
    return held


FIRST = receipt(plan())
RESENT = receipt(plan(), minutes=5)
VARIANT = receipt(plan(), minutes=5, encoding="implicit")
CONFLICT = receipt(plan(), minutes=9, content="other", disposition="conflict")


def test_distinct_when_sent_again_then_the_first_receipt_counts() -> None:
    held = only(FIRST, RESENT)

    assert (held.receipt, held.others) == (FIRST, ())


def test_distinct_when_re_encoded_then_it_is_a_variant_and_no_conflict() -> None:
    assert VARIANT.dataset_sha256 != FIRST.dataset_sha256

    held = only(FIRST, VARIANT)

    assert (held.receipt, held.others) == (FIRST, ())


def test_distinct_when_contents_differ_then_the_first_counts_and_the_other_is_kept() -> None:
    held = only(FIRST, CONFLICT, VARIANT)

    assert (held.receipt, held.others) == (FIRST, (CONFLICT,))


def test_distinct_when_the_clock_of_the_second_node_was_slow_then_the_conflict_still_stands_behind() -> None:
    early = replace(CONFLICT, received_at=FIRST.received_at - timedelta(hours=1))

    assert only(FIRST, early).receipt == FIRST


def test_distinct_when_two_nodes_took_different_contents_at_once_then_the_digest_decides() -> None:
    one, other = receipt(plan(), content="x", node="n1"), receipt(plan(), content="y", node="n2")

    held = only(one, other)

    assert held.receipt.file_sha256 == min(one.file_sha256, other.file_sha256)
    assert len(held.others) == 1


def test_distinct_when_a_later_content_is_sealed_then_that_one_counts() -> None:
    held = only(FIRST, CONFLICT, sealed=frozenset({CONFLICT.file_sha256}))

    assert (held.receipt, held.others) == (CONFLICT, (FIRST,))


def test_distinct_when_only_a_conflict_is_known_here_then_it_is_held() -> None:
    assert only(CONFLICT).receipt.disposition == "conflict"


def test_distinct_of_documents_then_the_digest_names_them() -> None:
    held = distinct(
        [receipt(document("a")), receipt(document("b")), receipt(document("a"), minutes=1)], sealed=frozenset()
    )

    assert len(held) == 2
    assert {one.uid for one in held} == {one.receipt.file_sha256 for one in held}


def test_catalogue_then_instances_are_found_by_uid_series_and_frame() -> None:
    held = distinct(map(receipt, [*series("ct"), dose(), image("alone", series="mr", frame="")]), sealed=frozenset())
    catalogue = Catalogue.of(held)

    assert len(catalogue.of_kind(InstanceKind.IMAGE)) == 4
    assert catalogue.of_kind(InstanceKind.PLAN) == ()
    assert [one.uid for one in catalogue.present((uid("dose"), uid("gone")), InstanceKind.DOSE)] == [uid("dose")]
    assert catalogue.present((uid("dose"),), InstanceKind.PLAN) == ()
    assert len(catalogue.in_series((uid("ct"),), InstanceKind.IMAGE)) == 3
    assert len(catalogue.in_frame(uid("frame"), InstanceKind.IMAGE)) == 3


@pytest.mark.parametrize("kind", [InstanceKind.IMAGE, InstanceKind.DOSE])
def test_catalogue_when_a_frame_is_empty_then_nothing_lies_in_it(kind: InstanceKind) -> None:
    held = distinct([receipt(image("a", frame=""))], sealed=frozenset())

    assert Catalogue.of(held).in_frame("", kind) == ()
