"""Two stores as one: the first decides, the second holds a copy of everything."""

from storage.mirrored.behind import Behind
from storage.mirrored.catching_up import CatchingUp, Difference
from storage.mirrored.second import Second
from storage.mirrored.store import MirroredStore

__all__ = ["Behind", "CatchingUp", "Difference", "MirroredStore", "Second"]
