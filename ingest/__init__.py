"""How things come in: DICOM node, folders, files and zip archives; spool, filer, quarantine."""
