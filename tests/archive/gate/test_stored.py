"""The rules in force lie in the object store, write-once; what was sealed keeps the rules it was sealed under."""

from pathlib import Path
from typing import cast

import pytest

from archive.errors import FactDamaged, FormatTooNew
from archive.gate.binding import rulebook_from, standard_rulebook
from archive.gate.gate import Gate
from archive.gate.rulebook import STORED_RULES, StoredRules, encode
from archive.gate.stored import RuleStore
from storage.base import ObjectStore
from storage.documents import put_document
from storage.filesystem import FilesystemStore
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.archive.stores import overwrite
from tests.factories import NO_PAPERS, codes, course, facts, key_of, other, plan_header

OTHER = rulebook_from('[packs.base]\noff = ["NAMES-TG263"]\n')


@pytest.fixture
def files(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


def test_rules_when_stored_then_they_read_back_the_same() -> None:
    rules = StoredRules(number=3, rulebook=OTHER)

    assert STORED_RULES.validate_json(encode(rules)) == rules
    assert encode(STORED_RULES.validate_json(encode(rules))) == encode(rules)
    assert StoredRules(number=3, rulebook=rulebook_from('[packs.base]\noff = ["NAMES-TG263"]\n')).mark == rules.mark


def test_adopt_then_a_number_is_given_only_to_what_is_new(files: FilesystemStore) -> None:
    store = RuleStore(files)
    assert store.newest() is None

    told = [store.adopt(book).number for book in (standard_rulebook(), standard_rulebook(), OTHER, OTHER)]

    assert told == [1, 1, 2, 2]
    assert store.adopt(standard_rulebook()).number == 3
    assert store.read(2).rulebook == OTHER
    assert store.newest() == store.read(3)


def test_adopt_when_another_node_was_first_then_it_looks_again(files: FilesystemStore) -> None:
    class Raced:
        """A store in which somebody else puts rules just before each listing's answer is used."""

        raced = False

        def __getattr__(self, name: str) -> object:
            if name == "put_if_absent" and not self.raced:
                self.raced = True
                RuleStore(files).adopt(OTHER)
            return getattr(files, name)

    adopted = RuleStore(cast(ObjectStore, Raced())).adopt(standard_rulebook())

    assert adopted.number == 2
    assert [RuleStore(files).read(n).rulebook == book for n, book in ((1, OTHER), (2, standard_rulebook()))] == [
        True
    ] * 2


def test_adopt_when_newer_rules_name_unknown_codes_then_they_are_left_in_force(files: FilesystemStore) -> None:
    newer = encode(StoredRules(number=1, rulebook=OTHER)).replace(b"SLICES-COARSE", b"SLICES-UNEVEN")
    put_document(files, "site/rules/1.json", newer)

    adopted = RuleStore(files).adopt(standard_rulebook())

    assert adopted.number == 1
    gate = Gate(adopted)
    assert gate.rules is adopted


def test_rules_when_damaged_or_gone_then_it_is_told(files: FilesystemStore) -> None:
    store = RuleStore(files)
    store.adopt(OTHER)
    overwrite(files, "site/rules/1.json", b"{}")

    with pytest.raises(FactDamaged, match="can't be read"):
        store.newest()
    with pytest.raises(FactDamaged, match="are not there"):
        store.read(7)


def test_rules_when_of_a_newer_format_then_an_update_is_asked_for(files: FilesystemStore) -> None:
    put_document(files, "site/rules/1.json", b'{"format": "lastgate/rules/2", "number": 1}')

    with pytest.raises(FormatTooNew, match="newer Lastgate"):
        RuleStore(files).newest()


def rules(number: int, text: str) -> StoredRules:
    return StoredRules(number=number, rulebook=rulebook_from(text))


def test_dossier_when_sealed_then_the_rules_it_was_sealed_under_judge_it_for_ever(tmp_path: Path) -> None:
    import json

    lenient = rules(1, NO_PAPERS)
    strict = Gate(rules(2, ""), earlier={1: lenient}.__getitem__)
    house = SmallHouse(tmp_path, judge=Gate(lenient))
    key, sealed = house.sealed()
    house.receive([other("late", "ct 0")])

    after = SmallHouse(tmp_path, judge=strict)
    again = after.desk.dossier(key, sealed.id)

    assert (sealed.rules, again.rules) == (lenient.mark, lenient.mark)
    assert codes(again) == {"LATE"}
    addendum = after.desk.seal(key, sealed.id, account=FILE_MANAGER)
    assert (addendum.version, addendum.rules.number) == (2, 1)
    path = next(tmp_path.rglob("v2/content/dossier.json"))
    assert json.loads(path.read_text("utf-8"))["rules"] == {"number": 1, "sha256": lenient.mark.sha256}


def test_dossier_when_it_waits_then_the_newest_rules_judge_it() -> None:
    from archive.assembly.fold import fold

    told = facts(course(**{"date": plan_header().date}), [], key=key_of())  # type: ignore[arg-type]

    found = [codes(fold(told, gate=Gate(rules(n, text))).dossiers[0]) for n, text in ((1, NO_PAPERS), (2, ""))]

    assert "CONSENT-MISSING" not in found[0]
    assert "CONSENT-MISSING" in found[1]
