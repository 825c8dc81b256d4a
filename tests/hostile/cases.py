"""What a case of the bad-input list is."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.nodes import LiveNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing a node must survive, and what it must answer.

    Parameters
    ----------
    number
        In the list of bad inputs; letters where one entry is played in several ways, X beyond the list.
    what
        In a few words.
    play
        Does it to a node and returns what the node said last.
    expects
        What the node may say (`Heard.word`).
    comment
        How the Error Comment begins.
    posture
        Name of the node's set-up (`POSTURES`).
    """

    number: str
    what: str
    play: Callable[[LiveNode], str]
    expects: tuple[str, ...]
    comment: str = ""
    posture: str = "plain"

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.number} {self.what}"
