"""Takes the identity out of a data set.

UIDs, dates and persons are told by their value representation wherever they
stand; other attributes by the profile's table. The table says nothing about
many texts of radiotherapy objects (names of beams, machines, tolerance tables,
blocks), and not everybody writes into them what belongs there: a text stays
only if its attribute is known to hold technical terms, any other is replaced.
"""

from collections.abc import Callable
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from archive.deidentification.profile import CODES, METHOD, Wanted, wanted
from archive.deidentification.pseudonyms import Pseudonyms
from archive.deidentification.structure_names import is_telling_nothing

_TEXTS: Final = frozenset({"AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
_TECHNICAL_WORDS: Final = """
    Manufacturer ManufacturerModelName SoftwareVersions CodeValue CodingSchemeDesignator CodeMeaning LongCodeValue
    CodingSchemeVersion MappingResourceName ConvolutionKernel FilterType ScanningSequence RadiopharmaceuticalCode
    DoseUnits RadiationType
"""
_TECHNICAL: Final = frozenset(_TECHNICAL_WORDS.split())
"""Texts that come from makers and standards. All others are a person's to write."""
_NAMES_OF_STRUCTURES: Final = frozenset({"ROIName", "DoseReferenceDescription"})
_LABELLED: Final = frozenset(
    {"DoseReferenceDescription", "TreatmentMachineName", "ROIName", "RTPlanLabel", "StructureSetLabel"}
)
"""Texts by which parts are told from one another: they are replaced even where the table would remove or empty them."""
_BINARIES: Final = frozenset(
    {
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "VectorGridData"),
        *("RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"),
    }
)
_NUMBERS_AS_BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_Mend = Callable[[str], str]


def deidentify(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    """Take the identity out of a data set, in place, and say in it what was done."""
    _clean(dataset, pseudonyms)
    dataset.PatientName = f"{pseudonyms.patient_id}^Pseudonym"
    dataset.PatientID = pseudonyms.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    if "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet  # nothing but ASCII is left
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.DeidentificationMethodCodeSequence = [_code(value, meaning) for value, meaning in CODES]
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def _clean(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    technical = frozenset() if _is_local_code(dataset) else _TECHNICAL
    for tag in list(dataset.keys()):
        if tag.is_private or not dictionary_has_tag(tag) or tag.element == 0:
            del dataset[tag]
            continue
        element = dataset[tag]
        asked = Wanted.REPLACE if element.keyword in _LABELLED else wanted(element.tag)
        if asked is Wanted.REMOVE:
            del dataset[tag]
        elif element.VR == "SQ":
            for item in element.value:
                _clean(item, pseudonyms)
        elif element.VR in _NUMBERS_AS_BYTES:
            if element.keyword not in _BINARIES:
                del dataset[tag]
        else:
            _mend(element, asked, pseudonyms, technical)


def _is_local_code(dataset: Dataset) -> bool:
    """Return whether an item is a code of a scheme that a site made up (PS3.3 8.2), whose words may be anything."""
    scheme = str(dataset.get("CodingSchemeDesignator", ""))
    return scheme == "L" or scheme.startswith("99")


def _mend(element: DataElement, asked: Wanted, pseudonyms: Pseudonyms, technical: frozenset[str]) -> None:
    """Replace what an element holds, by what kind of thing it is."""
    by_kind: dict[str, _Mend] = {"UI": pseudonyms.uid, "DA": pseudonyms.day, "DT": pseudonyms.moment}
    mend = by_kind.get(element.VR)
    if mend is not None:
        _each(element, mend)
    elif element.VR == "PN" or (asked is Wanted.EMPTY and element.VR != "TM"):
        element.value = None
    elif element.VR in _TEXTS:
        _each(element, _text_mender(element.keyword, asked, pseudonyms, technical))
    elif element.VR in ("AS", "CS") and asked is Wanted.REPLACE:
        element.value = None


def _text_mender(keyword: str, asked: Wanted, pseudonyms: Pseudonyms, technical: frozenset[str]) -> _Mend:
    def mend(text: str) -> str:
        may_stay = asked is Wanted.NOTHING and keyword in technical
        may_stay = may_stay or (keyword in _NAMES_OF_STRUCTURES and is_telling_nothing(text))
        return text if may_stay and text.isascii() else pseudonyms.label(text)

    return mend


def _each(element: DataElement, mend: _Mend) -> None:
    """Replace every value of an element that is not empty."""
    held = element.value
    values = list(held) if isinstance(held, (MultiValue, list)) else [held]
    mended = [mend(str(value)) if value not in (None, "") else "" for value in values]
    element.value = mended if len(mended) > 1 else mended[0]
