"""Folds the facts of a patient into dossiers."""
