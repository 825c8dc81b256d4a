"""Fixtures of the room that prints."""

import pytest

from reports.fonts import Typeface


@pytest.fixture(scope="session")
def typeface() -> Typeface:
    """The typeface, opened once."""
    return Typeface()
