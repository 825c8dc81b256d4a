"""Signatures and the keys they are checked with."""
