"""Facts: write-once objects from which dossiers are folded."""
