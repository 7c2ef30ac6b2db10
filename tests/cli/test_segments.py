"""The tree of a request: of a tool its target, of media the kind and the pages."""

import base64
import json
import re
from pathlib import Path

from commands import declined, demur, keep, without_colour
from proxy.cli.segments import TARGET, lines, rows
from proxy.core.context import split
from schemas.records import Segment

PDF = b"%PDF-1.4 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 3>>endobj " + b"".join(
    b"%d 0 obj<</Type/Page>>endobj " % n for n in (3, 4, 5)
)


def body(path: str) -> bytes:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "<system-reminder>\n# claudeMd\nBe brief."}, {"type": "text", "text": "sum it up"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": path}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": source}]}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "u", "name": "Bash", "input": {"command": "git log --author=me"}}]},
    ]  # fmt: skip
    return json.dumps({"model": "claude-opus-5", "stream": True, "messages": messages}).encode()


def tree(path: str, columns: int = 140) -> list[list[str]]:
    segments: list[Segment] = split(body(path), None).segments
    return [re.split(r"\s{2,}", line.strip())[1:] for line in lines(rows(segments), columns)]


def test_a_tool_is_shown_with_what_it_works_on_and_what_it_brought() -> None:
    found = tree("/x/scan.pdf")
    assert ["messages[1]", "tool use", "Read", "/x/scan.pdf"] in [row[:4] for row in found]
    assert ["messages[2]", "tool result", "Read", "/x/scan.pdf", "application/pdf", "3 pages"] in [
        row[:6] for row in found
    ]
    assert ["messages[3]", "tool use", "Bash", "git log"] in [row[:4] for row in found]
    assert ["content[0]", "memory"] in [row[:2] for row in found]


def test_of_a_long_path_the_end_is_shown() -> None:
    target = next(row for row in tree("/home/dev/" + "漢字/" * 30 + "scan.pdf") if row[1:3] == ["tool use", "Read"])[3]
    assert target.startswith("…")
    assert target.endswith("漢字/scan.pdf")
    assert len(target) < TARGET


def test_a_path_cannot_drive_a_terminal() -> None:
    segments = split(body("/x"), None).segments
    for segment in segments:
        segment.target = segment.tool = "a\x1b[31m\u202eb"
    assert not any(char in line for line in lines(rows(segments), 140) for char in "\x1b\u202e")


def test_show_prints_the_target_and_marks_what_is_new(db: Path) -> None:
    kept = declined(body("/x/scan.pdf"))
    for segment in kept.segments:
        segment.new = segment.path.startswith("messages[2]")
    keep(db, kept)
    shown = without_colour(demur("show", "last", db=db, COLUMNS="160").stdout)
    (row,) = [line for line in shown if "  messages[2]" in line]
    assert "Read  /x/scan.pdf  application/pdf  3 pages" in row
    assert row.endswith("  new")
    assert "--author" not in "\n".join(shown)
