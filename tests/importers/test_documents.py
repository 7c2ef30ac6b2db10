"""How the JSON of a file is read: lines, arrays, values across lines; what is cut; and the beginning of a file."""

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import captured
from answers import MID
from proxy.core.redact import Redactor
from proxy.importers import documents, moments
from proxy.importers.documents import items, lines, number, objects, table, text
from proxy.importers.har import HarFile
from proxy.importers.inspect_log import InspectLog
from proxy.importers.opening import first, member, opening
from proxy.importers.otel import OtelLogs
from proxy.importers.raw import RawAnswer
from proxy.importers.source import Origin, Source, Trouble

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4)


def read(data: bytes) -> list[Any]:
    return list(objects(io.BytesIO(data)))


@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_objects_are_found_in_lines_in_an_array_and_across_lines(values: list[Any], indent: int | None) -> None:
    written = ["\n".join(json.dumps(value, indent=indent) for value in values), json.dumps(values, indent=indent)]
    for said in written:
        assert [one[1] for one in read(b"\xef\xbb\xbf" + said.encode())] == values


@given(OBJECTS, st.integers(0, 200))
def test_the_beginning_of_a_file_is_a_part_of_the_value(value: Any, cut: int) -> None:
    said = json.dumps(value).encode()
    assert opening(said) == value
    head = first(said[:cut])
    assert all(key in value for key in head)


def test_of_a_record_that_is_cut_the_members_before_are_known() -> None:
    assert opening(b'{"a": 1, "b": {"c": [1, {"d": "e", "f": "cut, {[') == {"a": 1, "b": {"c": [1, {"d": "e"}]}}
    assert first(b'[{"a": 1}, {"b') == {"a": 1}
    assert (opening(b"{}]{"), opening(b"{]"), opening(b'{"a" 1, "b": 2}'), opening(b"5"), opening(b"[")) == (
        {},
        None,
        None,
        None,
        [],
    )
    assert (first(b"[1]"), member(1, "a"), member({"a": 1}, "a")) == ({}, {}, {})


def test_lines_are_numbered_and_one_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LONGEST", 1 << 20)
    data = b'{"a":1}\n\n' + b'"' + b"x" * (5 << 20) + b'"\n{"b":2}\n' + b"y" * (2 << 20)
    assert list(lines(io.BytesIO(data))) == [
        (1, b'{"a":1}'),
        Trouble(3, "a line of more than 1 MB"),
        (4, b'{"b":2}'),
        Trouble(5, "a line of more than 1 MB"),
    ]
    assert read(data[10:])[0] == Trouble(1, "a line of more than 1 MB")


def test_what_is_no_json_is_told_with_its_line() -> None:
    assert read(b'{"a":1}\nno}\n[1]\n{"b":\n') == [
        (1, {"a": 1}), Trouble(2, "not JSON"), Trouble(3, "not an object"), Trouble(4, "not JSON"),
    ]  # fmt: skip
    assert read(b'{\n"a": 1\n}\n{\n"b" 2\n}') == [(1, {"a": 1}), Trouble(4, "not JSON from here on")]
    assert read(b"") == []


def test_bytes_that_are_not_utf_8_and_lone_surrogates_are_read() -> None:
    assert read(b'{"a":"\xff"}') == [(1, {"a": "\ufffd"})]
    assert read(b'{"a":"\\ud83d"}') == [(1, {"a": "\ud83d"})]


def test_what_is_nested_too_deeply_is_told_of() -> None:
    deep = b'{"a":' * 200_000
    assert read(deep + b"1" + b"}" * 200_000) == [Trouble(1, "not JSON")]
    assert read(b"{\n" + deep) == [Trouble(1, "not JSON from here on")]


def test_an_array_is_read_item_by_item_up_to_where_it_is_damaged() -> None:
    assert list(items(b'{"x": {"entries" : [ {"a": 1}, 5,{"b": 2} ], "y": [', "entries")) == [{"a": 1}, {"b": 2}]
    cut = Trouble(None, "it is cut off, or damaged, within an entry")
    assert list(items(b'{"entries":[{"a": 1},{"b"', "entries")) == [{"a": 1}, cut]
    assert list(items(b'{"entries":[{"a": 1}', "entries")) == [{"a": 1}, cut]
    assert list(items(b"{}", "entries")) == [Trouble(None, "no entries")]


def test_values_are_taken_for_what_they_are() -> None:
    assert [table(one) for one in ({"a": 1}, '{"a": 1}', " {", "x", None, [1])] == [{"a": 1}, {"a": 1}, {}, {}, {}, {}]
    assert [text(one) for one in ("a", "", None, 3)] == ["a", None, None, None]
    assert [number(one) for one in (3, 3.9, "4", "x", True, None, float("inf"))] == [3, 3, 4, None, None, None, None]


@pytest.mark.parametrize(
    "said",
    [
        1_795_000_000, 1_795_000_000.0, "1795000000", 1_795_000_000_000, "1795000000000000000", "2026-11-18T11:06:40Z",
        "2026-11-18T12:06:40.000+01:00", "2026-11-18 11:06:40", " 2026-11-18T11:06:40.000Z ",
    ],
)  # fmt: skip
def test_a_time_is_known_however_it_is_written(said: object) -> None:
    assert moments.seconds(said) == pytest.approx(1_795_000_000)


@pytest.mark.parametrize(
    "said", [None, "", "never", True, 0, -5, [], float("nan"), "9999-12-31T00:00:00+00:00", "1e400", 1e300]
)
def test_what_is_no_time_is_none(said: object) -> None:
    assert moments.seconds(said) is None


def test_a_file_has_the_time_at_which_it_was_written_and_what_is_none_that_at_which_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.utime(path, (5, 5))
    before = time.time()
    with path.open("rb") as file:
        assert (moments.of_file(file, "-"), moments.of_file(io.BytesIO(), str(path))) == (5.0, 5.0)
    assert moments.of_file(io.BytesIO(), str(tmp_path / "none")) >= before


class Failing(io.BytesIO):
    """A disk that fails at the end of what it has."""

    def read(self, size: int | None = -1) -> bytes:
        if data := super().read(size):
            return data
        raise OSError

    def readline(self, size: int | None = -1) -> bytes:
        if data := super().readline(size):
            return data
        raise OSError


def test_what_cannot_be_read_to_its_end_is_read_as_far_as_it_can_be() -> None:
    end = Trouble(None, "it cannot be read to its end")
    assert list(objects(Failing(b'[\n{"a": 1}]'))) == [(2, {"a": 1}), end]
    origin = Origin("x", Redactor())
    samples: dict[Source, bytes] = {
        HarFile(): captured.har(),
        InspectLog(): json.dumps(captured.inspect_log()).encode(),
        RawAnswer(): MID,
    }
    for source, data in samples.items():
        found = list(source.read(Failing(data), origin))
        assert captured.refusals(found)
        assert captured.troubles(found) == [end]
    logs = OtelLogs().read(Failing(captured.lines([captured.otel({"name": "api_refusal", "at": 5.0})])), origin)
    assert captured.refusals([next(logs)])
    with pytest.raises(OSError):
        next(logs)
