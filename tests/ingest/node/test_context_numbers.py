"""How peers number presentation contexts: PS3.8 9.3.2.2 wants odd numbers, dcm4che's stgcmtscu counts 1, 2."""

import pytest
from pynetdicom.presentation import PresentationContext

from ingest.dataset.encoding import IMPLICIT_LITTLE
from ingest.node import Node, NodeSettings
from tests.hostile import wire
from tests.ingest.conftest import House


def test_association_when_a_context_has_an_even_number_then_it_is_accepted_and_works(house: House) -> None:
    node = Node(NodeSettings(port=0), house.spool)
    port = node.start()
    try:
        echoing = wire.Offer(number=2, abstract=wire.VERIFICATION, syntaxes=(IMPLICIT_LITTLE,))
        with wire.line(port) as opened:
            heard = opened.say(wire.request(wire.STORING, echoing)).hear()
            answer = opened.say(wire.data(wire.echo_command(), command=True, context=2)).hear()
            opened.say(wire.RELEASE)
    finally:
        node.stop()

    assert heard.contexts == ((1, 0), (2, 0))
    assert answer.word == "0000"


@pytest.mark.parametrize("number", [0, 256])
def test_context_when_its_number_does_not_fit_a_byte_then_it_is_refused(house: House, number: int) -> None:
    node = Node(NodeSettings(port=0), house.spool)
    node.start()
    node.stop()

    with pytest.raises(ValueError, match="no number of a presentation context"):
        PresentationContext().context_id = number
