"""The index as plain Python: what every engine must answer, and a few hundred persons to ask about."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from search.base import Hit, Page
from search.conditions import AllOf, AnyOf, Condition, OneOf, Prefix, Range, Term, Wildcard
from search.documents import (
    Document,
    dossier_document,
    instances_document,
    patient_document,
    plan_document,
    series_document,
    study_document,
)
from search.query import Query, condition, encode_cursor


@dataclass
class ReferenceIndex:
    """Keeps documents in a dict, asks each one in turn, and sorts the answers."""

    documents: dict[str, Document] = field(default_factory=dict)

    def put(self, documents: Iterable[Document]) -> None:
        """Keep what is newer, and of equal versions the later one, but no tombstone for a living one."""
        for document in documents:
            held = self.documents.get(document.id)
            buries_equal = held and held.version == document.version and document.tombstone and not held.tombstone
            if held is None or (held.version <= document.version and not buries_equal):
                self.documents[document.id] = document

    def search(self, query: Query, after: tuple[str, str] | None = None) -> Page:
        """Return the page behind the hit with this key and id."""
        position, asked = query.order.value, condition(query)
        found = sorted(
            (document.sort[position], document.id)
            for document in self.documents.values()
            if not document.tombstone and document.kind is query.kind and fits(document, asked)
        )
        rest = [place for place in found if after is None or place > after]
        shown = rest[: query.limit]
        return Page(
            hits=tuple(self._hit(document_id) for _, document_id in shown),
            next_cursor=encode_cursor(query, *shown[-1]) if len(rest) > len(shown) else None,
            total=len(found) if query.with_total else None,
        )

    def _hit(self, document_id: str) -> Hit:
        held = self.documents[document_id]
        return Hit(id=held.id, kind=held.kind, patient_key=held.patient_key, version=held.version, body=dict(held.body))


def fits(document: Document, asked: Condition) -> bool:
    """Evaluate a condition by its definition."""
    match asked:
        case AllOf(conditions):
            return all(fits(document, part) for part in conditions)
        case AnyOf(conditions):
            return any(fits(document, part) for part in conditions)
    values = document.fields.get(asked.field, ())
    return any(_value_fits(value, asked) for value in values)


def _value_fits(value: str, asked: Term | OneOf | Prefix | Range | Wildcard) -> bool:
    match asked:
        case Term(_, wanted):
            return value == wanted
        case OneOf(_, listed):
            return value in listed
        case Prefix(_, start):
            return value.startswith(start)
        case Range(_, low, high):
            return (low is None or value >= low) and (high is None or value <= high)
        case Wildcard(_, pattern):
            signs = {"*": ".*", "?": "."}
            return re.fullmatch("".join(signs.get(c, re.escape(c)) for c in pattern), value, re.DOTALL) is not None


NAMES: Final = (
    "王^小东", "王小东", "WANG^XIAODONG", "Wang Xiaodong", "Wang^XiaoDong=王^小东", "王^曉東", "欧阳^娜娜",
    "欧阳娜娜", "单^田芳", "曾^国藩", "解^晓东", "仇^英", "吕^布", "LYU^BU", "LU^BU", "阿不都热合曼·买买提",
    "Yamada^Tarou=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=ヤマダ^タロウ",
    "Hong^Gildong=洪^吉洞=홍^길동", "Buc^Jérôme", "Äneas^Rüdiger", "Διονυσιος", "Люк^Иван", "O'Brien^Seán",
    "O’BRIEN^SEAN", "Müller-Lüdenscheidt^Jürgen^^Dr.", "ＷＡＮＧ＾ＸＩＡＯ", "𠮷野^家", "\ue000^PUA",
    "\uffee", "!@#", "a*b?c", "[x]^y", "\\back", "%like_", "SMITH^JOHN^PETER^DR^III", "Smith, John", "李",
    "", "^", "Nguyễn^Văn A", "ŁUKASZ^ØRSTED",
)  # fmt: skip
"""Names in many scripts and forms, none of a real person of this archive."""

SITES: Final = (
    "前列腺",
    "左乳腺癌",
    "Head and Neck",
    "head-neck",
    "Lung (R)",
    "C61.9",
    "CT定位 boost",
    "PTV_60*",
    "50% [x]",
)
LABELS: Final = ("Prostate_78", "乳腺 50Gy/25F", "plan1", "Plan1:1", "PLAN 1", "B-2?", "a\\b", "ＰＬＡＮ２", "x*y")
MACHINES: Final = ("TrueBeam-1", "Linac 2", "加速器一", "Halcyon", "GTR3*")
ISSUERS: Final = ("", "HOSPITAL A", "hospital a", "医院", "X*")
IDS: Final = ("0012345", "12345", "012345", "A-00-1", "a-00-1", "王1", "12345 ", "9*9", "0")


def generated(count: int, seed: int = 7) -> list[Document]:
    """Return `count` documents of all kinds, the same ones every time."""
    random = Random(seed)
    found: list[Document] = []
    for number in range(count // 6):
        key, version = f"{random.getrandbits(64):016x}", random.randrange(1, 9)
        patient = _patient(random)
        plans = [_plan(random, number, index) for index in range(random.randrange(3))]
        dossier = f"dossier{number:04d}"
        found += [
            patient_document({"patient": patient, "dossiers": [dossier]}, patient_key=key, version=version),
            dossier_document(
                _dossier(random, dossier, patient, plans),
                patient_key=key, version=version, series_uids=[f"1.2.{number}.1"], study_uids=[f"1.2.{number}"],
            ),
            plan_document(
                {**_plan(random, number, 0), "patient": patient, "dossier": dossier}, patient_key=key, version=version
            ),
            series_document(
                _series(random, number, dossier, patient), patient_key=key, version=version,
                instance_uids=[f"1.2.{number}.1.{index}" for index in range(random.randrange(5))],
            ),
            study_document(
                _study(random, number, patient), patient_key=key, version=version, identifiers=patient["ids"]
            ),
            instances_document(
                {"uid": f"1.2.{number}.1", "count": 1, "alike": {}, "each": {}}, patient_key=key, version=version
            ),
        ]  # fmt: skip
    return found


def _patient(random: Random) -> dict[str, Any]:
    names = random.sample(NAMES, random.choice((1, 1, 1, 2)))
    ids = [
        {"value": random.choice((*IDS, str(random.randrange(10**6)))), "issuer": random.choice(ISSUERS), "kind": "mr"}
        for _ in range(random.choice((1, 1, 2)))
    ]
    return {
        "ids": ids,
        "name": names[0],
        "names": names,
        "birth_date": random.choice(("", "19600229", "1960-02-29", "1975-12-31", "unknown", "19601301")),
        "sex": random.choice(("M", "F", "O", "")),
    }


def _day(random: Random) -> str:
    return random.choice(
        ("", f"{random.randrange(2015, 2026)}-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}")
    )


def _plan(random: Random, number: int, index: int) -> dict[str, Any]:
    return {
        "uid": f"1.2.{number}.5.{index}",
        "label": random.choice(LABELS),
        "approval": random.choice(("APPROVED", "UNAPPROVED", "REJECTED", "")),
        "machine": random.choice(MACHINES),
        "modality": random.choice(("photon", "proton", "")),
        "technique": random.choice(("IMRT", "VMAT", "3D-CRT")),
        "date": _day(random).replace("-", ""),
        "fractions_planned": random.randrange(40),
    }


def _dossier(random: Random, dossier: str, patient: dict[str, Any], plans: list[dict[str, Any]]) -> dict[str, Any]:
    days = sorted(day for day in (_day(random), _day(random)) if day)
    return {
        "id": dossier,
        "aliases": [f"alias-of-{dossier}"],
        "state": random.choice(("open", "ready", "sealed")),
        "patient": patient,
        "first_fraction": days[0] if days else None,
        "last_fraction": days[-1] if days else None,
        "sites": random.sample(SITES, random.randrange(3)),
        "modalities": random.sample(("photon", "electron", "proton"), random.randrange(3)),
        "techniques": ["IMRT"],
        "plans": plans,
        "findings": [{"code": random.choice(("COURSE-BOUNDARY", "NO-SUMMARY")), "message": "…", "since": "2024-01-01"}],
        "bytes": random.getrandbits(53),
        "phases": [{"targets": [{"name": "PTV 60", "prescribed_gy": 60.0}]}],
    }


def _study(random: Random, number: int, patient: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": f"1.2.{number}",
        "attributes": {
            "PatientName": patient["names"] if len(patient["names"]) > 1 else patient["name"],
            "PatientSex": patient["sex"],
            "StudyDate": _day(random).replace("-", ""),
            "AccessionNumber": f"ACC{number % 50:03d}",
            "StudyID": str(number % 7),
            "ModalitiesInStudy": random.choice(("CT", "CT\\RTPLAN", "RTDOSE")),
            "SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2",
            "StudyDescription": random.choice(("Planning CT 3mm", "体位固定", "")),
            "ReferringPhysicianName": random.choice(("Sample^Physician", "Müller^Jürgen=山田^太郎", "")),
        },
    }


def _series(random: Random, number: int, dossier: str, patient: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": f"1.2.{number}.1",
        "study_uid": f"1.2.{number}",
        "modality": random.choice(("CT", "RTPLAN", "RTDOSE")),
        "description": random.choice(("Planning CT 3mm", "体位固定", "")),
        "date": _day(random),
        "accession": f"ACC{number % 50:03d}",
        "frame_of_reference_uid": f"1.2.{number}.9",
        "dossiers": [dossier],
        "patient": patient,
    }
