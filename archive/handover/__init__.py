"""Handing dossiers over: packages that others can check and read without this program."""
