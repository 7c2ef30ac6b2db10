"""Labels, targets and identities of what Claude Code sends, in shapes that 2.1.197 and 2.1.330 sent to a pretend API."""

import base64
import json
from typing import Any

import pytest

from proxy.core.calls import size
from proxy.core.context import split
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from schemas.labels import Label
from schemas.records import Segment

PDF = b"%PDF-1.4 2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>endobj 3 0 obj<</Type/Page>>endobj 4 0 obj<</Type/Page>>endobj"
MEMORY = (
    "Codebase and user instructions are shown below. Be sure to adhere to these instructions.\n\n"
    "Contents of /w/CLAUDE.md (project instructions, checked into the codebase):\n\nBe brief.\n"
)
GIT = "This is the git status at the start of the conversation.\n\nCurrent branch: master\n"
MCP = "# MCP Server Instructions\n\nThe following MCP servers have provided instructions:\n\n## weather\nUse it.\n"
SKILLS = "The following skills are available for use with the Skill tool:\n\n- dance: how to dance\n"
CONTEXT = "As you answer the user's questions, you can use the following context:\n"


def reminder(text: str) -> str:
    return f"<system-reminder>\n{text}\n</system-reminder>\n"


def text(said: str) -> dict[str, object]:
    return {"type": "text", "text": said}


def call(name: str, tool: str, **given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": name, "name": tool, "input": given}


def result(name: str, content: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": name, "content": content}


def document(data: bytes = PDF) -> dict[str, object]:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}
    return {"type": "document", "source": source}


def image() -> dict[str, object]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def segments(*messages: tuple[str, object]) -> list[Segment]:
    body = {"messages": [{"role": role, "content": content} for role, content in messages]}
    return split(json.dumps(body).encode(), Redactor()).segments


def only(role: str, content: object) -> Segment:
    (segment,) = segments((role, content))
    return segment


def about(segment: Segment) -> tuple[Any, ...]:
    return segment.tool, segment.target, segment.media, segment.pages


@pytest.mark.parametrize(
    ("role", "said", "label"),
    [
        # 2.1.197, and in user turns of models that take no system messages
        (
            "user",
            reminder(CONTEXT + "# claudeMd\n" + MEMORY + "# currentDate\nToday's date is 2026-11-24."),
            Label.MEMORY,
        ),
        ("user", reminder(CONTEXT + "# currentDate\nToday's date is 2026-11-24."), Label.ENVIRONMENT),
        ("user", reminder("SessionStart:startup hook success: loaded"), Label.HOOK),
        ("user", reminder("UserPromptSubmit hook success: noted"), Label.HOOK),
        ("user", reminder("PostToolUse:mcp__weather__look hook additional context: rain"), Label.HOOK),
        ("user", reminder(MCP), Label.MCP),
        ("user", reminder(SKILLS), Label.REMINDER),
        ("user", reminder("The task tools haven't been used recently."), Label.REMINDER),
        ("user", reminder("Contents of /w/sub/CLAUDE.md:\n\nIn sub.\n"), Label.MEMORY),
        ("user", reminder("The date has changed. Today's date is now 2026-11-25."), Label.ENVIRONMENT),
        # 2.1.330
        ("user", reminder(MEMORY), Label.MEMORY),
        ("user", reminder(CONTEXT + "# gitStatus\n" + GIT), Label.ENVIRONMENT),
        ("user", reminder('Called the Read tool with the following input: {"file_path":"/w/x.md"}'), Label.REMINDER),
        ("user", reminder("Result of calling the Read tool:\n1\t# x\n# Environment\n"), Label.REMINDER),
        # both, of role system
        ("system", f"SessionStart:startup hook success: loaded\n\n{MCP}\n\n{SKILLS}", Label.HOOK),
        ("system", f"Available agent types for the Agent tool:\n- Plan\n\n{MCP}\n\n{SKILLS}", Label.MCP),
        (
            "system",
            f"# Environment\nYou have been invoked.\n\n{SKILLS}\n\nToday's date is 2026-11-24.",
            Label.ENVIRONMENT,
        ),
        ("system", SKILLS, Label.SYSTEM_MESSAGE),
        ("system", "<total_tokens>14999987 tokens left</total_tokens>", Label.SYSTEM_MESSAGE),
        ("system", "Contents of /w/sub/CLAUDE.md:\n\nIn sub.\n", Label.MEMORY),
        ("system", [text("PostToolUse:Bash hook additional context: x")], Label.HOOK),
        # what others say of these things
        ("user", "# claudeMd\n" + MEMORY, Label.USER_TEXT),
        ("user", "a hook success: x", Label.USER_TEXT),
        ("assistant", reminder(MEMORY), Label.ASSISTANT_TEXT),
        ("system", "Use the hook success: x", Label.SYSTEM_MESSAGE),
    ],
)
def test_what_the_client_inserts_is_known_by_its_words(role: str, said: object, label: Label) -> None:
    assert only(role, said).label == label


def test_the_system_prompt_stays_one_whatever_it_holds() -> None:
    (segment,) = split(json.dumps({"system": f"You are.\n# Environment\ngitStatus: {GIT}"}).encode(), None).segments
    assert segment.label == Label.SYSTEM


def test_what_the_client_adds_is_not_what_the_user_asked() -> None:
    bare = fingerprint(segments(("user", "do it")))
    added = [text(reminder(said)) for said in (MEMORY, MCP, CONTEXT + "# gitStatus\n" + GIT, "Stop hook feedback: no")]
    assert fingerprint(segments(("user", [*added, text("do it")]))) == bare
    assert fingerprint(segments(("user", "do it"), ("system", MCP))) == bare


def test_the_text_of_a_skill_belongs_to_the_skill() -> None:
    found = segments(
        ("assistant", [call("t", "Skill", skill="dance")]),
        (
            "user",
            [result("t", "Launching skill: dance"), text("Base directory for this skill: /h/skills/dance\n\nDance.\n")],
        ),
    )
    assert [(one.label, *about(one)[:2]) for one in found[1:]] == [
        (Label.TOOL_RESULT, "Skill", None),
        (Label.REMINDER, "Skill", "/h/skills/dance"),
    ]


def test_a_file_that_the_user_named_has_the_tool_and_the_path() -> None:
    """2.1.330, and 2.1.197 for models that take no system messages."""
    named = 'Called the Read tool with the following input: {"file_path":"/w/notes.md"}'
    read = "Result of calling the Read tool:\n1\tnotes"
    found = segments(("user", [text(reminder(said)) for said in (named, read, "Result of calling the Bash tool:\nx")]))
    assert [(one.label, *about(one)[:2]) for one in found] == [
        (Label.REMINDER, "Read", "/w/notes.md"),
        (Label.REMINDER, "Read", "/w/notes.md"),
        (Label.REMINDER, "Bash", None),
    ]
    assert about(only("system", f"{named}\n{read}\n\n{SKILLS}"))[:2] == ("Read", "/w/notes.md")
    for odd in ("{x}", "{" + '"a":[' * 9999 + "}"):
        assert about(only("system", f"Called the Read tool with the following input: {odd}"))[:2] == ("Read", None)


# ---- targets


def test_a_result_has_the_tool_and_the_target_of_its_call() -> None:
    found = segments(
        ("assistant", [call("a", "Read", file_path="/w/a.py"), call("b", "Bash", command="git log -3")]),
        ("user", [result("b", "abc first"), result("a", [text("1\tprint(1)")]), result("c", "whose?")]),
    )
    assert [about(one)[:2] for one in found] == [
        ("Read", "/w/a.py"),
        ("Bash", "git log"),
        ("Bash", "git log"),
        ("Read", "/w/a.py"),
        (None, None),
    ]


def test_no_secret_stands_in_a_target() -> None:
    key = "sk-" + "ant-api03-" + "Ab1_" * 20
    (one,) = segments(("assistant", [call("a", "Read", file_path=f"/w/{key}")]))
    assert one.target == "/w/[redacted:anthropic-key]"


# ---- what a Read of a PDF brings


READ_TWO = [
    call("a", "Read", file_path="/w/scan.pdf"),
    call("b", "Read", file_path="/w/two.pdf"),
    call("c", "Read", file_path="/w/p.png"),
]


def test_a_pdf_within_the_result_is_told_of_with_it() -> None:
    """2.1.330."""
    found = segments(
        ("assistant", READ_TWO),
        ("user", [result("c", [image()]), result("a", [text("PDF file read: /w/scan.pdf (112 bytes)"), document()])]),
    )
    assert [(one.label, *about(one)) for one in found[3:]] == [
        (Label.TOOL_RESULT, "Read", "/w/p.png", "image/png", None),
        (Label.TOOL_RESULT, "Read", "/w/scan.pdf", "application/pdf", 2),
    ]


def test_a_pdf_behind_the_results_belongs_to_the_one_that_announced_it() -> None:
    """2.1.197."""
    two = PDF + b"%"
    read = [result("c", [image()]), result("a", f"PDF file read: /w/scan.pdf ({len(PDF)} bytes)")]
    read.append(result("b", f"PDF file read: /w/two.pdf ({len(two)} bytes)"))
    found = segments(("assistant", READ_TWO), ("user", [*read, document(PDF), document(two)]))
    assert [(one.label, *about(one)) for one in found[4:]] == [
        (Label.TOOL_RESULT, "Read", "/w/scan.pdf", None, None),
        (Label.TOOL_RESULT, "Read", "/w/two.pdf", None, None),
        (Label.MEDIA, "Read", "/w/scan.pdf", "application/pdf", 2),
        (Label.MEDIA, "Read", "/w/two.pdf", "application/pdf", 2),
    ]
    # in a later turn the first document was missing
    *_, last = segments(("assistant", READ_TWO), ("user", [*read, document(two)]))
    assert about(last)[:2] == ("Read", "/w/two.pdf")


def test_pages_that_were_extracted_are_images_behind_the_result() -> None:
    """2.1.197, by its strings."""
    found = segments(
        ("assistant", [READ_TWO[0]]),
        ("user", [result("a", "PDF pages extracted: 2 page(s) from /w/scan.pdf (3.4MB)"), image(), image(), image()]),
    )
    assert [about(one)[:2] for one in found[1:]] == [("Read", "/w/scan.pdf")] * 3 + [(None, None)]


def test_what_nobody_announced_is_the_users() -> None:
    announced = result("a", f"PDF file read: /w/scan.pdf ({len(PDF)} bytes)")
    other = segments(("assistant", READ_TWO), ("user", [announced, document(PDF + b"more"), image()]))
    assert [about(one)[:2] for one in other[-2:]] == [(None, None)] * 2
    later = segments(("assistant", READ_TWO), ("user", [announced]), ("assistant", "I see."), ("user", [document()]))
    assert about(later[-1]) == (None, None, "application/pdf", 2)


def test_a_document_that_is_no_pdf_has_no_pages() -> None:
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    assert about(only("user", [plain])) == (None, None, "text/plain", None)
    bare = {"type": "document", "source": {"type": "url", "url": "https://h/x.pdf"}}
    assert about(only("user", [result("t", [bare])])) == (None, None, None, None)
    empty = {"type": "document", "source": {"media_type": "application/pdf"}}
    assert about(only("user", [empty])) == (None, None, "application/pdf", None)


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1KB"),
        (1280, "1.3KB"),
        (1331, "1.3KB"),
        (1024 * 1024 - 1, "1024KB"),
        (2 << 20, "2MB"),
        (3 << 30, "3GB"),
    ],
)
def test_a_size_is_written_as_claude_code_writes_it(n: int, said: str) -> None:
    """``t.toFixed(1)`` of JavaScript, without ``.0``; rounded up at the half."""
    assert size(n) == said


# ---- identity


@pytest.mark.parametrize(
    ("role", "first", "second"),
    [
        (
            "user",
            reminder("# currentDate\nToday's date is 2026-11-24."),
            reminder("# currentDate\nToday's date is 2026-11-25."),
        ),
        ("user", reminder("# claudeMd\nToday's date is Tuesday."), reminder("# claudeMd\nToday's date is Wednesday.")),
        (
            "user",
            reminder("Stop hook feedback: at 2026-11-24T10:00:01.5Z"),
            reminder("Stop hook feedback: at 2026-11-25T09:11:02Z"),
        ),
        ("system", "Today's date is 2026-11-24.", "Today's date is 2026-11-25."),
        (
            "system",
            [text("a\n\n<total_tokens>15 tokens left</total_tokens>")],
            "a\n\n<total_tokens>7 tokens left</total_tokens>",
        ),
        ("system", f"{MCP}\n\nToday's date is 2026-11-24.", f"{MCP}\n\nToday's date is 2026-11-25."),
        # 2.1.197: what a hook had printed, once the session is resumed
        (
            "user",
            [result("a", "abc first")],
            [result("a", f"abc first\n\n{reminder('PostToolUse:Bash hook success: x').rstrip()}")],
        ),
    ],
)
def test_what_the_client_changes_by_itself_makes_nothing_new(role: str, first: object, second: object) -> None:
    assert only(role, first).hash == only(role, second).hash


@pytest.mark.parametrize(
    ("role", "first", "second"),
    [
        ("user", "due 2026-11-24", "due 2026-11-25"),
        ("assistant", "due 2026-11-24", "due 2026-11-25"),
        ("user", [result("a", "due 2026-11-24")], [result("a", "due 2026-11-25")]),
        ("user", [result("a", "x")], [result("a", "x\n<system-reminder>\ny\n</system-reminder>")]),
        ("user", [result("a", "x")], [result("a", "x\n\n<system-reminder>\ny\n</system-reminder>z")]),
        ("user", [result("a", None)], [result("a", [])]),
        ("user", reminder("a 2026-11-24"), reminder("b 2026-11-24")),
        ("user", [text("a")], [{**text("a"), "citations": []}]),
    ],
)
def test_what_was_said_otherwise_is_new(role: str, first: object, second: object) -> None:
    assert only(role, first).hash != only(role, second).hash


def test_a_text_block_with_more_members_is_known_without_its_cache_breakpoints() -> None:
    more = {**text("a"), "citations": [{"title": "t", "cache_control": {"type": "ephemeral"}}]}
    same = {**text("a"), "citations": [{"title": "t"}], "cache_control": {"type": "ephemeral"}}
    assert only("user", [more]).hash == only("user", [same]).hash
