"""What ``locate`` asks and concludes, with a classifier that is a function."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from declining import planted, valid
from proxy.core.location import FAILURES, SURE, Ask, Finding, InterruptedSearchError, Said, locate, runs
from proxy.core.reduction import Reduction

Rule = Callable[[bytes], bool | Said]
LINES = 30


def session(turns: int = 20, marked: Mapping[str, str] | None = None, *, thinking: bool = False, **more: str) -> bytes:
    """A session of about ``turns`` kB; ``marked``: words that one of its parts has, by the part's name."""
    marked = {**(marked or {}), **more}
    thought = [{"type": "thinking", "thinking": marked.get("thought", "Hm."), "signature": "c2ln"}] if thinking else []
    memory = f"<system-reminder>CLAUDE.md\nBe kind.\n{marked.get('memory', 'Be brief.')}</system-reminder>"
    messages = [
        {"role": "user", "content": [{"type": "text", "text": memory}, {"type": "text", "text": "Please look."}]}
    ]
    for n in range(turns):
        lines = [f"{n} {line} some words of a file" for line in range(LINES)]
        lines[7] = marked.get(f"file{n}", lines[7])
        call = {"type": "tool_use", "id": f"t{n}", "name": "Read", "input": {"file_path": f"/src/{n}.py"}}
        messages += [
            {"role": "assistant", "content": [*thought, call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "\n".join(lines)}]},
        ]
    description = f"It reads.\n{marked.get('tool', 'All of it.')}"
    return json.dumps(
        {
            "model": "claude-opus-5",
            "max_tokens": 1000,
            "system": [{"type": "text", "text": f"You are Claude.\n{marked.get('prompt', 'Help.')}"}],
            "tools": [{"name": "Read", "description": description, "input_schema": {"type": "object"}}],
            "messages": messages,
        }
    ).encode()


def led(
    body: bytes, rule: Rule, new: tuple[str, ...] = (), *, limit: int = 24, repeat: int = 3, begun: bool = False
) -> tuple[Finding, list[Ask]]:
    """What is found, and what was asked; every body is valid."""
    asked: list[Ask] = []
    search = locate(Reduction(body), new, limit=limit, repeat=repeat, begun=begun)
    try:
        ask = next(search)
        while True:
            valid(ask.body)
            asked.append(ask)
            said = rule(ask.body)
            ask = search.send(said if isinstance(said, Said) else Said.DECLINED if said else Said.ACCEPTED)
    except StopIteration as ended:
        finding: Finding = ended.value
        assert finding.sent == len(asked) <= limit
        return finding, asked


def without_parts(
    why: str, sent: int, declined: int, asked: int, *, settled: bool = False, begun: bool = False
) -> Finding:
    """What is found where nothing is."""
    return Finding([], settled, why, sent, declined, asked, 0, 0, [], begun)


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("file0", ["messages[2].content[0]:8"]),
        ("file13", ["messages[28].content[0]:8"]),
        ("file19", ["messages[40].content[0]:8"]),
        ("memory", ["messages[0].content[0]:3"]),
        ("prompt", ["system[0]:2"]),
        ("tool", ["tools[0]:2"]),
    ],
)
def test_a_planted_line_is_found_wherever_it_stands(place: str, parts: list[str]) -> None:
    finding, asked = led(session(20, {place: "PLANTED"}), planted)
    assert finding[:3] == (parts, True, None)
    assert finding[4:] == (3, 3, 3, 3, [], False)
    assert [ask.left_out for ask in asked[:3]] == [[], [], []]
    assert [ask.left_out for ask in asked[-2:]] == [parts, parts]


def test_in_a_request_of_300_kb_it_is_found_within_24_requests() -> None:
    for turns, place in ((250, "file240"), (250, "file3"), (250, "file120")):
        body = session(turns, {place: "PLANTED"})
        assert len(body) > 230_000
        finding, _ = led(body, planted)
        n = 2 + 2 * int(place.removeprefix("file"))
        assert finding[:3] == ([f"messages[{n}].content[0]:8"], True, None)


def test_one_huge_result_among_small_ones_is_found_within_24_requests() -> None:
    lines = "\\n".join(f"line {n} of a log, with some words in it" for n in range(6000)).replace(
        "line 4321 of", "PLANTED"
    )
    body = session(40).replace(b"\\n7 7 some words of a file", b"\\n" + lines.encode())
    assert len(body) > 270_000
    assert led(body, planted)[0][:3] == ([f"messages[16].content[0]:{8 + 4321}"], True, None)


def test_in_two_places_at_once_both_have_to_go() -> None:
    finding, _ = led(session(file3="PLANTED", memory="PLANTED"), planted, limit=60)
    assert finding[:3] == (["messages[0].content[0]:3", "messages[8].content[0]:8"], True, None)
    finding, _ = led(session(file3="PLANTED", memory="PLANTED"), planted)
    assert finding.settled
    assert finding.accepted == 3
    assert {part.partition(":")[0] for part in finding.parts} >= {"messages[0].content[0]", "messages[8].content[0]"}


def test_of_two_that_are_declined_only_together_one_is_found() -> None:
    finding, _ = led(session(file3="ALPHA", file9="OMEGA"), lambda body: b"ALPHA" in body and b"OMEGA" in body)
    assert finding[:3] == (["messages[20].content[0]:8"], True, None)


def test_what_is_new_is_asked_about_first() -> None:
    new = ("messages[40].content[0]", "messages[39].content[0]", "messages[38].content[0]")
    finding, asked = led(session(file19="PLANTED"), planted, new)
    assert set(asked[3].left_out) == {*new, "messages[37].content[0]"}
    assert finding.parts == ["messages[40].content[0]:8"]
    assert finding.sent < led(session(file19="PLANTED"), planted)[0].sent
    assert led(session(file2="PLANTED"), planted, new)[0].parts == ["messages[6].content[0]:8"]


def test_where_it_is_the_thinking_that_is_what_is_found() -> None:
    finding, _ = led(session(3, thinking=True, thought="PLANTED"), planted)
    assert finding[:3] == ([f"messages[{n}].content[0]" for n in (1, 3, 5)], True, None)
    assert led(session(3, thinking=True, file1="PLANTED"), planted, ("messages[4].content[0]",))[0].parts == [
        "messages[4].content[0]:8"
    ]


def test_a_text_of_one_line_is_found_as_a_whole() -> None:
    body = session(3).replace(b"Please look.", b"PLANTED")
    assert led(body, planted)[0].parts == ["messages[0].content[1]"]
    picture = b'{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "PLANTED="}}'
    body = session(3).replace(b'{"type": "text", "text": "Please look."}', picture)
    assert led(body, planted)[0].parts == ["messages[0].content[1]"]


def test_where_the_lines_are_not_enough_the_part_is_what_is_found() -> None:
    finding, _ = led(session(3), lambda body: b'"t1"' in body)
    assert finding[:3] == (["messages[3].content[0]", "messages[4].content[0]"], True, None)


def test_what_is_accepted_today_is_not_searched() -> None:
    finding, _ = led(session(), lambda _: False)
    assert finding == without_parts(
        "it was accepted today, 3 of 3 times: there is nothing to locate", 3, 0, 3, settled=True
    )
    assert led(session(), lambda _: False, limit=1)[0].why == (
        "it was accepted today, when it was asked once: there is nothing to locate"
    )


def test_what_is_declined_whatever_is_left_out_is_said_after_so_many_answers_that_chance_is_unlikely() -> None:
    finding, _ = led(session(), lambda _: True)
    assert (finding.parts, finding.settled, finding.sent) == ([], True, 22)
    assert finding.why is not None
    assert finding.why.startswith(
        "it was declined 3 of 3 times without all the 24 parts that can be left out, and to leave out 16 of them singly was"
        " not enough: what it is declined for may be in what always stays, or in several parts, or"
    )
    few = led(session(1), lambda _: True)[0]
    assert few.sent == SURE
    assert "declined 4 of 4 times without all the 5 parts" in (few.why or "")
    assert "each of them singly" in (few.why or "")
    assert "singly" not in (led(session(), lambda _: True, limit=6)[0].why or "singly")


def test_of_a_classifier_that_declines_at_random_it_is_said_that_it_could_not_be_settled() -> None:
    chance = random.Random(7)
    found = Counter(led(session(5), lambda _: chance.random() < 0.7)[0].settled for _ in range(300))
    assert found[False] > 270  # 3 of 3 acceptances at first, or SURE refusals, are 4 in 100
    finding, _ = led(session(5), iter_of(True, True, False))
    assert finding == without_parts("one and the same request was declined 2 and accepted 1 of 3 times", 3, 2, 3)


def iter_of(*answers: bool | Said) -> Rule:
    """These answers one after the other, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_what_was_found_is_not_settled_where_its_last_acceptance_is_not_confirmed() -> None:
    seen: Counter[bytes] = Counter()

    def rule(body: bytes) -> bool:
        seen[body] += 1
        return planted(body) or seen[body] == 3

    finding, _ = led(session(file4="PLANTED"), rule)
    assert (finding.parts, finding.settled) == (["messages[10].content[0]:8"], False)
    assert (finding.accepted, finding.answered) == (2, 3)
    assert finding.why == "one and the same request was declined 1 and accepted 2 of 3 times"


@pytest.mark.parametrize("limit", range(1, 20))
def test_the_limit_holds_and_what_is_known_by_then_is_confirmed(limit: int) -> None:
    finding, asked = led(session(file4="PLANTED"), planted, limit=limit)
    if finding.parts:
        assert finding.accepted == 3
        assert not planted(asked[-1].body)
    else:
        assert finding.why == f"nothing was accepted yet when the {limit} requests were used up"
    if finding.why and finding.parts:
        assert finding.why == f"it could not be narrowed further with {limit} requests"


def test_a_failure_is_asked_again_and_three_in_a_row_end_it() -> None:
    fails = iter([True, False, False, True, True, False] + [False] * 30)
    finding, asked = led(session(file4="PLANTED"), lambda body: Said.FAILED if next(fails) else planted(body))
    assert finding.parts == ["messages[10].content[0]:8"]
    assert asked[0].body == asked[1].body
    finding, _ = led(session(), iter_of(True, Said.FAILED))
    assert finding == without_parts("3 requests in a row failed", 4, 1, 1)
    finding, _ = led(session(), iter_of(Said.FAILED), limit=2)
    assert finding.why == "nothing was accepted yet when the 2 requests were used up"


def test_a_request_that_the_api_rejects_is_not_accepted() -> None:
    finding, _ = led(session(), iter_of(Said.REJECTED))
    assert finding == without_parts("the API rejects the request as it stands", 1, 0, 0)
    finding, _ = led(session(), iter_of(True, True, True, Said.REJECTED))
    assert finding == without_parts("3 requests in a row failed", 6, 3, 3)
    odd = session(file4="PLANTED")
    finding, _ = led(
        odd, lambda body: Said.REJECTED if b"/src/3.py" not in body and b"/src/9.py" in body else planted(body)
    )
    assert finding.settled
    assert any(part.startswith("messages[10].content[0]") for part in finding.parts)


def test_one_that_was_accepted_and_is_then_rejected_ends_it_soon() -> None:
    seen: Counter[bytes] = Counter()

    def rule(body: bytes) -> bool | Said:
        seen[body] += 1
        return planted(body) or (Said.REJECTED if seen[body] > 1 else False)

    finding, _ = led(session(file4="PLANTED"), rule)
    assert (finding.settled, finding.why) == (False, "3 requests in a row failed")


def test_where_all_of_it_left_out_is_too_little_the_parts_are_left_out_one_by_one() -> None:
    def rule(body: bytes) -> bool:
        return planted(body) or b"Be kind." not in body

    finding, _ = led(session(file18="PLANTED"), rule)
    assert (finding.parts, finding.settled) == (["messages[38].content[0]:8"], True)

    def picky(body: bytes) -> bool | Said:
        return Said.REJECTED if body.count(b"tool_result") < 10 else planted(body)

    finding, _ = led(session(file18="PLANTED"), picky)
    assert (finding.parts, finding.settled) == (["messages[38].content[0]:8"], True)


def test_where_the_api_takes_no_placeholder_the_part_is_what_is_found() -> None:
    finding, _ = led(session(file18="PLANTED"), lambda body: Said.REJECTED if b"left out" in body else planted(body))
    assert finding[:3] == (["messages[37].content[0]", "messages[38].content[0]"], True, None)


def test_where_less_is_rejected_and_single_parts_do_not_help_that_is_said() -> None:
    def rule(body: bytes) -> bool | Said:
        return Said.REJECTED if body.count(b"tool_result") < 2 else True

    finding, _ = led(session(3), rule, limit=60)
    assert not finding.settled
    assert finding.why is not None
    assert finding.why.startswith(
        "the API rejects it without all the 7 parts that can be left out, and to leave out each of them singly was not enough"
    )


@pytest.mark.parametrize("after", [0, 3, 5, 14])
def test_an_answer_that_names_a_barred_category_ends_it_with_nothing_found(after: int) -> None:
    n = 0

    def rule(body: bytes) -> bool | Said:
        nonlocal n
        n += 1
        return Said.BARRED if n > after else planted(body)

    finding, asked = led(session(file4="PLANTED"), rule)
    assert (finding.parts, finding.settled, finding.accepted, finding.thinking) == ([], False, 0, [])
    assert finding.why == ("an answer named a category that is not searched (general_harms, bio, reasoning_extraction)")
    assert len(asked) == after + 1


def test_where_nothing_would_be_answered_no_more_is_sent() -> None:
    finding, asked = led(session(file4="PLANTED"), iter_of(True, True, True, False, Said.CLOSED))
    assert (finding.settled, finding.sent, len(asked)) == (False, 5, 5)
    assert finding.why == "no more was sent, as nothing would be answered now"
    assert (finding.accepted, finding.answered) == (1, 1)


def test_what_was_let_go_when_it_had_begun_is_not_called_accepted() -> None:
    finding, _ = led(session(file4="PLANTED"), planted, begun=True)
    assert (finding.begun, finding.why) == (True, None)
    assert led(session(), lambda _: False, begun=True)[0].why == (
        "it was not declined before output today, 3 of 3 times: there is nothing to locate"
    )
    assert led(session(), iter_of(True, False), begun=True)[0].why == (
        "one and the same request was declined 1 and not declined before output 1 of 2 times"
    )


def test_the_thinking_that_goes_with_what_is_left_out_is_named() -> None:
    thoughts = [f"messages[{n}].content[0]" for n in (1, 3, 5)]
    body = session(3, thinking=True, file1="PLANTED")
    finding, asked = led(body, lambda sent: planted(sent) or b'"thinking"' in sent)
    assert (finding.parts, finding.thinking) == (["messages[4].content[0]:8"], thoughts)
    assert all(set(thoughts) <= set(ask.left_out) for ask in asked if b'"thinking"' not in ask.body)
    assert [ask.left_out for ask in asked[:3]] == [[], [], []]
    assert asked[-1].left_out == ["messages[4].content[0]:8", *thoughts]
    finding, asked = led(session(3, thinking=True, thought="PLANTED"), planted)
    assert (finding.parts, finding.thinking, asked[-1].left_out) == (thoughts, [], thoughts)


def test_new_bodies_that_are_rejected_end_it_only_until_one_was_taken() -> None:
    finding, _ = led(session(), iter_of(True, True, True, False, *[Said.REJECTED] * (FAILURES + 2), False))
    assert finding.sent > 3 + 1 + FAILURES
    assert finding.why != "3 requests in a row failed"


def test_a_request_of_which_nothing_can_be_left_out_is_not_searched() -> None:
    seam = {
        "type": "fallback",
        "from": {"model": "a"},
        "to": {"model": "b"},
        "trigger": {"type": "refusal", "category": None},
    }
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [seam]}]}).encode()
    assert led(body, lambda _: True)[0][:4] == ([], True, "nothing of it can be left out", 3)


def test_an_interrupted_search_concludes_from_what_it_has() -> None:
    search = locate(Reduction(session(file4="PLANTED")), limit=24, repeat=1)
    ask = next(search)
    for _ in range(5):
        ask = search.send(Said.DECLINED if planted(ask.body) else Said.ACCEPTED)
    with pytest.raises(StopIteration) as ended:
        search.throw(InterruptedSearchError())
    finding: Finding = ended.value.value
    assert (finding.settled, finding.why, finding.sent, finding.accepted) == (False, "it was interrupted", 6, 1)


def test_numbers_in_a_row_are_written_as_runs() -> None:
    assert runs([3, 1, 2, 7, 9, 10]) == ["1-3", "7", "9-10"]
    assert runs([]) == []
