"""The bad-input list at the level of the data set: cases 25 to 57, and more of the kind (X)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.ingest.datasets import (
    BIG,
    CT_CLASS,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    deflated,
    element,
    implicit,
    item,
    uid,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A data set as it is sent, and what becomes of it.

    Parameters
    ----------
    number, what
        See `Case`.
    body
        The bytes of the data set.
    status, code
        What the node must answer; the code begins the Error Comment and names the reason in quarantine.
    announced
        SOP Instance UID of the command; empty for that of the data set.
    sop_class, syntax
        Of the command and the presentation context.
    """

    number: str
    what: str
    body: bytes
    status: str = "0000"
    code: str = ""
    announced: str = ""
    sop_class: str = CT_CLASS
    syntax: str = EXPLICIT

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.number} {self.what}"

    @property
    def instance(self) -> str:
        """SOP Instance UID of the command."""
        return self.announced or uid_of(self.number, self.what)


def uid_of(number: str, what: str) -> str:
    """Return a UID of its own for each case."""
    return f"1.2.77.{zlib.crc32(f'{number} {what}'.encode())}"


def tailed(number: str, what: str, tail: bytes = b"", /, **options: str) -> Body:
    """Return a case whose data set is sound up to its tail."""
    kept = {key: value for key, value in options.items() if key in ("status", "code", "syntax")}
    values = {key: value for key, value in options.items() if key not in kept}
    return Body(
        number=number,
        what=what,
        body=dataset(**{"instance": uid_of(number, what), **values}, tail=tail),
        **kept,
    )


def raw(number: str, what: str, body: bytes, **options: str) -> Body:
    """Return a case whose data set is these bytes."""
    return Body(number=number, what=what, body=body, **options)


def sequence(tag: int, content: bytes, *, length: int | None = None) -> bytes:
    """Return a sequence in explicit little endian."""
    return element(tag, b"SQ", content, length=length)


def names() -> Iterator[Body]:
    """Yield cases 25 to 28 and 49: which instance is it?"""
    yield tailed("25", "other UID than announced", status="A900", code="LG-ING-200", instance="1.2.99")
    yield tailed(
        "26", "other class than announced", status="A900", code="LG-ING-200", sop_class="1.2.840.10008.5.1.4.1.1.4"
    )
    for what in ("instance", "series", "study", "sop_class"):
        yield tailed("27", f"no {what}", status="C000", code="LG-ING-110", **{what: ""})
    wrong = {
        "of a path": "../../../etc/passwd",
        "with a slash": "1.2/3",
        "of letters": "1.2.abc",
        "too long": "1." + "2" * 63,
        "with a NUL": "1.2\0.3",
        "of a dot": ".",
        "of two dots": "1..2",
        "with a newline": "1.2\n3",
        "of other digits": "1.2.\u0661",
    }
    for what, value in wrong.items():
        yield tailed("28", f"study UID {what}", status="C000", code="LG-ING-110", study=value)
        yield Body(
            number="28b",
            what=f"instance UID {what}",
            body=dataset(instance=value),
            status="C000",
            code="LG-ING-110",
            announced=value if value.isascii() else "1.2",
        )
    yield raw("49", "nothing", b"", status="C000", code="LG-ING-101")


def damage() -> Iterator[Body]:
    """Yield cases 29 to 35, 40, 41 and 48: broken encoding."""
    body = dataset(instance=uid_of("29", "cut off"))
    for cut, code in ((3, "LG-ING-102"), (9, "LG-ING-103"), (40, "LG-ING-110")):
        yield raw(f"29-{cut}", "cut off", body[:-cut], status="C000", code=code)
    yield tailed("30", "garbage behind", b"garbage", status="C000", code="LG-ING-103")
    yield tailed("30b", "half a header behind", b"\x28\x00\x10\x00", status="C000", code="LG-ING-103")
    reserved = element(0x0028_1201, b"OW", b"", length=0xFFFF_FFF0)
    yield tailed("31", "reserved length", reserved, status="C000", code="LG-ING-104")
    yield tailed("31b", "4 GB", element(0x7FE0_0010, b"OW", b"", length=0xFFFF_FFEE), status="C000", code="LG-ING-102")
    undefined = sequence(0x0040_0275, ITEM, length=UNDEFINED)
    yield tailed("32", "no delimiter", undefined, status="C000", code="LG-ING-102")
    text = element(0x0040_0275, b"OB", b"", length=UNDEFINED)
    yield tailed("32b", "undefined length of bytes", text + SEQUENCE_END, status="C000", code="LG-ING-104")
    yield tailed("32c", "delimiter alone", ITEM_END, status="C000", code="LG-ING-106")
    yield tailed("32d", "end of a sequence alone", SEQUENCE_END, status="C000", code="LG-ING-106")
    yield tailed("33", "VR ZZ", element(0x0028_0010, b"ZZ", b"\0\0"), status="C000", code="LG-ING-105")
    yield tailed("33b", "VR of NULs", element(0x0028_0010, b"\0\0", b"\0\0"), status="C000", code="LG-ING-105")
    yield tailed("34", "odd length", element(0x0028_0008, b"IS", b"1"))
    twice = element(0x0028_0010, b"US", b"\1\0") * 2
    yield tailed("35", "a tag twice", twice, status="C000", code="LG-ING-107")
    lower = element(0x0008_0070, b"LO", b"EVIL")
    yield tailed("35b", "a lower tag", lower, status="C000", code="LG-ING-107")
    yield tailed("35c", "the UID twice", element(0x0008_0018, b"UI", b"1.2"), status="C000", code="LG-ING-107")
    plain = implicit(0x0008_0016, uid(CT_CLASS)) + implicit(0x0008_0018, uid("1.2.40"))
    yield raw("40", "implicit in explicit", plain, status="C000", code="LG-ING-105")
    explicit = dataset(instance=uid_of("40b", "explicit in implicit"))
    yield raw("40b", "explicit in implicit", explicit, status="C000", code="LG-ING-1", syntax=IMPLICIT)
    yield raw("40c", "little endian in big endian", explicit, status="C000", code="LG-ING-1", syntax=BIG)
    meta = element(0x0002_0010, b"UI", b"1.2\0") + dataset()
    yield raw("48", "file meta group inside", meta, status="C000", code="LG-ING-108")
    command = element(0x0000_0002, b"UI", b"1.2\0") + dataset()
    yield raw("48b", "command inside", command, status="C000", code="LG-ING-108")
    lies = element(0x0028_0000, b"UL", struct.pack("<I", 9999)) + element(0x0028_0010, b"US", b"\1\0")
    yield tailed("48c", "group length lies", lies)


def bombs() -> Iterator[Body]:
    """Yield cases 36 to 39, 42, 43 and 47: more than anybody can answer for."""
    deep = sequence(0x0040_0275, ITEM, length=UNDEFINED) * 3000
    yield tailed("36", "3000 levels", deep, status="C000", code="LG-ING-111")
    hidden = element(0x0040_0275, b"UN", ITEM, length=UNDEFINED) + implicit(0x0040_0275, ITEM, length=UNDEFINED) * 3000
    yield tailed("36b", "3000 levels in UN", hidden, status="C000", code="LG-ING-111")
    items = sequence(0x0040_0275, item(b"") * 1_000_000)
    yield tailed("37", "a million items", items, status="C000", code="LG-ING-111")
    elements = b"".join(element(0x0029_0010 + n, b"UL", b"\0\0\0\0") for n in range(0xFF00)) * 4
    yield tailed("37b", "elements without end", elements, status="C000", code="LG-ING-107")
    private = b"".join(
        element(group << 16 | n, b"CS", b"") for group in range(0x29, 0x31, 2) for n in range(0x1000, 0xFFFF)
    )
    yield tailed("37c", "200,000 elements", private, status="C000", code="LG-ING-111")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bomb.compress(dataset() + element(0x7FE0_0010, b"OW", b"", length=2_000_000_000)) + b"".join(
        bomb.compress(bytes(1 << 20)) for _ in range(256)
    )
    packed = zeros + bomb.flush()
    yield raw("38", "deflate bomb", packed, status="A700", code="LG-ING-303", syntax=DEFLATED)
    sound = deflated(dataset(instance=uid_of("39", "broken stream")))
    yield raw(
        "39", "broken stream", sound[:40] + b"\xff\xff" + sound[42:], status="C000", code="LG-ING-1", syntax=DEFLATED
    )
    yield raw("39b", "second stream", sound + sound, status="C000", code="LG-ING-103", syntax=DEFLATED)
    yield raw("39c", "not deflated", dataset(), status="C000", code="LG-ING-1", syntax=DEFLATED)
    fragments = element(0x7FE0_0010, b"OB", item(b"") * 2_000_000 + SEQUENCE_END, length=UNDEFINED)
    yield tailed("42", "two million fragments", fragments, syntax=JPEG)
    rows = b"".join(element(tag, b"US", b"\xff\xff") for tag in (0x0028_0010, 0x0028_0011, 0x0028_0100))
    yield tailed("43", "overflowing size", rows + element(0x7FE0_0010, b"OW", b"\0\0"))
    numbers = element(0x0029_1010, b"UV", bytes(8 * 2_500_000))
    yield tailed("47", "two and a half million numbers", numbers, status="C000", code="LG-ING-111")
    texts = element(0x0029_1010, b"UC", b"1\\" * 3_000_000)
    yield tailed("47b", "three million texts", texts, status="C000", code="LG-ING-111")
    yield tailed("47c", "one long text", element(0x0029_1010, b"UT", b"1\\" * 3_000_000))


def oddities() -> Iterator[Body]:
    """Yield cases 44 to 46 and 50 and others that are taken: odd, but sound; the bytes stay as they came."""
    name = "\u5f20\u4f1f".encode("gbk")
    latin, unknown = element(0x0008_0005, b"CS", b"ISO_IR 100"), element(0x0008_0005, b"CS", b"ISO_IR 9999\\X ")
    for number, what, declared in (("44", "GBK as Latin", latin), ("44b", "GBK", b""), ("44c", "no such set", unknown)):
        body = dataset(instance=uid_of(number, what), name="ZZZZ").replace(b"ZZZZ", name)
        yield raw(number, what, declared + body)
    yield tailed("44d", "bytes of no character set", element(0x0020_4000, b"LT", b"\xff\x81\xfe\x80\x30\x81"))
    for what, said in {
        "script": "<script>alert(1)</script>",
        "newline": "A\nB",
        "formula": "=cmd()",
        "mark": "\u202eevil",
        "10 kB": "x" * 10_000,
        "carets": "^" * 300,
    }.items():
        yield tailed("45", f"name of {what}", name=said)
    for what, value in {
        "huge": element(0x0028_0030, b"DS", b"1e999999999999"),
        "NaN": element(0x0028_0030, b"DS", b"NaN "),
        "letters": element(0x0020_0013, b"IS", b"1A"),
        "date": element(0x0020_4000, b"LT", b"x ") + element(0x0040_0244, b"DA", b"20261399"),
        "short number": element(0x0028_0010, b"US", b"\1"),
        "empty": element(0x0028_0010, b"US", b""),
    }.items():
        yield tailed("46", f"value: {what}", value)
    yield tailed("50", "no patient", patient="")
    yield tailed("50b", "patient of a path", patient="../../../etc/passwd")
    yield tailed("50c", "patient of 60 kB", patient="x" * 60_000)
    yield tailed("X11", "private elements without creator", element(0x0029_1010, b"OB", bytes(100)))
    yield tailed("X12", "empty sequence and items", sequence(0x0040_0275, item(b"") * 3))
    yield tailed("X13", "trailing padding", element(0xFFFC_FFFC, b"OB", bytes(1000)))
    yield Body(
        number="X14",
        what="unknown class",
        body=dataset(instance=uid_of("X14", "unknown class"), sop_class="1.2.3.4.5.6"),
        sop_class="1.2.3.4.5.6",
    )


DATASET_CASES: Final = (*names(), *damage(), *bombs(), *oddities())
