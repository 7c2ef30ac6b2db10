"""Pages of PDFs that are written here, in the ways in which programs write them."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import pdf
from proxy.core.pdf import pages

TREE = "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"


def page(number: int, more: str = "") -> str:
    return f"{number} 0 obj\n<< /Type /Page /Parent 2 0 R {more}>>\nendobj\n"


def root(count: object, more: str = "") -> str:
    return f"2 0 obj <</Type /Pages {more}/Kids [3 0 R] /Count {count} >> endobj\n"


def file(*parts: str | bytes) -> str:
    whole = b"%PDF-1.7\n" + b"".join(part.encode() if isinstance(part, str) else part for part in parts) + b"%%EOF\n"
    return base64.b64encode(whole).decode()


def packed(
    *objects: tuple[int, str], n: int | None = None, head: str = "", body: bytes | None = None, first: int | None = None
) -> bytes:
    """An object stream."""
    texts, table, at = [], [], 0
    for number, text in objects:
        table.append(f"{number} {at}")
        texts.append(text)
        at += len(text) + 1
    top = " ".join(table) + " "
    data = zlib.compress((top + " ".join(texts)).encode()) if body is None else body
    said = f"/N {len(objects) if n is None else n} /First {len(top) if first is None else first}"
    given = head or "/Filter /FlateDecode"
    return f"9 0 obj <</Type /ObjStm {said} {given} >>\nstream\r\n".encode() + data + b"\r\nendstream endobj\n"


def inner(number: int) -> tuple[int, str]:
    return number, "<</Type/Page/Parent 2 0 R>>"


TREE_INSIDE = [(1, "<</Type/Catalog>>"), (2, "<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]>>"), inner(3), inner(4)]


@pytest.mark.parametrize(
    ("sent", "count"),
    [
        (file(TREE, root(1), page(3)), 1),
        (file(TREE, root(3), page(3), page(4), page(5)), 3),
        (file(page(3), page(4), root(2)), 2),
        # Claude Code's own, as `Read` sends it: no spaces
        (
            file(
                "2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>endobj\n3 0 obj<</Type/Page>>endobj\n4 0 obj<</Type/Page>>endobj"
            ),
            2,
        ),
        # a tree of two levels: only the root counts
        (file(root(2), "6 0 obj<</Type/Pages/Parent 2 0 R/Count 2>>endobj\n", page(3), page(4)), 2),
        # changed by appending: the same objects once more, and a page more
        (file(root(1), page(3), root(2), page(3, "/Rotate 90"), page(4)), 2),
        (file(packed(*TREE_INSIDE)), 2),
        (file(packed(*TREE_INSIDE, head="/Filter [/FlateDecode] /Length 99")), 2),
        (file(root(2), page(3), packed(inner(4))), 2),
        (file(root(1), page(3), "7 0 obj<</Type/PageLabels>>endobj 8 0 obj<</Type/ObjStmX>>endobj"), 1),
    ],
)
def test_pages_are_counted_however_they_are_written(sent: str, count: int) -> None:
    assert pages(sent) == count


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "not base64!",
        "aGk=",
        base64.b64encode(b"no pdf /Type /Page").decode(),
        file(),
        file(root(2), page(3)),
        file(root(1), page(3), page(4)),
        file(page(3)),
        file(root("8 0 R"), page(3)),
        file(root("12 0 R"), page(3)),
        file(root(1), page(3), "7 0 obj<</Type/Pages/Count 1>>endobj"),
        file(root(1), "<</Type /Page>> endobj"),
        file(root(1), "3 0 obj<</Type /Page>>"),
        file(root(2), page(3), packed(inner(4), head="/Filter /LZWDecode")),
        file(root(2), page(3), packed(inner(4), head="/Filter [/ASCIIHexDecode /FlateDecode]")),
        file(root(2), page(3), packed(inner(4), head="/Filter /FlateDecode /DecodeParms <</Predictor 12>>")),
        file(root(2), page(3), packed(inner(4), body=b"damaged")),
        file(root(2), page(3), packed(inner(4), body=zlib.compress(b"4 0 <</Type/Page>>" * 99)[:-9])),
        file(root(2), page(3), packed(inner(4), n=2)),
        file(root(2), page(3), packed(inner(4), n=30_000)),
        file(root(2), page(3), packed(inner(4), first=0)),
        file(root(2), page(3), packed((4, "x"), body=zlib.compress(b"4 zero <</Type/Page>>"), first=7)),
        file(root(2), page(3), "9 0 obj<</Type /ObjStm /N 1 /First 4 /Filter /FlateDecode>> endobj"),
        file(
            root(2),
            page(3),
            b"9 0 obj<</Type /ObjStm /Filter /FlateDecode>> stream\n" + zlib.compress(b"4 0 x") + b"endstream",
        ),
        file(
            root(2),
            page(3),
            b"9 0 obj<</Type /ObjStm /N 1 /First 4 /Filter /FlateDecode>> stream\n" + zlib.compress(b"4 0 x"),
        ),
    ],
)
def test_what_is_unsure_has_no_number(sent: str) -> None:
    assert pages(sent) is None


def test_what_stands_before_the_first_object_of_a_stream_is_none() -> None:
    odd = packed((4, ""), body=zlib.compress(b"4 30 <</Type/Page>>           <</Type/Page>>"), first=5)
    assert pages(file(root(1), page(3), odd)) == 1


def test_a_stream_that_inflates_to_too_much_is_not_read() -> None:
    bomb = packed(inner(4), body=zlib.compress(b"\0" * (pdf.INFLATED + 1)))
    assert pages(file(root(2), page(3), bomb)) is None


def test_too_many_objects_and_too_large_a_file_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = file(root(3), page(3), page(4), page(5))
    monkeypatch.setattr(pdf, "MOST", 2)
    assert pages(sent) is None
    monkeypatch.undo()
    monkeypatch.setattr(pdf, "LARGEST", 100)
    assert pages(sent) is None


@given(st.binary(max_size=200), st.integers(0, 400))
def test_whatever_is_damaged_raises_nothing(noise: bytes, at: int) -> None:
    whole = base64.b64decode(file(root(2), page(3), packed(inner(4))))
    pages(base64.b64encode(whole[:at] + noise + whole[at:]).decode())
    pages(base64.b64encode(b"%PDF-" + noise).decode())
