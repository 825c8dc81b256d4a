"""The same questions to both engines: the same answers in the same order."""

from collections.abc import Iterator

import pytest
from pydicom import Dataset

from archive.reading.attributes import Level
from ingest.query.identifier import Identifier, read_identifier
from ingest.query.models import MODELS
from ingest.query.query import Behaviour, Search
from search.elastic import ElasticEngine, connect
from search.refresh import Refresher
from search.sqlite import SqliteEngine
from tests.ingest.query.corpus import corpus, folds, uid

pytestmark = pytest.mark.server

EVERYTHING = Behaviour(relational=True, datetimes=True, fuzzy=True)
QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("STUDY", {}),
    ("STUDY", {"PatientName": "wang"}),
    ("STUDY", {"PatientName": "*^J*"}),
    ("STUDY", {"PatientID": "0042", "IssuerOfPatientID": "WEST"}),
    ("STUDY", {"StudyDate": "20240101-", "StudyTime": "1015-"}),
    ("STUDY", {"ModalitiesInStudy": "CT", "StudyDescription": "*[x]*"}),
    ("SERIES", {"RTPlanLabel": "Head*"}),
    ("SERIES", {"AccessionNumber": "A1*"}),
    ("IMAGE", {"SOPInstanceUID": uid(1, 2, 1)}),
    ("IMAGE", {"InstanceNumber": "1"}),
]


@pytest.fixture(scope="module")
def elastic(elasticsearch_url: str) -> Iterator[ElasticEngine]:
    """An index of the corpus on Elasticsearch."""
    engine = connect([elasticsearch_url], name="queried")
    refresher = Refresher(engine)
    for fold in folds(corpus()):
        refresher.write(fold)
    engine.refresh()
    yield engine
    engine.close()


def _identifier(level: str, keys: dict[str, str]) -> Identifier:
    from pynetdicom.dsutils import encode

    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, "")
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    encoded = encode(dataset, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    return read_identifier(encoded, "1.2.840.10008.1.2", MODELS[0])


@pytest.mark.parametrize(("level", "keys"), QUESTIONS)
def test_answers_when_either_engine_is_asked_then_they_are_the_same_in_the_same_order(
    engine: SqliteEngine, elastic: ElasticEngine, level: str, keys: dict[str, str]
) -> None:
    identifier = _identifier(level, keys)
    assert identifier.level is Level(level)
    search = Search(MODELS[0], identifier, EVERYTHING, ae_title="X")
    ours = list(search.answers(engine))
    assert ours == list(search.answers(elastic))
    assert ours or "[x]" in str(keys)
