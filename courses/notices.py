"""What a sum of doses warns of: a stable code, words in both languages, and what to do (`courses/notices.toml`)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One warning.

    Parameters
    ----------
    code
        Stable, for programs: ``LG-CMP-...``, ``LG-REG-...``.
    words, words_zh
        What is the case.
    fix, fix_zh
        What to do.
    """

    code: str
    words: str
    words_zh: str
    fix: str
    fix_zh: str

    def as_json(self) -> dict[str, str]:
        """Return it as it stands in ``codes[]``."""
        return {
            "code": self.code,
            "words": self.words,
            "words_zh": self.words_zh,
            "fix": self.fix,
            "fix_zh": self.fix_zh,
        }


def notice(name: str, /, **figures: Any) -> Notice:
    """Return the warning of that name in `notices.toml`, its figures put in."""
    told = _words()[name]
    return Notice(
        code=told["code"],
        words=told["en"].format(**figures),
        words_zh=told["zh"].format(**figures),
        fix=told["fix"].format(**figures),
        fix_zh=told["fix_zh"].format(**figures),
    )


def notice_names() -> tuple[str, ...]:
    """Return the names of all warnings, in their order."""
    return tuple(_words())


@cache
def _words() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = tomllib.loads(files("courses").joinpath("notices.toml").read_text("utf-8"))
    return found
