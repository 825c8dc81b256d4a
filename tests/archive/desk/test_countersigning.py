"""Two signatures are those of two people, over the same words."""

from dataclasses import replace

import pytest

from archive.desk.accounts import Account
from archive.desk.countersigning import (
    countersign_of,
    countersignatures,
    is_countersigned,
    named_decision,
    refuse_countersigning,
)
from archive.errors import NotFound, Refused
from archive.facts.decisions import Countersign, SetHold, StateDeath
from tests.factories import decision

FIRST = decision(3, StateDeath(date="20240101", reason="letter"), account="ada")
BOB = Account(name="bob", role="physicist", password="")


def test_countersignatures_then_each_other_person_counts_once() -> None:
    act = countersign_of(FIRST)
    signed = [decision(number, act, account=name) for number, name in ((4, "bob"), (5, "bob"), (6, "eve"))]

    assert countersignatures(FIRST, [*reversed(signed), FIRST]) == (signed[0], signed[2])
    assert is_countersigned(FIRST, signed[:1])


@pytest.mark.parametrize(
    "other",
    [
        decision(4, countersign_of(FIRST), account="ada"),  # the same person
        decision(4, replace(countersign_of(FIRST), sha256="0" * 64), account="bob"),  # other words
        decision(4, replace(countersign_of(FIRST), number=2), account="bob"),  # another decision
        decision(2, countersign_of(FIRST), account="bob"),  # signed before there was anything to sign
        decision(4, SetHold(plan_uids=(), held=True, reason=""), account="bob"),
    ],
)
def test_countersignatures_when_it_is_no_second_signature_of_these_words_then_it_does_not_count(other: object) -> None:
    assert countersignatures(FIRST, [FIRST, other]) == ()  # type: ignore[list-item]


def test_countersign_of_then_it_names_the_words_and_not_who_holds_the_key() -> None:
    again = replace(FIRST, signature="aa", public_key="bb")

    assert countersign_of(again) == countersign_of(FIRST) == Countersign(number=3, sha256=countersign_of(FIRST).sha256)
    assert countersign_of(replace(FIRST, account="eve")) != countersign_of(FIRST)


@pytest.mark.parametrize(
    ("account", "told"),
    [
        (replace(BOB, name="ada"), "made decision 3"),
        (replace(BOB, role="administrator"), "may not sign"),
    ],
)
def test_refuse_countersigning_when_the_account_may_not_then_it_is_refused(account: Account, told: str) -> None:
    with pytest.raises(Refused, match=told):
        refuse_countersigning(FIRST, [FIRST], account, roles={"physicist"})


def test_refuse_countersigning_when_two_signed_then_a_third_is_not_needed() -> None:
    refuse_countersigning(FIRST, [FIRST], BOB, roles={"physicist"})

    with pytest.raises(Refused, match="signed decision 3 already"):
        refuse_countersigning(
            FIRST,
            [FIRST, decision(4, countersign_of(FIRST), account="eve")],
            BOB,
            roles={"physicist"},
        )


def test_named_decision_when_the_number_is_another_kind_of_act_then_it_is_not_found() -> None:
    assert named_decision(3, StateDeath, [FIRST]) is FIRST
    for number, kind in ((3, SetHold), (4, StateDeath)):
        with pytest.raises(NotFound):
            named_decision(number, kind, [FIRST])
