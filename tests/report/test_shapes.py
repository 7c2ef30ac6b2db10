"""The facts in their shapes: what the templates ask for, and what no text of others can break out of."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from entries import refusal
from proxy.core.burst import Burst
from proxy.core.costs import Cost
from proxy.core.known import Known
from proxy.dossier import Dossier
from proxy.elsewhere import Accepted, Declined, Pair
from proxy.report import SHAPES, written
from proxy.report.channels import channels
from proxy.report.facts import title
from proxy.report.markdown import MOST, behavior, fenced, issue
from proxy.report.pack import Excerpt, Extra, Level, Pack
from proxy.report.packing import pack
from proxy.report.personal import Machine, known, machine
from proxy.report.sources import Sources
from schemas.labels import Kind, Outcome, Result, Stage, Verdict
from schemas.records import Annotation, Attempt, Judgement, Located, Refusal, Segment, Trial
from schemas.settings import Redact, Settings


def segment(n: int, **fields: Any) -> Segment:
    given: dict[str, Any] = {
        "label": "tool_result",
        "path": f"messages[{n}]",
        "bytes": 14_000,
        "tokens_est": 9,
        "hash": "b2:ab",
        "content": "b2:ab",
    }
    return Segment(n=n, **(given | fields))


def dossier(
    n: int = 1, segments: tuple[Segment, ...] = (), *, more: dict[str, Any] | None = None, **fields: Any
) -> Dossier:
    one: Refusal = refusal(n, **({"model": "claude-opus-5", "category": "cyber", "request_id": f"req_{n:04}"} | fields))
    given: dict[str, Any] = {
        "refusal": one,
        "segments": list(segments),
        "candidates": list(segments),
        "since_turn": None,
        "attempts": [],
        "rephrasings": [],
        "incident": [one],
        "annotations": [],
        "judgements": [],
        "trials": [],
        "located": [],
        "cost": Cost(),
        "burst": Burst(count=0, expected=0.0, probability=1.0),
        "despite_exemption": False,
        "about": "",
        "advice": [],
        "links": [],
    }
    return Dossier(**(given | (more or {})))


def unfolded(text: str) -> str:
    """Without the ends of lines: a mail has short ones."""
    return " ".join(text.split())


def hide(kind: str, value: str, why: str) -> str:
    return f"<{kind}:{len(value)}>"


def packed(*dossiers: Dossier, level: Level = Level.METADATA, **more: Any) -> Pack:
    return pack(dossiers or (dossier(),), level, hide, machine=Machine("macOS", "iTerm2"), **more)


RICH = dossier(
    segments=(
        segment(3, tool="Read", target="/x/scan.pdf", media="application/pdf", pages=3),
        segment(4, tool="mcp__acme__look", target=None),
        segment(5, label="tool_use", tool="Bash"),
        segment(6, label="tool_use", tool="mcp__acme__look"),
    ),
    explanation="Declined ``` here",
    stage=Stage.MID_STREAM,
    ms_to_refusal=812,
    output_tokens=3,
    status=200,
    streamed=True,
    role="subagent",
    agent_id="agent-1",
    session_id="s-1",
    turn=4,
    history="grown",
    accepted_at="2099-11-23T13:00:00.000Z",
    accepted_model="claude-opus-4-8",
    accepted_version="2.1.100",
    accepted_request_id="req_0000",
    accepted_turn=3,
    answered_by="claude-opus-4-8",
    outcome=Outcome.RECOVERED_BY_CLIENT,
    client="claude-cli",
    client_version="2.1.330",
    entrypoint="cli",
    message_id="msg_0001",
    verdict=Verdict.FALSE_POSITIVE,
    domain="life_science",
    headers={"anthropic-beta": "context-1m-2025-08-07"},
    more={
        "attempts": [
            Attempt(n=0, by="client", model="claude-opus-5", outcome=Result.REFUSED),
            Attempt(
                n=1,
                by="demur",
                model="claude-sonnet-5",
                outcome=Result.REFUSED,
                category="cyber",
                request_id="req_0009",
            ),
            Attempt(n=2, by="client", model=None, outcome=Result.ANSWERED),
        ],
        "annotations": [Annotation(name="domain", value="life_science", evidence=["plasmid (messages[0])"])],
        "judgements": [
            Judgement(refusal_id="x", at="x", author="a", verdict=Verdict.FALSE_POSITIVE, note="Reading my own scan.")
        ],
        "trials": [
            Trial(refusal_id="x", at="x", purpose="replay", model="claude-opus-5", outcome=Result.REFUSED),
            Trial(refusal_id="x", at="x", purpose="replay", model="claude-opus-5", outcome=Result.ANSWERED),
            Trial(refusal_id="x", at="x", purpose="replay", model="claude-opus-5", outcome=Result.ERROR),
            Trial(refusal_id="x", at="x", purpose="locate", model="claude-opus-5", outcome=Result.REFUSED),
        ],
        "located": [
            Located(refusal_id="x", at="x", model="claude-opus-5", settled=False, parts=["messages[3]"], trials=9)
        ],
        "cost": Cost(input_tokens=412, cache_read_tokens=9, attempts=2, ms=4900),
        "despite_exemption": True,
    },
)
PAIR = Pair(
    asked="b2:1",
    declined_by="claude-opus-5",
    accepted_by="claude-sonnet-5",
    categories={"cyber": None, None: None},
    declined={Declined("1", "req_0001", "2099-11-23T14:00:01.324Z", "claude-opus-5"): None},
    accepted={Accepted(None, None, "claude-sonnet-5", "client"): None},
)
FIELDS = (
    "req_0001 msg_0001 2099-11-23T14:00:01.324Z claude-opus-5 claude-opus-4-8 cyber mid-stream|mid_stream 812 subagent claude-cli 2.1.330 cli"
    " 2099-11-23T13:00:00.000Z 2.1.100 req_0000 req_0009 b2:ab 14000 application/pdf 412 false life_science messages[3] 2026-11-01"
).split()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_what_a_good_report_needs(shape: str) -> None:
    text = SHAPES[shape](packed(RICH, pairs=[PAIR], exemption="2026-11-01", poisoned=["req_0001"]))
    assert [field for field in FIELDS if not any(one in text for one in field.split("|"))] == []
    assert "scan.pdf" not in text
    assert "acme" not in text
    assert "plasmid" not in text
    assert "Reading my own scan." in text


@pytest.mark.parametrize("shape", SHAPES)
def test_little_is_known_and_little_is_said(shape: str) -> None:
    bare = dossier(request_id=None, model=None, category=None)
    text = SHAPES[shape](packed(bare))
    assert "2099-11-23T14:00:01.324Z" in text
    assert "None" not in text.replace("None is named", "")


def test_titles_are_built_from_class_and_category_alone() -> None:
    made = packed(dossier(1), dossier(2), dossier(3, category="Zebra: my words"), dossier(4, kind=Kind.OUTPUT_FILTER))
    assert title(made) == (
        "Request declined by the API's safeguards: refusal, category cyber; refusal, category other; output_filter"
    )
    assert title(packed(dossier(category=None))).endswith("category none")


def test_repeats_are_told_from_distinct_ones() -> None:
    made = packed(
        dossier(2, asked="a", incident_id="i"), dossier(1, asked="a", incident_id="i"), dossier(3, incident_id="j")
    )
    text = issue(made)
    assert "Refusals: 3, in 2 incidents (of 3 the session is not known)" in text
    assert "Distinct contents: 2, by what was newest in each (of 1 it is not known and counts as one)" in text
    assert "Said before: 1 said what an earlier one had said, or added nothing to what had been accepted" in text
    assert [event.request_id for event in made.events] == ["req_0001", "req_0002", "req_0003"]


@pytest.mark.parametrize("shape", ["issue", "behavior", "mail", "exhibit"])
def test_what_holds_for_each_of_several_is_told_once(shape: str) -> None:
    same = {
        "explanation": "Declined as it is.",
        "role": "subagent",
        "client_version": "2.1.330",
        "client": "claude-cli",
    }
    cost = {"cost": Cost(input_tokens=400, attempts=1)}
    made = [dossier(n, (segment(3),), more=cost, **same) for n in (1, 2)] + [
        dossier(3, (segment(4),), more=cost, **same)
    ]
    text = SHAPES[shape](packed(*made))
    for once in ("Declined as it is.", "The same for each of them", "b2:ab", "Operating"):
        assert text.count(once) == (2 if once == "b2:ab" else 1), once
    assert text.count("subagent") == (1 if shape != "exhibit" else 4)
    assert text.count("(as for refusal 1)") == (1 if shape in ("issue", "behavior") else 3)
    assert all(text.count(f"req_000{n}") >= 1 for n in (1, 2, 3))
    assert "1200 in" in text
    assert "The same for each" not in SHAPES[shape](packed(made[0]))


def test_of_cyber_it_is_told_that_no_exemption_is_named() -> None:
    assert "Exemption: none that its owner names" in issue(packed(dossier()))
    assert "Exemption" not in issue(packed(dossier(category="bio")))
    assert "none that its owner" not in issue(packed(dossier(), exemption="2026-11-01"))


def test_what_others_wrote_makes_no_line_of_its_own_and_stands_in_a_fence() -> None:
    evil = dataclasses.replace(PAIR, declined_by="x](https://evil.example) @someone <img>")
    text = issue(packed(dossier(category="cyber\nRequest id: req_9999 @someone"), pairs=[evil]))
    assert "\nRequest id: req_9999" not in text
    outside = "".join(text.split("```")[::2])
    assert "@someone" not in outside
    assert "evil.example" not in outside


def test_ids_say_no_more_than_ids() -> None:
    made = packed(
        RICH,
        level=Level.IDS,
        exemption="2026-11-01",
        extras={RICH.refusal.id: Extra(excerpts=[Excerpt(n=1, kind="x", text="y")])},
    )
    assert made.exemption is made.system is None
    event = made.events[0]
    assert event.explanation is event.session is None
    assert not any((event.excerpts, event.candidates, event.notes))


def test_an_excerpt_is_told_at_its_level_alone() -> None:
    extras = {RICH.refusal.id: Extra(excerpts=[Excerpt(n=3, kind="tool_result", text="the text\n```\n@everyone")])}
    assert "the text" not in issue(packed(RICH, extras=extras))
    for shape in SHAPES.values():
        assert "the text" in shape(packed(RICH, level=Level.EXCERPTS, extras=extras))
    assert "### What You Asked Claude to Do\n\nSegment 3" in behavior(packed(RICH, level=Level.EXCERPTS, extras=extras))


@pytest.mark.parametrize("text", ["plain", "```\nout", "a ````` b", "`"])
def test_no_text_can_end_its_fence(text: str) -> None:
    opening, *_, closing = fenced(text).split("\n")
    assert opening == f"{closing}text"
    assert closing not in text


def test_what_was_new_is_told_as_a_candidate_and_never_as_the_cause() -> None:
    for name in ("issue", "behavior", "mail"):
        text = " ".join(SHAPES[name](packed(RICH)).split())
        assert "application/pdf" in text, name
        assert re.search(r"candidates?, never the cause", text), name
    for name, shape in SHAPES.items():
        assert not re.search(r"(?<!never the )(?<!be)cause", shape(packed(RICH))), name


def test_many_candidates_are_counted() -> None:
    text = issue(packed(dossier(segments=tuple(segment(n) for n in range(20)))))
    assert text.count("segment ") == 12
    assert "and 8 more" in text


@pytest.mark.parametrize(
    ("fields", "heading", "told"),
    [
        ({"request_id": "req_vrtx_0001"}, "Platform", "Google Vertex AI"),
        ({"model": "us.anthropic.claude-opus-5"}, "Platform", "AWS Bedrock"),
        ({"message_id": "msg_bdrk_0001"}, "Platform", "AWS Bedrock"),
        ({"message_id": "msg_vrtx_0001"}, "Platform", "Google Vertex AI"),
        ({}, "Platform", "not recorded"),
        ({"client": "claude-cli", "client_version": "2.1.330"}, "Claude Code Version", "```text\n2.1.330"),
        ({"client": "anthropic-python", "client_version": "0.50.1"}, "Claude Code Version", "```text\nnot known"),
        ({"model": "claude-sonnet-5"}, "Claude Model", "Sonnet (default)\n"),
        ({"model": "claude-haiku-4-5"}, "Claude Model", "Other\n"),
        ({"model": "claude-fable-5"}, "Claude Model", "Other\n"),
        ({"model": None}, "Claude Model", "Not sure / Multiple models"),
        ({"entrypoint": "sdk-cli"}, "Terminal/Shell", "Non-interactive/CI environment"),
        ({"entrypoint": "cli"}, "Terminal/Shell", "iTerm2 (of the machine that this report was made on)"),
    ],
)
def test_what_the_template_lets_choose_is_chosen(fields: dict[str, Any], heading: str, told: str) -> None:
    assert f"### {heading}\n\n{told}" in issue(packed(dossier(**fields)))


@pytest.mark.parametrize(
    ("model", "told"),
    [("claude-sonnet-5", "Sonnet"), ("claude-haiku-4-5", "Haiku"), ("claude-fable-5", "Other"), (None, "Not sure")],
)
def test_the_other_template_lets_choose_other_models(model: str | None, told: str) -> None:
    assert f"### Claude Model\n\n{told}\n" in behavior(packed(dossier(model=model)))


FORMS = {
    "issue": (
        "Preflight Checklist; What's Wrong?; What Should Happen?; Error Messages/Logs; Steps to Reproduce; Claude Model; Is this a regression?;"
        " Last Working Version; Claude Code Version; Platform; Operating System; Terminal/Shell; Additional Information"
    ),
    "behavior": (
        "Preflight Checklist; Type of Behavior Issue; What You Asked Claude to Do; What Claude Actually Did; Expected Behavior;"
        " Permission Mode; Can You Reproduce This?; Steps to Reproduce; Claude Model; Relevant Conversation; Impact; Claude Code Version;"
        " Platform; Additional Context"
    ),
}
"""The labels of what is filled in, in the order of the forms."""


@pytest.mark.parametrize("shape", FORMS)
def test_the_headings_are_the_labels_of_the_form_in_its_order(shape: str) -> None:
    headings = [line[4:] for line in SHAPES[shape](packed(RICH)).splitlines() if line.startswith("### ")]
    assert headings == FORMS[shape].split("; ")


@pytest.mark.parametrize("shape", FORMS)
@pytest.mark.parametrize("n", [2, 150])
def test_what_an_issue_has_no_room_for_is_told_in_short(shape: str, n: int) -> None:
    made = packed(*(dossier(k, tuple(segment(s, bytes=s * 1000 + k) for s in range(9))) for k in range(n)))
    text = SHAPES[shape](made)
    assert len(text) <= MOST
    assert all(event.request_id in text and event.at in text for event in made.events)  # type: ignore[operator]
    assert ("In short, as an issue has no room" in text) == (n > 2)
    assert f"Refusal: {min(n, 20)} of {n}" in text


@pytest.mark.parametrize("shape", ["mail", "exhibit"])
def test_a_mail_has_short_lines_and_whole_ids(shape: str) -> None:
    said = "ward " * 90 + "x" * 2000 + "\n\n" + "  indented\t\u4e2d\u6587 " * 40
    one = dossier(explanation=said, request_id="req_" + "0" * 60, segments=(segment(1),))
    text = SHAPES[shape](packed(one, level=Level.METADATA))
    assert "req_" + "0" * 60 in text
    long = [line for line in text.splitlines() if len(line) > 78]
    assert max(map(len, long)) < 260
    assert all(any(len(word) > 36 for word in line.split()) or line.startswith("  1. ") for line in long), long
    assert text.replace("  | ", "").count("ward") == 90
    assert text.count("x" * 80) >= 8
    named = SHAPES[shape](packed(dossier(model=None, explanation="ask claude-opus-4-8, " * 40)))
    assert named.count("claude-opus-4-8,") == 40
    blank = SHAPES[shape](packed(dossier(explanation=" " * 200)))
    assert "In the API's own words:\n  |\n" in blank


@pytest.mark.parametrize(
    ("entrypoint", "terminal", "told"),
    [
        ("sdk-cli", "Other", "Non-interactive/CI environment"),
        ("cli", "Other", "not recorded"),
        (None, "Other", "not recorded"),
        ("cli", "Warp", "Warp (of the machine that this report was made on)"),
    ],
)
def test_platform_and_terminal_are_told_where_they_are_known_and_alike_in_every_shape(
    entrypoint: str | None, terminal: str, told: str
) -> None:
    machine_ = Machine("macOS", terminal)
    made = pack([dossier(entrypoint=entrypoint)], Level.METADATA, hide, machine=machine_)
    assert made.terminal == told
    assert made.platform == "not recorded"
    for name, shape in SHAPES.items():
        text = unfolded(shape(made))
        assert told in text or name == "behavior"  # its form does not ask for it
        assert "not recorded" in text
        assert "Anthropic API" not in text
    for shape in (issue, behavior):
        assert "not told at the level ids" in shape(pack([dossier()], Level.IDS, hide, machine=machine_))
    two = pack([dossier(1, request_id="req_vrtx_1"), dossier(2)], Level.METADATA, hide, machine=machine_)
    assert two.platform == "Google Vertex AI, not recorded"


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_transcript_told_of_a_request_is_not_the_request(shape: str) -> None:
    parts = (segment(0, label="user_text"), segment(1))
    told = dossier(segments=parts, source="transcript", sources=["transcript"])
    text = SHAPES[shape](packed(told))
    assert "28000" not in text
    assert ("from a transcript: 2 parts" in text) == (shape != "json")
    assert ('"known_parts": 2' in text) == (shape == "json")
    whole = (segment(0, label="system", path="system[0]"), *parts)
    for fields in ({"sources": ["transcript", "gateway"], "segments": whole}, {"segments": parts}):
        assert "28000" in SHAPES[shape](packed(dossier(**fields))).replace("42000", "28000")


def test_what_is_not_known_of_all_is_not_told_of_all() -> None:
    known, unknown = dossier(1, more={"cost": Cost(input_tokens=400)}), dossier(2)
    assert "Cost in tokens, of all: 400 in (it is known of 1 of 2)" in issue(packed(known, unknown))
    assert "Cost in tokens: 400 in; 1 attempt" in issue(packed(known))
    heard = dossier(sources=["transcript"], more={"cost": Cost(input_tokens=400)})
    assert "Cost in tokens: 400 in\n" in issue(packed(heard))


def test_one_segment_is_one() -> None:
    assert "Request: 1 segment, 14000 bytes" in issue(packed(dossier(segments=(segment(0),))))
    one = dossier(segments=(segment(0),), source="transcript")
    assert "Known of the request: from a transcript: 1 part" in issue(packed(one))


def test_what_may_be_none_is_not_called_a_refusal() -> None:
    for kind in (Kind.UNCLASSIFIED, Kind.SOFT_REFUSAL):
        made = packed(dossier(kind=kind))
        for shape in ("issue", "behavior", "mail", "exhibit"):
            text = SHAPES[shape](made)
            assert "that may have been declined" in text
            assert "safeguards declined" not in text
            assert "declined by the API's safeguards: " not in text.replace(
                "may have been declined by the API's safeguards: ", ""
            )


def test_what_another_model_did_is_no_reproduction() -> None:
    trial = Trial(refusal_id="x", at="x", purpose="replay", model="claude-sonnet-5", outcome=Result.ANSWERED)
    text = behavior(packed(dossier(more={"trials": [trial]})))
    assert "Haven't tried to reproduce" in text
    assert "Sent again: to claude-sonnet-5: declined 0 of 1" in text


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([], "Haven't tried to reproduce"),
        ([Result.REFUSED], "Yes, every time"),
        ([Result.ANSWERED], "No, only happened once"),
        ([Result.REFUSED, Result.ANSWERED], "Sometimes"),
    ],
)
def test_whether_it_can_be_reproduced_is_what_was_tried(outcomes: list[Result], told: str) -> None:
    model = "claude-opus-5"
    trials = [Trial(refusal_id="x", at="x", purpose="replay", model=model, outcome=outcome) for outcome in outcomes]
    text = behavior(packed(dossier(more={"trials": trials})))
    assert f"### Can You Reproduce This?\n\n{told}" in text


def test_no_refusal_is_presented_as_a_false_positive_unless_a_person_said_so() -> None:
    assert "Claude refused a reasonable request" in behavior(packed(RICH))
    for verdict in (Verdict.CORRECT, Verdict.UNKNOWN, Verdict.UNSURE):
        text = behavior(packed(dossier(verdict=verdict)))
        assert "reasonable" not in text
        assert "false positive" not in text


def test_what_was_located_is_told_with_its_doubt() -> None:
    nothing = Located(refusal_id="x", at="x", model="m", settled=True, trials=3)
    settled = replace(nothing, parts=["messages[1]"])
    assert "searched with m, 3 requests: nothing was found" in issue(packed(dossier(more={"located": [nothing]})))
    assert "accepted by m without messages[1] (3 requests)" in issue(
        packed(dossier(more={"located": [nothing, settled]}))
    )
    assert "9 requests, not settled" in issue(packed(RICH))


def test_json_is_json() -> None:
    assert json.loads(SHAPES["json"](packed(RICH)))["events"][0]["request_id"] == "req_0001"


@pytest.mark.parametrize(
    ("kind", "category", "exempt", "named"),
    [
        ("refusal", "cyber", False, "cyber-use-case"),
        ("refusal", "cyber", True, "appeal"),
        ("refusal", "frontier_llm", False, "commercial-terms"),
        ("refusal", None, False, "legal/aup"),
        ("output_filter", None, False, "10023638"),
        ("policy_error", None, False, "/feedback"),
    ],
)
def test_channels_are_data_with_a_date_and_without_a_token(
    kind: str, category: str | None, exempt: bool, named: str
) -> None:
    found = channels([(kind, category), (kind, category)], exempt=exempt)
    assert len(set(found)) == len(found)
    assert any(named in one.where for one in found)
    assert all(one.seen.startswith("2026-") and "token=" not in one.where for one in found)


OTHERS = {"ACME_API_KEY": "zz-acme-0815", "MAX_TOKEN": "12345678", "KEY_TOKEN": "/etc/token-1", "NO_TOKEN": "disabled"}


def test_what_is_known_of_the_machine_is_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text(
        "[user]\n name = Mara Quill\n email = mara@quill.io\n[github]\n user = maraq\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    found = known({"USER": "mquill", "EMAIL": "m@q.io", "ANTHROPIC_API_KEY": "k-0815", "HOSTNAME": "box"} | OTHERS)
    assert found.names == ("Mara Quill",)
    assert {"mquill", "maraq"} <= set(found.accounts)
    assert found.emails == ("mara@quill.io", "m@q.io")
    assert str(tmp_path) in found.homes
    assert "box" in found.hosts
    assert found.secrets == ("k-0815", "zz-acme-0815")


def test_a_machine_of_which_nothing_is_known_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    assert known({}).names == ()


@pytest.mark.parametrize(
    ("environment", "terminal"),
    [
        ({"WT_SESSION": "1"}, "Windows Terminal"),
        ({"WSL_DISTRO_NAME": "x"}, "WSL (Windows Subsystem for Linux)"),
        ({"CI": "1"}, "Non-interactive/CI environment"),
        ({"TERM_PROGRAM": "vscode"}, "VS Code integrated terminal"),
        ({}, "Other"),
    ],
)
def test_the_terminal_is_named_as_the_template_names_it(environment: dict[str, str], terminal: str) -> None:
    assert machine(environment).terminal == terminal


@pytest.mark.parametrize(("system", "told"), [("Darwin", "macOS"), ("Windows", "Windows"), ("Plan9", "Other")])
def test_the_system_is_named_as_the_template_names_it(monkeypatch: pytest.MonkeyPatch, system: str, told: str) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    assert machine({}).system == told


@pytest.mark.parametrize(
    ("release", "told"), [("ID=mint\nID_LIKE=ubuntu", "Ubuntu/Debian Linux"), ("ID=arch", "Other Linux")]
)
def test_linux_is_told_by_its_family(monkeypatch: pytest.MonkeyPatch, release: str, told: str) -> None:
    parsed = dict(line.split("=") for line in release.split("\n"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: parsed)
    assert machine({}).system == told


def test_a_linux_that_does_not_say_what_it_is_is_another_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> dict[str, str]:
        raise OSError

    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.freedesktop_os_release", nothing)
    assert machine({}).system == "Other Linux"


def test_whatever_carries_the_value_of_a_report_survives() -> None:
    read = Sources(dossiers=[RICH], extras={}, pairs=[PAIR], poisoned=["req_0001"], texts=[])
    made = written(
        read, Settings(), level=Level.METADATA, shape="json", known=Known(), machine=Machine("macOS", "iTerm2")
    )
    assert [field for field in FIELDS if not any(one in made.text for one in field.split("|"))] == ["2026-11-01"]
    asked_for = Settings(redact=Redact(deny=["claude-sonnet", "req_0009", "2.1.330"]))
    same = written(
        read, asked_for, level=Level.METADATA, shape="json", known=Known(), machine=Machine("macOS", "iTerm2")
    )
    assert same.text == made.text
