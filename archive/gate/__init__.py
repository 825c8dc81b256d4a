"""The gate: what a dossier still lacks."""
