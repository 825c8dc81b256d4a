"""Numbers, dates and chosen words, as the pages say them; the only functions a template may use."""

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Final

from reports.errors import TemplateFault
from reports.facts import Bilingual, Fact, NotRecorded, Source
from reports.summary import PersonName

if TYPE_CHECKING:
    from jinja2 import Environment

NBSP: Final = "\u00a0"
_MONTHS: Final = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
Words = Mapping[str, Mapping[str, Mapping[str, str]]]


class Unrecorded(str):
    """The words for a missing fact; they print in the colour of warnings wherever markup can carry it."""

    __slots__ = ()

    def __html__(self) -> str:
        """Markup of the word, used by the templates' escaping."""
        return f"<missing>{self}</missing>"


class Wording:
    """The filters of one language.

    Parameters
    ----------
    language
        ``zh`` or ``en``.
    words
        The table of `templates/words.toml`.
    """

    def __init__(self, language: str, words: Words) -> None:
        self.language = language
        self._words = words

    @property
    def unrecorded(self) -> Unrecorded:
        """The words for a missing fact."""
        return Unrecorded(self._words["not_recorded"]["word"][self.language])

    def said(self, value: object) -> str:
        """Return a recorded text, name or number; the words for a missing fact if there is none."""
        value = _bare_value(value)
        if isinstance(value, Bilingual):
            value = value.in_language(self.language)
        if value is None or isinstance(value, NotRecorded) or value == "":
            return self.unrecorded
        return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)

    def word(self, value: object, table: str) -> str:
        """Return the word for a code, such as a status."""
        value = _bare_value(value)
        if value is None or isinstance(value, NotRecorded):
            return self.unrecorded
        code = value.value if isinstance(value, StrEnum) else str(value)
        try:
            return self._words[table][code][self.language]
        except KeyError as error:
            raise TemplateFault(f"no word for {code!r} in the table {table!r}") from error

    def wordlist(self, value: object, table: str) -> str:
        """Return the words for several codes, joined as the language joins them."""
        value = _bare_value(value)
        if isinstance(value, NotRecorded) or not isinstance(value, tuple):
            return self.unrecorded
        return self.listing(tuple(self.word(item, table) for item in value))

    def listing(self, value: object) -> str:
        """Join texts as the language joins them."""
        value = _bare_value(value)
        if isinstance(value, NotRecorded) or not isinstance(value, tuple) or not value:
            return self.unrecorded
        return ("、" if self.language == "zh" else ", ").join(str(item) for item in value)

    def gy(self, value: object, dose_type: object = "physical") -> str:
        """Return a dose in Gy exactly, to two decimals at most, with the unit of its kind."""
        value = _bare_value(value)
        if not isinstance(value, int | float):
            return self.unrecorded
        return f"{number(value)}{NBSP}{self.word(dose_type, 'unit')}"

    def about_gy(self, value: object) -> str:
        """Return a dose as a patient reads it: whole Gy, with 约 / about where it was rounded."""
        value = _bare_value(value)
        if not isinstance(value, int | float):
            return self.unrecorded
        whole, is_exact = whole_gy(value)
        if whole == 0 and not is_exact:
            return f"不到1{NBSP}Gy" if self.language == "zh" else f"less than 1{NBSP}Gy"
        about = "" if is_exact else {"zh": "约", "en": f"about{NBSP}"}[self.language]
        return f"{about}{whole}{NBSP}Gy"

    def day(self, value: object) -> str:
        """Return a date in words that can't be misread: 2026年10月12日 / 12 October 2026."""
        value = _bare_value(value)
        if not isinstance(value, date):
            return self.unrecorded
        if self.language == "zh":
            return f"{value.year}年{value.month}月{value.day}日"
        return f"{value.day}{NBSP}{_MONTHS[value.month - 1]}{NBSP}{value.year}"

    def short_day(self, value: object) -> str:
        """Return day and month alone, for the second date of a range within a year."""
        value = _bare_value(value)
        if not isinstance(value, date):
            return self.unrecorded
        return (
            f"{value.month}月{value.day}日"
            if self.language == "zh"
            else f"{value.day}{NBSP}{_MONTHS[value.month - 1][:3]}"
        )

    def iso(self, value: object) -> str:
        """Return a date as ISO 8601, for doctors."""
        value = _bare_value(value)
        return value.isoformat() if isinstance(value, date) else self.unrecorded

    def person(self, value: object) -> str:
        """Return a name, the form of this language first, the other behind it."""
        value = _bare_value(value)
        if not isinstance(value, PersonName):
            return self.unrecorded
        forms = (value.zh, value.latin) if self.language == "zh" else (value.latin, value.zh)
        first, *others = [form for form in forms if form]
        return f"{first} ({others[0]})" if others and self.language == "en" else first

    def source(self, value: object) -> str:
        """Return where a fact comes from."""
        if not isinstance(value, Fact):
            return self.unrecorded
        return self.source_of(value.source)

    def source_of(self, source: Source) -> str:
        """Return a source in words."""
        word = self.word(source.origin, "origin")
        if not source.detail:
            return word
        return f"{word}（{source.detail}）" if self.language == "zh" else f"{word} ({source.detail})"


def number(value: float) -> str:
    """Return a number to two decimals at most, halves rounded up as on paper, without trailing noughts."""
    rounded = Decimal(str(value)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    text = format(rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole_gy(value: float) -> tuple[int, bool]:
    """Return a dose rounded to whole Gy, halves up, and whether that is what `number` prints too."""
    exact = Decimal(str(value))
    whole = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return whole, number(value) == str(whole)


def load_words() -> Words:
    """Return the table of words.

    Raises
    ------
    TemplateFault
        If an entry lacks a language.
    """
    import tomllib

    words: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
        (resources.files("templates") / "words.toml").read_text("utf-8")
    )
    for table, entries in words.items():
        for code, entry in entries.items():
            if set(entry) != {"zh", "en"}:
                raise TemplateFault(f"words.toml: {table}.{code} must have zh and en")
    return words


def environment(language: str) -> "Environment":
    """Return the jinja2 environment of a language: escaping always on, a missing variable is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    wording = Wording(language, load_words())
    made = Environment(
        loader=PackageLoader("templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
    )
    for name in (
        "said",
        "word",
        "wordlist",
        "listing",
        "gy",
        "about_gy",
        "day",
        "short_day",
        "iso",
        "person",
        "source",
    ):
        made.filters[name] = getattr(wording, name)
    made.filters["bare"] = _bare
    made.filters["sentence"] = _sentence
    made.filters["number"] = partial(_number_or, wording)
    made.globals["nbsp"] = NBSP
    return made


def _bare(text: object) -> str:
    """Return the words alone, for attributes, which can't hold markup."""
    return str.__str__(text) if isinstance(text, str) else str(text)


def _sentence(text: str) -> str:
    """Begin with a capital, as a sentence or label does; nothing else changes."""
    return text if isinstance(text, Unrecorded) else text[:1].upper() + text[1:]


def _number_or(wording: Wording, value: object) -> str:
    value = _bare_value(value)
    return number(value) if isinstance(value, int | float) else wording.unrecorded


def _bare_value(value: object) -> object:
    return value.value if isinstance(value, Fact) else value
