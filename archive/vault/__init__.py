"""The vault: sealed dossiers, kept and proved."""
