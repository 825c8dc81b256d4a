"""Days as DICOM writes them: site wall clock, never converted (PS3.5 6.2)."""

from datetime import date


def parse_date(text: str) -> date | None:
    """Return a DA value (or the day of a DT) as a date, None if it is none."""
    digits = text[:8]
    if len(digits) < 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
