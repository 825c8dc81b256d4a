"""From the spool into the archive: reading values, putting bytes, writing receipts, quarantine."""
