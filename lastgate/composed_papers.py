"""What is read of a composite: the picture and the report in two languages, the approved one byte for byte."""

from pathlib import Path
from typing import Any, Final

from archive.errors import NotFound
from courses.composite import Composite
from lastgate import derived
from lastgate.approving import figures_sha256
from lastgate.composed_objects import made_on
from lastgate.pictures import in_language, isodose_picture
from lastgate.wiring import House
from reports.composite import render_composite
from reports.figures import IsodosePicture, render_png
from reports.render import Language

Json = dict[str, Any]

_REPORTS: Final = (
    ("report_pdf", "composite-zh.pdf", Language.ZH),
    ("report_pdf_en", "composite-en.pdf", Language.EN),
)
_PICTURE: Final = "isodoses.png"


def write_papers(house: House, composite: Composite, answer: Json, folder: Path) -> None:
    """Write picture and reports, and name them in the answer."""
    picture = isodose_picture(composite, house.reader)
    if picture is not None:
        (folder / _PICTURE).write_bytes(render_png(picture, typeface=house.typeface))
        answer["files"]["picture"] = str(folder / _PICTURE)
    approved = _approved(house, answer)
    for place, (what, name, language) in enumerate(_REPORTS):
        body = approved[place] if approved else report(house, composite, answer, picture, language)
        (folder / name).write_bytes(body)
        answer["files"][what] = str(folder / name)


def reports(house: House, composite: Composite, answer: Json) -> list[bytes]:
    """Return the report in all languages."""
    picture = isodose_picture(composite, house.reader)
    return [report(house, composite, answer, picture, language) for _, _, language in _REPORTS]


def report(
    house: House, composite: Composite, answer: Json, picture: IsodosePicture | None, language: Language
) -> bytes:
    """Return the report in one language; its number names the figures."""
    return render_composite(
        answer,
        picture=in_language(picture, composite, language.value) if picture is not None else None,
        created=made_on(answer, composite),
        number=figures_sha256(answer)[:12],
        language=language,
        typeface=house.typeface,
    )


def _approved(house: House, answer: Json) -> list[bytes]:
    """Return the reports that were approved with these figures; none where nobody did, or where they are gone."""
    status = answer["status"]
    if status["state"] != "approved" or len(status["report_sha256"]) != len(_REPORTS):
        return []
    try:
        return [derived.read(house, digest) for digest in status["report_sha256"]]
    except NotFound:
        return []
