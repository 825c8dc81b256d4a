"""What is safe in the spools of this node and not filed yet: an answer has to wait for it."""

from pathlib import Path

from ingest.spool.spool import SpoolFolder


def spooled_instances(root: Path) -> frozenset[str]:
    """Return the SOP Instance UIDs that wait to be filed.

    Parameters
    ----------
    root
        ``spool/``: the folder of the workers' folders.
    """
    found: set[str] = set()
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if not (path / "journal.db").is_file():
            continue
        journal, after = SpoolFolder(path).journal, 0
        while page := journal.waiting(after=after):
            found.update(held.arrival.names.sop_instance_uid for held in page)
            after = page[-1].number
    return frozenset(found - {""})
