"""The journal: who did what, in an unbroken chain."""
