"""Reading printed papers back, with tools that know nothing of ours."""

import io
import re
import subprocess
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from pypdf import PdfReader

_WHITE = re.compile(r"\s+")


def pages(pdf: bytes) -> list[str]:
    """The text of each page as pypdf extracts it."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def poppler_text(pdf: bytes, folder: Path) -> str:
    """The text as poppler extracts it."""
    path = folder / "read.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["/usr/bin/pdftotext", "-raw", str(path), "-"], check=True, capture_output=True)
    return done.stdout.decode("utf-8")


def bare(text: str) -> str:
    """A text without white space: where lines break says nothing."""
    return _WHITE.sub("", unicodedata.normalize("NFC", text))


def numbers(text: str) -> set[str]:
    """Every figure in a text."""
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def fonts(pdf: bytes, folder: Path) -> list[Sequence[str]]:
    """The lines of pdffonts: name, type, ..., emb, sub, uni, object."""
    path = folder / "fonts.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["/usr/bin/pdffonts", str(path)], check=True, capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()[2:]]
