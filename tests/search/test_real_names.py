"""Names from real files in every character set of DICOM are found as their owners would be asked for."""

from pathlib import Path

import pydicom
import pytest

from search.documents import patient_document
from search.kinds import Kind
from search.query import Query
from search.sqlite import SqliteEngine

pytestmark = pytest.mark.real_data

ASKED = {
    "chrArab.dcm": ("قباني", "لنزار"),
    "chrFren.dcm": ("buc jerome", "BUC^JÉRÔME", "Jérôme Buc"),
    "chrGerm.dcm": ("aneas", "Rüdiger"),
    "chrGreek.dcm": ("Διονύσιος",),
    "chrH31.dcm": ("Yamada", "山田太郎", "太郎", "やまだ", "ヤマダ"),
    "chrH32.dcm": ("ヤマダ", "ﾀﾛｳ", "山田"),
    "chrHbrw.dcm": ("שרון",),
    "chrI2.dcm": ("Hong Gildong", "洪吉洞", "홍길동", "길동"),
    "chrKoreanMulti.dcm": ("김희중", "희중"),
    "chrRuss.dcm": ("Люк",),
    "chrX1.dcm": ("小東", "wxd", "Wang Xiaodong"),
    "chrX2.dcm": ("小东", "王小东", "wxd", "wangxiaodong", "WANG^XIAODONG"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom remarks on the encodings these files are here for
def test_search_for_names_of_real_files_finds_each(real_data: Path, tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "index.db")
    for file in ASKED:
        name = str(pydicom.dcmread(real_data / "pydicom_rt" / "charset" / file, force=True).PatientName)
        engine.put([patient_document({"patient": {"name": name}}, patient_key=file, version=1)])
    missed = [
        (file, text)
        for file, texts in ASKED.items()
        for text in texts
        if file not in {hit.patient_key for hit in engine.search(Query(kind=Kind.PATIENT, text=text)).hits}
    ]
    engine.close()
    assert not missed
