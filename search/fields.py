"""The fields a document can be searched by, and how they are read from a body."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from search.errors import BadDocument
from search.names import name_forms, name_sort_key, name_tokens
from search.query import iso_date, issued_id
from search.tokens import MAX_TOKEN_CHARS, exact, fold, tokens, whole

FIELDS: Final = frozenset(
    """
    word name name_word patient_id issuer issued_id birth_date sex date_first date_last
    modality state approval finding accession site site_word plan_label plan_label_word
    machine machine_word technique technique_word
    dossier plan_uid study_uid series_uid instance_uid frame_uid
    study_date study_id sop_class description referring
    """.split()  # noqa: SIM905 - a list of quoted words is no easier to read
)
"""Every field of a document; engines need to know no other."""

_MAX_TEXT_CHARS: Final = 1024  # of longer texts only the beginning is searchable
_AFTER: Final = "\x01"  # between the parts of a sort key: lower than any character of them
_TURNED: Final = str.maketrans("0123456789", "9876543210")


class FieldReader:
    """Collects the values of one document while its body is read.

    Reading is tolerant: a value of an unexpected type or place adds nothing.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._values: dict[str, dict[str, None]] = {}
        self._name = ""

    def at(self, *path: str) -> list[Any]:
        """Return what lies at `path`, lists on the way spread out, empty values left out."""
        found: list[Any] = [self._body]
        for step in path:
            entries = (entry[step] for entry in found if isinstance(entry, Mapping) and step in entry)
            found = [value for entry in entries for value in _spread(entry)]
        return found

    def key(self, name: str) -> str:
        """Return the value that names the document.

        Raises
        ------
        BadDocument
            If there is none: without it the document would take the place of another.
        """
        value = exact(next(_texts(self.at(name)), ""))
        if not value:
            raise BadDocument(f"A document without {name!r} can't be indexed")
        return value

    def add(self, field: str, normal: Callable[[str], str], values: Iterable[Any]) -> None:
        """Add values to a field, each in the form `normal` gives it."""
        found = dict.fromkeys(value for value in map(normal, _texts(values)) if value)
        if found:
            self._values.setdefault(field, {}).update(found)

    def add_words(self, values: Iterable[Any], field: str = "word") -> None:
        """Make values findable by their words."""
        for text in _texts(values):
            self.add(field, str, sorted(tokens(text[:_MAX_TEXT_CHARS])))

    def add_codes(self, values: Iterable[Any]) -> None:
        """Make UIDs and the like findable by their beginning alone."""
        self.add("word", lambda code: fold(code[:_MAX_TEXT_CHARS])[:MAX_TOKEN_CHARS], values)

    def add_described(self, field: str, values: Iterable[Any]) -> None:
        """Add texts that are matched as a whole, by words of the field, and by words of any field."""
        known = list(_texts(values))
        self.add(field, whole, known)
        self.add_words(known, f"{field}_word")
        self.add_words(known)

    def add_patient(self, *, with_words: bool = True) -> None:
        """Add identifiers, names, birth date and sex from ``patient``; with words they are found by typing too."""
        names = list(dict.fromkeys(_texts([*self.at("patient", "name"), *self.at("patient", "names")])))
        self._name = next((name_sort_key(name) for name in names), "")
        for name in names:
            spelt = sorted(name_tokens(name))
            self.add("name", str, sorted(name_forms(name)))
            self.add("name_word", str, spelt)
            if with_words:
                self.add("word", str, spelt)
        for identifier in self.at("patient", "ids"):
            if isinstance(identifier, Mapping):
                self._add_identifier(str(identifier.get("value") or ""), str(identifier.get("issuer") or ""))
                if with_words:
                    self.add_words([str(identifier.get("value") or "")])
        dates = [iso for text in _texts(self.at("patient", "birth_date")) if (iso := iso_date(text))]
        self.add("birth_date", str, dates)
        if with_words:
            self.add_words([*dates, *(date.replace("-", "") for date in dates)])
        self.add("sex", whole, self.at("patient", "sex"))

    def _add_identifier(self, value: str, issuer: str) -> None:
        self.add("patient_id", exact, [value])
        self.add("issuer", exact, [issuer])
        if exact(value) and exact(issuer):
            self.add("issued_id", str, [issued_id(value, issuer)])

    def add_attribute(self, field: str, normal: Callable[[str], str], keyword: str) -> None:
        """Add all values of a DICOM attribute from ``attributes``."""
        self.add(field, normal, (part for text in _texts(self.at("attributes", keyword)) for part in text.split("\\")))

    def add_course(self) -> None:
        """Add what a dossier says of its course."""
        self.add("state", whole, self.at("state"))
        self.add("modality", whole, self.at("modalities"))
        self.add("finding", whole, self.at("findings", "code"))
        self.add_described("site", self.at("sites"))
        self.add_described("technique", self.at("techniques"))

    def add_plans(self, plans: Iterable[Any]) -> None:
        """Add labels, machines, approval and UIDs of plans."""
        for plan in plans:
            if isinstance(plan, Mapping):
                self.add("plan_uid", exact, [plan.get("uid")])
                self.add("approval", whole, [plan.get("approval")])
                self.add_described("plan_label", [plan.get("label")])
                self.add_described("machine", [plan.get("machine")])

    def add_dates(self, first: Iterable[Any], last: Iterable[Any], *, instead: Iterable[Any]) -> None:
        """Add the days from first to last; where neither is known those of `instead`."""
        days = _dates([*first, *last]) or _dates(instead)
        if days:
            self.add("date_first", str, [min(days)])
            self.add("date_last", str, [max(days)])

    def sort_keys(self) -> tuple[str, ...]:
        """Return the ready-made key of each `search.query.Order`."""
        first, last = (next(iter(self._values.get(field, ())), "") for field in ("date_first", "date_last"))
        return sort_keys(self._name, first, last)

    def values(self) -> dict[str, tuple[str, ...]]:
        """Return what was collected."""
        return {field: tuple(found) for field, found in self._values.items()}


def sort_keys(name: str, first: str, last: str) -> tuple[str, ...]:
    """Return the key of each `Order` for a name's sort key and two ISO dates, any of them empty.

    A leading digit puts what is missing last; the youngest date comes first
    because its digits are turned round (9 for 0), so engines only ever sort upwards.
    """
    by_name = f"0{name}" if name else "1"
    by_first = f"0{first}" if first else "1"
    newest = f"0{last.translate(_TURNED)}" if last else "1"
    return _AFTER.join((by_name, by_first)), _AFTER.join((newest, by_name))


def _spread(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _spread(item)
    elif value not in (None, "", {}):
        yield value


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of values: a number as written in JSON, of a mapping its texts (``{code, meaning}``)."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield str(value)


def _dates(values: Iterable[Any]) -> list[str]:
    return [iso for text in _texts(values) if (iso := iso_date(text))]
