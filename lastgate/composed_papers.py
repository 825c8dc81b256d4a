"""What is read of a composite: the pictures and the report in two languages, the approved one byte for byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from archive.errors import NotFound
from courses.composite import Composite
from courses.hot_points import HotPoint
from lastgate import derived
from lastgate.approving import figures_sha256
from lastgate.composed_objects import made_on
from lastgate.pictures import Planes, isodose_picture, planes_through
from lastgate.wiring import House
from reports.composite import render_composite
from reports.figures import render_png
from reports.render import Language

Json = dict[str, Any]

_REPORTS: Final = (
    ("report_pdf", "composite-zh.pdf", Language.ZH),
    ("report_pdf_en", "composite-en.pdf", Language.EN),
)
_PICTURES: Final = (("picture", "isodoses.png"), ("picture_further", "isodoses-further.png"))


def write_papers(house: House, composite: Composite, answer: Json, folder: Path, points: Sequence[HotPoint]) -> None:
    """Write pictures and reports, and name them in the answer."""
    drawn = planes_through(points, composite, house.reader)
    for (what, name), planes in zip(_PICTURES, drawn, strict=False):
        picture = isodose_picture(planes, composite, Language.EN.value)
        (folder / name).write_bytes(render_png(picture, typeface=house.typeface))
        answer["files"][what] = str(folder / name)
    approved = _approved(house, answer)
    for place, (what, name, language) in enumerate(_REPORTS):
        body = approved[place] if approved else report(house, composite, answer, drawn, language)
        (folder / name).write_bytes(body)
        answer["files"][what] = str(folder / name)


def reports(house: House, composite: Composite, answer: Json, points: Sequence[HotPoint]) -> list[bytes]:
    """Return the report in all languages."""
    drawn = planes_through(points, composite, house.reader)
    return [report(house, composite, answer, drawn, language) for _, _, language in _REPORTS]


def report(house: House, composite: Composite, answer: Json, drawn: Sequence[Planes], language: Language) -> bytes:
    """Return the report in one language; its number names the figures."""
    return render_composite(
        answer,
        pictures=[isodose_picture(planes, composite, language.value) for planes in drawn],
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
