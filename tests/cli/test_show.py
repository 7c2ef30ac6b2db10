import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from answers import MID
from commands import (
    ESCAPES,
    SECRET,
    SHOWN,
    declined,
    demur,
    fails,
    keep,
    lines,
    objects,
    request,
)
from entries import entry, name
from proxy.cli import words
from schemas.labels import Kind, Outcome, Role, Stage, Verdict
from schemas.labels import Result as Ended
from schemas.records import Annotation, Attempt, Entry, Refusal


def test_show_tells_the_facts_in_words(db: Path) -> None:
    keep(db, declined(request(said=f"key {SECRET}")))
    shown = demur("show", "last", db=db).stdout
    for fact in [
        "The API's safeguards declined a request to claude-opus-5 before any output. It ended there.",
        "before output, 0 ms after the request came, HTTP 200, streamed",
        "claude-cli 2.1.197 (sdk-cli), main conversation",
        "11111111-2222-4333-8444-555555555555",
        "lab-sheets",
        "req_1",
        "msg_1",
        "message_delta.stop_reason, confidence 1 (by structure)",
        "the stored request is the sent one, but 1 secret was replaced",
        "unknown: nobody has judged it yet",
        "This request was declined.",
        "tokens: 412 in, 3 out, 9 read from the cache, 7 written to it",
        "What set it off is not known",
        "--content shows the text",
    ]:
        assert fact in shown.replace("\n", " "), fact
    assert "fingerprint" not in shown


def test_show_prints_no_text_of_the_request_unless_it_is_asked_to(db: Path) -> None:
    keep(db, declined(request(said="my own words")))
    for arguments in (["show", "last"], ["show", "last", "--full"], ["show", "last", "--json"]):
        shown = demur(*arguments, db=db).stdout
        for text in (
            "my own words",
            "house rules",
            "line 0",
            "line 0",
            "It works.",
            "You are Claude Code",
            "I see.",
        ):
            assert text not in shown
    assert "my own words" in demur("show", "last", "--content", db=db).stdout


def test_the_map_has_sizes_tools_and_places(db: Path) -> None:
    kept = declined(request())
    keep(db, kept)
    shown = demur("show", "last", db=db, COLUMNS="120").stdout
    size = words.size(sum(segment.bytes for segment in kept.segments))
    assert f"The request: {len(kept.segments)} segments, {size} (of JSON as sent), ~" in shown
    assert " tokens (estimated from the text alone)\n" in shown
    rows = [re.split(r"\s{2,}", line.strip())[1:] for line in shown.splitlines() if line.startswith("  ")]
    assert ["tools", "6: Bash, Edit, Glob, Grep, Read, Write"] in [row[:2] for row in rows]
    assert ["content[0]", "reminder"] in [row[:2] for row in rows]
    assert ["content[1]", "tool use", "Read"] in [row[:3] for row in rows]
    assert ["messages[2]", "tool result", "Read"] in [row[:3] for row in rows]
    assert ["messages[4]", "media", "image/png", "4.1 kB", "~1.5k"] in rows


def test_the_middle_of_a_long_conversation_is_one_row_unless_it_is_new(db: Path) -> None:
    kept = declined(request(turns=40))
    keep(db, kept)
    folded = demur("show", "last", db=db).stdout
    assert "76 messages: --full" in folded
    assert "messages[20]" not in folded
    full = demur("show", "last", "--full", db=db).stdout
    assert all(
        segment.path in full
        for segment in kept.segments
        if not segment.path.startswith(("messages", "tools", "system"))
    )
    assert "messages[20].content[0]" in full
    assert full.count("tool use") == 40
    assert "user-agent: claude-cli/2.1.197" in full


def test_what_is_new_is_marked_and_never_folded(db: Path) -> None:
    kept = declined(request(turns=40))
    for segment in kept.segments:
        segment.new = segment.path.startswith(("messages[21]", "tools[2]"))
    keep(db, kept)
    shown = demur("show", "last", db=db, COLUMNS="120").stdout.splitlines()
    assert "  3 of them were not in the last accepted request of the session" in shown
    (heading,) = [line for line in shown if re.match(r" +\d+-\d+  messages\[21\]", line)]
    assert heading.endswith("  2 new")
    assert next(line for line in shown if "  tools  " in line).endswith("  1 new")
    assert sum(line.endswith("  new") for line in shown) == 2
    assert sum("messages: --full" in line for line in shown) == 2


def test_the_map_has_the_numbers_that_segment_takes(db: Path) -> None:
    kept = declined(request(turns=40))
    keep(db, kept)
    asked = next(segment for segment in kept.segments if segment.path == "messages[0].content[1]")
    for arguments in ([], ["--full"], ["--content"]):
        shown = demur("show", "last", *arguments, db=db).stdout
        assert "the number of a segment, as --segment takes it" in shown
        assert re.search(rf"^ +{asked.n}  .*content\[1\]", shown, re.MULTILINE)
    assert re.search(rf"^ +{kept.segments[0].n}  ", shown, re.MULTILINE)
    assert demur("label", "last", "--segment", asked.n, db=db).exit_code == 0
    assert f"segment {asked.n}" in demur("show", "last", db=db).stdout


def test_a_category_is_explained_where_it_is_told_and_not_among_the_steps(db: Path) -> None:
    keep(db, declined(request()))
    shown = demur("show", "last", db=db).stdout
    assert re.search(r"^category +cyber: malware and exploits$", shown, re.MULTILINE)
    assert "Category cyber" not in shown


def test_content_is_shown_as_it_was_said(db: Path) -> None:
    keep(db, declined(request(said="first line\n\tsecond line", metadata={"user_id": "u"})))
    shown = demur("show", "last", "--content", db=db).stdout
    assert "    │ first line\n    │ \tsecond line\n" in shown
    assert '    │   "file_path": "/src/0.py"' in shown
    assert "    │ line 0\n" in shown
    assert "    │ Hm.\n" in shown
    assert '    │   "name": "Bash",' in shown
    assert "aGVsbG8" not in shown
    assert "(4.0 kB of base64; --json has it)" in shown
    assert "--content shows the text" not in shown


def test_stored_text_cannot_drive_a_terminal(db: Path) -> None:
    kept = declined(request(said=ESCAPES))
    kept.refusals[0].explanation = f"because\n{ESCAPES}"
    for field in (
        "category",
        "project",
        "model",
        "answered_by",
        "client",
        "session_id",
        "message_id",
        "user",
        "domain",
        "at",
    ):
        setattr(kept.refusals[0], field, ESCAPES)
    kept.refusals[0].headers = {"user-agent": ESCAPES}
    kept.segments[1].tool = kept.segments[2].path = kept.segments[3].label = ESCAPES
    kept.attempts = [Attempt(n=0, by=ESCAPES, model=ESCAPES, outcome=Ended.REFUSED, category=ESCAPES)]
    keep(db, kept)
    commands = [["list"], ["list", "--json"], ["show", "last"], ["show", "last", "--json"]]
    commands += [["show", "last", "--content"], ["show", "last", "--full"], ["show", "last", "--content", "--json"]]
    for command in commands:
        result = demur(*command, db=db)
        assert result.exit_code == 0
        assert not re.search(r"[^\n\t -~\xa0-\u1fff\u2010-\u2027\u2030-\u205f\u2190-\ud7ff]", result.output), command
    assert r"\x1b]0;owned\x07\x9b31m\u202e\u200b" in demur("show", "last", "--content", db=db).stdout
    assert json.loads(demur("show", "last", "--json", db=db).stdout)["project"] == ESCAPES


def test_a_name_on_the_command_line_cannot_either(db: Path) -> None:
    keep(db, entry(1))
    assert ESCAPES[0] not in fails(demur("show", "a\x1b[31m\nb", db=db))


def test_json_has_the_record_and_all_that_belongs_to_it(db: Path) -> None:
    kept = declined(request())
    kept.attempts = [Attempt(n=0, by="client", model="claude-opus-5", outcome=Ended.REFUSED, category="cyber")]
    keep(db, kept)
    (shown,) = objects(demur("show", "last", "--json", db=db))
    assert list(shown) == [*Refusal.__struct_fields__, *SHOWN]
    assert shown["exact"] is True
    assert list(shown["segments"][0]) == "n label path tool media bytes tokens_est hash new target pages".split()
    assert [part["path"] for part in shown["segments"]] == [segment.path for segment in kept.segments]
    assert shown["candidates"] == []
    assert {one["name"] for one in shown["annotations"]} <= {"script", "media", "language"}
    assert shown["incident"]["ids"] == [shown["id"]]
    assert all(isinstance(step, str) for step in shown["advice"])
    assert shown["attempts"][0]["by"] == "client"
    assert "authorization" not in shown["headers"]


def test_json_with_content_has_the_request_as_values(db: Path) -> None:
    body = request(said="q")
    keep(db, declined(body))
    (shown,) = objects(demur("show", "last", "--json", "--content", db=db))
    by_path = {part["path"]: part["content"] for part in shown["segments"]}
    sent = json.loads(body)
    assert by_path["system[0]"] == sent["system"][0]
    assert by_path["tools[3]"] == sent["tools"][3]
    assert by_path["messages[0].content[1]"] == {"type": "text", "text": "q"}
    assert by_path["messages[3].content"] == "I see."
    assert by_path["messages[4].content[0]"] == sent["messages"][4]["content"][0]


@pytest.mark.parametrize(
    "stored",
    [b"not json", b'{"a":1,"a":2}', b"[NaN]", b"[1e999]", b"[" * 100_000, b'"\xff"', b"1" * 5000],
    ids=lambda stored: repr(stored[:12]),
)
def test_content_whose_value_would_not_say_the_same_is_given_as_its_text(stored: bytes) -> None:
    assert words.from_json(stored) == stored.decode("utf-8", "backslashreplace")


def test_half_an_emoji_is_passed_on(db: Path) -> None:
    keep(db, declined(request(said="cut \ud83d")))
    (shown,) = objects(demur("show", "last", "--json", "--content", db=db))
    assert shown["segments"][8]["content"]["text"] == "cut \ud83d"
    assert r"cut \ud83d" in demur("show", "last", "--content", db=db).stdout


def test_a_request_that_is_no_json_is_one_segment(db: Path) -> None:
    keep(db, declined(b"no \x1b[31m json"))
    shown = demur("show", "last", "--content", db=db).stdout
    assert "The request: 1 segment, 13 B" in shown
    assert r"    │ no \x1b[31m json" in shown
    assert (
        objects(demur("show", "last", "--content", "--json", db=db))[0]["segments"][0]["content"] == "no \x1b[31m json"
    )


def test_a_request_that_is_not_stored_has_a_map_and_says_so(db: Path) -> None:
    keep(db, declined(request(), content=False))
    result = demur("show", "last", db=db)
    assert "the request is not stored, only its map" in result.stdout
    assert "tools" in result.stdout
    human = demur("show", "last", "--content", db=db)
    assert "(not stored)" in human.stdout
    assert human.stderr == ""
    listed = demur("show", "last", "--content", "--json", db=db)
    assert {segment["content"] for segment in objects(listed)[0]["segments"]} == {None}
    assert listed.stderr == "demur: the text of 14 segments of 14 is not stored: its content is null\n"


def test_text_that_cannot_be_read_is_told_in_one_line(db: Path) -> None:
    keep(db, declined(request()))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("update segments set zstd = x'00'")
    for arguments in (["--content"], ["--content", "--json"]):
        (told,) = demur("show", "last", *arguments, db=db).stderr.splitlines()
        assert "is damaged" in told
    assert "(cannot be read)" in demur("show", "last", "--content", db=db).stdout


@pytest.mark.parametrize("given", ["", " ", "\n"])
def test_an_id_that_is_empty_is_told_in_one_line(db: Path, given: str) -> None:
    keep(db, entry(1))
    assert "an id that `demur list` prints" in fails(demur("show", given, db=db), code=2)


def test_a_refusal_that_came_without_a_request_is_shown(db: Path) -> None:
    keep(db, entry(1))
    assert "Of the request nothing is known." in demur("show", "last", db=db).stdout


@pytest.mark.parametrize("asked", ["last", "01JD000000000000000000000", "01jd000000000000000000000", name(2), "req_2"])
def test_a_refusal_has_many_names(db: Path, asked: str) -> None:
    keep(db, entry(2, request_id="req_2"))
    assert objects(demur("show", asked, "--json", db=db))[0]["id"] == name(2)


def test_the_id_that_list_prints_is_one_that_show_takes(db: Path) -> None:
    keep(db, *(declined(request(), request_id=f"req_{n}") for n in range(5)))
    short = [line.split()[0] for line in lines(demur("list", "--all", db=db))[1:6]]
    assert len({objects(demur("show", asked, "--json", db=db))[0]["id"] for asked in short}) == 5


def test_an_id_that_is_unknown_or_may_mean_two_is_told_in_one_line(db: Path) -> None:
    keep(db, entry(1), entry(2))
    assert "`demur list --all`" in fails(demur("show", "req_none", db=db))
    assert "2 refusals" in fails(demur("show", "01JD", db=db))
    assert "demur doctor" in fails(demur("show", "last", db=db.with_name("none.db")))
    assert not db.with_name("none.db").exists()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"stage": Stage.MID_STREAM}, "in the middle of the answer. It ended there."),
        ({"outcome": Outcome.RECOVERED_BY_API, "answered_by": "m"}, "The API itself then asked m, which answered."),
        ({"outcome": Outcome.RECOVERED_BY_CLIENT}, "The client then asked another model, which answered."),
        ({"outcome": Outcome.UNKNOWN}, "How it ended is not known."),
        ({"kind": Kind.POLICY_ERROR}, "with an error that names a usage policy."),
        (
            {"kind": Kind.OUTPUT_FILTER},
            '(HTTP 400, "output blocked"): another mechanism than a refusal. It ended there.',
        ),
        ({"kind": Kind.OUTPUT_FILTER}, "category output_filter"),
        ({"evidence": "rule:output-blocked"}, "rule:output-blocked, confidence 1 (by wording)"),
        ({"evidence": "rule:soft", "confidence": 0.6}, "confidence 0.6 (by wording)"),
        ({"evidence": "message.stop_reason=x", "confidence": 0.5}, "confidence 0.5 (by structure)"),
        ({"kind": Kind.SOFT_REFUSAL}, "declined a request in its own words."),
        ({"category": "frontier_llm"}, "category frontier_llm"),
        ({"kind": Kind.UNCLASSIFIED}, "fits no rule: look at it yourself."),
        ({"exact": True}, "the stored request is the sent one to the byte"),
        ({"exact": False, "replacements": 3}, "but 3 secrets were replaced"),
        ({"exact": False}, "the stored request is not the sent one to the byte"),
        ({"tags": ["a", "b"], "domain": "security"}, "a, b"),
        ({"role": Role.SUBAGENT}, "an unknown client, sub-agent"),
        ({"verdict": Verdict.FALSE_POSITIVE}, "false positive"),
        ({"at": "long ago"}, "long ago"),
        ({"explanation": "one\n\ntwo"}, "one"),
    ],
    ids=str,
)
def test_every_fact_has_its_words(db: Path, fields: dict[str, Any], told: str) -> None:
    keep(db, entry(1, **{"outcome": Outcome.REFUSED, "stage": Stage.BEFORE_OUTPUT, **fields}))
    assert told in " ".join(demur("show", "last", db=db).stdout.split())
    assert demur("list", db=db).exit_code == 0


def test_every_value_of_a_vocabulary_has_its_words() -> None:
    assert set(words.STAGES) == set(Stage)
    assert set(words.OUTCOMES) == set(Outcome)
    assert set(words.ROLES) == set(Role)
    assert set(words.VERDICTS) == set(Verdict)


def test_mid_stream_is_shown_from_a_real_answer(db: Path) -> None:
    keep(db, declined(request(), MID))
    assert "mid-stream" in lines(demur("list", db=db))[1]


def test_words_that_an_annotation_rests_on_are_shown_only_where_text_is_asked_for(db: Path) -> None:
    kept = declined(request())
    found = Annotation(name="domain", value="security", confidence=0.6, evidence=["shellcode"])
    keep(db, kept, Entry(annotations={kept.refusals[0].id: [found]}))
    assert "perhaps security" in demur("show", "last", db=db).stdout
    for option in ("--full", "--json"):
        assert "shellcode" not in demur("show", "last", option, db=db).output
        assert "shellcode" in demur("show", "last", "--content", option, db=db).stdout
