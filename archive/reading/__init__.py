"""Reads from a data set what a receipt keeps of it."""
