"""How instances go out again: C-MOVE and C-GET, sending to other systems, and the sends that wait to be tried again."""
