"""Joins archive and dose: delivered dose of a dossier, composite dose of a patient."""
