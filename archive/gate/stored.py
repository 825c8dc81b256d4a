"""Keeps the rules in force in the object store, write-once: ``site/rules/<n>.json``, the newest counts.

So a rebuild, and every node, judges by the same rules whatever stands in the
settings of the machine it runs on, and what was sealed can be judged for ever
by the rules it was sealed under.
"""

from pydantic import ValidationError

from archive.errors import FactDamaged, FormatTooNew
from archive.gate.rulebook import STORED_RULES, Rulebook, StoredRules, encode
from archive.gate.words import standard_words
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

_FOLDER = "site/rules/"


class RuleStore:
    """Reads and writes the rules of a site."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def newest(self) -> StoredRules | None:
        """Return the rules in force, None where none were ever stored.

        Raises
        ------
        FactDamaged
            They can't be read.
        """
        number = max(self._numbers(), default=0)
        return self.read(number) if number else None

    def read(self, number: int) -> StoredRules:
        """Return the rules of this number.

        Raises
        ------
        FactDamaged
            There are none, or they can't be read.
        FormatTooNew
            A newer program wrote them.
        """
        key = _key(number)
        try:
            body = self._store.read_bytes(key)
            return STORED_RULES.validate_json(body)
        except ObjectMissing as error:
            raise FactDamaged(f"The rules number {number} are not there ({key})") from error
        except ValidationError as error:
            if b'"lastgate/rules/' in body and b'"lastgate/rules/1"' not in body:
                raise FormatTooNew(f"The rules {key} were written by a newer Lastgate") from error
            raise FactDamaged(f"The rules {key} can't be read") from error

    def adopt(self, rulebook: Rulebook) -> StoredRules:
        """Return the rules in force: `rulebook`, stored under the next number if it says anything new.

        Of two nodes that store at once one is first; the other looks again. A
        program that meets rules it does not know all codes of is older than
        the one that wrote them, and leaves them in force.
        """
        while True:
            newest = self.newest()
            if newest and (newest.rulebook == rulebook or _knows_more(newest.rulebook)):
                return newest
            following = StoredRules(number=newest.number + 1 if newest else 1, rulebook=rulebook)
            try:
                put_document(self._store, _key(following.number), encode(following))
            except KeyTaken:
                continue
            return following

    def _numbers(self) -> list[int]:
        names = (stat.key.removeprefix(_FOLDER).removesuffix(".json") for stat in self._store.list(_FOLDER))
        return [int(name) for name in names if name.isdecimal()]


def _knows_more(rulebook: Rulebook) -> bool:
    return not rulebook.codes <= standard_words().keys() | rulebook.requirements.keys()


def _key(number: int) -> str:
    return f"{_FOLDER}{number}.json"
