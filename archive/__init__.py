"""The domain: patient, course, dossier, facts and their folding, gate, seal, vault, journal."""
