"""Taking in folders, single files and zip archives."""
