"""The state machine of an association (PS3.8 9.2) under conversations no peer should have."""

import hashlib
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.hostile.conftest import SLOW_IS_FINE
from tests.hostile.conversations import GONE, UNSURE, Conversation, Outcome, conversation, hold
from tests.hostile.nodes import BRISK, LiveNode, Posture, live_node
from tests.hostile.wire import ECHOING, association, data, echo_command

pytestmark = pytest.mark.server

USUAL = ("default", "ci")
PATIENCE_S = 15.0
"""Longer than all deadlines of the node together."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    """One node for all conversations."""
    with live_node(tmp_path_factory.mktemp("talked-to"), Posture(settings=BRISK)) as running:
        yield running


def examples(count: int) -> settings:
    """Return how many examples are tried: so many, and all of the profile in a longer run by hand."""
    wanted = count if settings.get_current_profile_name() in USUAL else settings.default.max_examples  # type: ignore[union-attr]
    return settings(max_examples=wanted, deadline=None, suppress_health_check=SLOW_IS_FINE)


@examples(60)
@given(chance=st.randoms(use_true_random=False), serial=st.integers(0, 10**9))
def test_association_when_sound_pdus_come_in_any_order_then_it_goes_as_the_standard_says(
    node: LiveNode, chance: Random, serial: int
) -> None:
    talk = conversation(chance, broken=0, serial=f"1.{serial}")
    words, end = talk.foretold()

    outcome = _had(node, talk)

    if end in (GONE, UNSURE):
        # What ends an association may be read before an earlier message is answered.
        said = [word for word in outcome.words if word != "aborted"]
        assert said[: len(words)] == words[: len(said)]
    else:
        assert outcome.words[: len(words)] == words
        assert set(outcome.words[len(words) :]) <= {"aborted"}  # we hung up amid a message


@examples(80)
@given(chance=st.randoms(use_true_random=False), serial=st.integers(0, 10**9))
def test_association_when_pdus_are_broken_then_it_ends_and_nothing_unsafe_is_acknowledged(
    node: LiveNode, chance: Random, serial: int
) -> None:
    _had(node, conversation(chance, broken=0.4, serial=f"2.{serial}"))


def _had(node: LiveNode, talk: Conversation) -> Outcome:
    """Have a conversation and check what holds for every one of them."""
    note(" ".join(f"{move.name}{'' if move.is_sound else '!'}" for move in talk.moves))
    before = max((held.number for held in node.held()), default=0)
    outcome = hold(node.port, talk, patience_s=PATIENCE_S)
    assert outcome.has_ended, "the node hangs"
    _check_acknowledged(node, talk, outcome, before)
    with association(node.port, ECHOING) as opened:
        assert opened.say(data(echo_command(), command=True, context=ECHOING.number)).hear().word == "0000"
    return outcome


def _check_acknowledged(node: LiveNode, talk: Conversation, outcome: Outcome, before: int) -> None:
    """What was acknowledged lies in the spool, and is what was sent."""
    held = {one.arrival.names.sop_instance_uid: one for one in node.journal.pending(after=before)}
    sound = {move.instance: move.body for move in talk.moves if move.is_sound and move.body}
    for instance in [heard.instance for heard in outcome.heard if heard.word == "0000" and heard.instance]:
        arrival = held[instance].arrival
        kept = held[instance].path.read_bytes()
        assert arrival.kind == "dicom"
        assert arrival.file_sha256 == hashlib.sha256(kept).hexdigest()
        if instance in sound and talk.is_sound:
            assert kept.endswith(sound[instance])
