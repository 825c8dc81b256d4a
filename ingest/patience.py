"""How long to leave a peer alone that could not be reached."""

from datetime import timedelta
from typing import Final

_LONGEST_PAUSE: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 10


def pause_after(tries: int, *, first: timedelta) -> timedelta:
    """Return how long to wait after so many calls in vain: `first`, then twice as long each time, an hour at most."""
    return min(first * (1 << min(tries, _MOST_DOUBLINGS)), _LONGEST_PAUSE)
