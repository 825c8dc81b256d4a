"""Fill an index with made-up studies, without objects or receipts behind them: to measure queries on many.

    python -m benchmarks.fill_index HOME/index.sqlite --studies 100000

The same numbers give the same index. One patient in three has two studies.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from search.documents import Document, instances_document, patient_document, series_document, study_document
from search.sqlite import SqliteEngine

ROOT: Final = "1.2.826.0.1.3680043.10.1"
"""All UIDs begin so; study n is `ROOT`.n, its series `ROOT`.n.s, their instances `ROOT`.n.s.i."""

_LATIN: Final = "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun Hu Zhu Gao Lin He Guo Ma Luo"
_LATIN_GIVEN: Final = "Xiao Dong Hai Jun Lan Mei Ning Ping Qiang Rui Shan Tao Wei Xin Yan Zhen"
_HAN: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_HAN_GIVEN: Final = "晓东海军兰梅宁平强瑞山涛伟欣燕珍"
_CT: Final = "1.2.840.10008.5.1.4.1.1.2"
_PLAN: Final = "1.2.840.10008.5.1.4.1.1.481.5"
_BATCH: Final = 5_000
_FIRST_DAY: Final = date(2010, 1, 1)


def documents(studies: int, *, series: int, slices: int, seed: int = 1) -> Iterator[Document]:
    """Yield the documents of `studies` studies, each with `series` series of `slices` instances."""
    random = Random(seed)
    number = 0
    while number < studies:
        patient = _Patient.made(random, number)
        count = min(studies - number, 2 if random.randrange(3) == 0 else 1)
        yield patient.document(count, series, slices)
        for _ in range(count):
            yield from patient.study(random, number, series, slices)
            number += 1


class _Patient:
    def __init__(self, key: str, name: str, identifier: str, birth_date: str, sex: str) -> None:
        self._key = key
        self._identity = {"value": identifier, "issuer": "BENCH", "kind": ""}
        self._told: dict[str, Any] = {
            "PatientName": name,
            "PatientID": identifier,
            "IssuerOfPatientID": "BENCH",
            "PatientBirthDate": birth_date,
            "PatientSex": sex,
        }
        self._person = {"ids": [self._identity], "name": name, "names": [name], "birth_date": birth_date, "sex": sex}

    @classmethod
    def made(cls, random: Random, number: int) -> "_Patient":
        family, first, second = (random.randrange(20), random.randrange(16), random.randrange(16))
        given = _LATIN_GIVEN.split()
        latin = f"{_LATIN.split()[family]}^{given[first]}{given[second].lower()}"
        han = f"{_HAN[family]}^{_HAN_GIVEN[first]}{_HAN_GIVEN[second]}"
        born = date(1930, 1, 1) + timedelta(days=random.randrange(25_000))
        name = f"{latin}={han}" if number % 4 == 0 else latin
        return cls(f"{random.getrandbits(256):064x}", name, f"P{number:08d}", f"{born:%Y%m%d}", random.choice("MF"))

    def document(self, studies: int, series: int, slices: int) -> Document:
        counts = {"Studies": studies, "Series": studies * series, "Instances": studies * series * slices}
        related = {f"NumberOfPatientRelated{what}": str(count) for what, count in counts.items()}
        body = {"patient": self._person, "unattached": [], "attributes": {**self._told, **related}}
        return patient_document(body, patient_key=self._key, version=1)

    def study(self, random: Random, number: int, series: int, slices: int) -> Iterator[Document]:
        uid, day = f"{ROOT}.{number}", _FIRST_DAY + timedelta(days=random.randrange(5_800))
        modalities = ["CT", "RTPLAN", "RTSTRUCT", "RTDOSE"][: max(1, series)] if number % 3 else ["CT"]
        told = {
            **self._told,
            "StudyInstanceUID": uid,
            "StudyDate": f"{day:%Y%m%d}",
            "StudyTime": f"{random.randrange(7, 19):02d}{random.randrange(60):02d}00",
            "AccessionNumber": f"A{number:09d}",
            "StudyID": str(number % 1000),
            "StudyDescription": random.choice(("Planning CT Head", "Planning CT Thorax", "Pelvis RT", "")),
            "ReferringPhysicianName": f"Sample^Physician{number % 50}",
            "ModalitiesInStudy": "\\".join(modalities),
            "SOPClassesInStudy": "\\".join((_CT, _PLAN)),
            "NumberOfStudyRelatedSeries": str(series),
            "NumberOfStudyRelatedInstances": str(series * slices),
        }
        yield study_document(
            {"uid": uid, "attributes": told}, patient_key=self._key, version=1, identifiers=[self._identity]
        )
        for place in range(1, series + 1):
            yield from self._series(uid, place, modalities[min(place, len(modalities)) - 1], f"{day:%Y-%m-%d}", slices)

    def _series(self, study_uid: str, place: int, modality: str, day: str, slices: int) -> Iterator[Document]:
        uid = f"{study_uid}.{place}"
        instances = [f"{uid}.{slice_}" for slice_ in range(1, slices + 1)]
        body = {
            "uid": uid,
            "study_uid": [study_uid],
            "modality": [modality],
            "patient": self._person,
            "date": [day],
            "description": ["Axial"],
            "frame_of_reference_uid": [f"{study_uid}.0"],
            "dossiers": [],
            "instances": slices,
            "attributes": {
                "SeriesInstanceUID": uid,
                "Modality": modality,
                "SeriesNumber": str(place),
                "SeriesDescription": "Axial",
                "FrameOfReferenceUID": f"{study_uid}.0",
                "NumberOfSeriesRelatedInstances": str(slices),
            },
        }
        yield series_document(body, patient_key=self._key, version=1, instance_uids=instances)
        rows = {
            "uid": uid,
            "count": slices,
            "alike": {"StudyInstanceUID": study_uid, "SOPClassUID": _CT, "Rows": "512", "Columns": "512"},
            "each": {"SOPInstanceUID": instances, "InstanceNumber": [str(one) for one in range(1, slices + 1)]},
        }
        yield instances_document(rows, patient_key=self._key, version=1)


def fill(path: Path, studies: int, *, series: int = 2, slices: int = 5) -> None:
    """Write the documents into the embedded index at `path`, made anew if it is missing."""
    engine = SqliteEngine(path)
    try:
        batch: list[Document] = []
        for document in documents(studies, series=series, slices=slices):
            batch.append(document)
            if len(batch) >= _BATCH:
                engine.put(batch)
                batch = []
        engine.put(batch)
    finally:
        engine.close()


def main() -> None:
    """Fill an index as the command line says."""
    parser = argparse.ArgumentParser(description="Fill an index with made-up studies.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--series", type=int, default=2)
    parser.add_argument("--slices", type=int, default=5)
    asked = parser.parse_args()
    begun = time.perf_counter()
    fill(asked.path, asked.studies, series=asked.series, slices=asked.slices)
    print(f"{asked.studies} studies in {time.perf_counter() - begun:.0f} s, {asked.path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
