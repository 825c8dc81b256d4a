"""Papers that are handed out together, in one file: the pages of each, as they are."""

import io
from collections.abc import Sequence
from typing import Final

from pypdf import PdfReader, PdfWriter

_KEPT: Final = frozenset({"/Title", "/Author", "/Subject", "/CreationDate", "/ModDate"})


def joined(papers: Sequence[bytes]) -> bytes:
    """Return one PDF with the pages of all, in order; a single one stays what it is, byte for byte."""
    if len(papers) == 1:
        return papers[0]
    with PdfWriter() as writer:
        for paper in papers:
            writer.append(io.BytesIO(paper))
        first = PdfReader(io.BytesIO(papers[0])).metadata
        writer.add_metadata({name: str(value) for name, value in (first or {}).items() if name in _KEPT})
        # The same typeface lies in each of them.
        writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
        out = io.BytesIO()
        writer.write(out)
    return out.getvalue()
