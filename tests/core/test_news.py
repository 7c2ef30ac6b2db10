"""What is new, beside the last accepted request; and which refusals are one incident."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commands import request
from proxy.core.context import Split, split
from proxy.core.incident import Declined, Opened, belongs, essential, fingerprint, is_short, marks_of
from proxy.core.news import SUMMARY, News, Who, asked, candidates, compare, mark, marks, named, since
from proxy.core.segment import to_json
from schemas.labels import History, Label
from schemas.records import Accepted, Segment

WHO = Who("s")
SYSTEM = [{"type": "text", "text": "You are Claude Code."}]


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [text(one) if isinstance(one, str) else one for one in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [text(one) if isinstance(one, str) else one for one in blocks]}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(n: int, tool: str = "Read", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{n}", "name": tool, "input": given or {"file_path": f"/x/{n}.pdf"}}


def result(n: int, said: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": said}


def parts(*messages: dict[str, Any], system: Any = SYSTEM) -> Split:
    return split(to_json({"model": "claude-opus-5", "messages": list(messages), "system": system}), None)


def accepted(of: Split, **fields: Any) -> Accepted:
    here = asked(of.segments)
    hashes = b"".join(mark(one.hash) for one in of.segments)
    given: dict[str, Any] = {
        "session_id": "s",
        "at": "2026-11-24T10:00:00.000Z",
        "turn": here.turn,
        "root": here.root,
    } | fields
    return Accepted(hashes=hashes, **given)


def told(now: Split, *before: Accepted, who: Who = WHO) -> News:
    return compare(now.segments, before, now.contents, who)


def new(of: Split) -> list[str]:
    return [one.path for one in of.segments if one.new]


FIRST = (user("Make a lab sheet."),)
READ = (*FIRST, assistant("I read it.", call(1)), user(result(1, "%PDF of the advert. " * 20)))


def test_a_turn_is_a_prompt_of_the_user_and_a_tools_result_is_none() -> None:
    here = asked(parts(*READ, assistant("Done."), user("<system-reminder>x</system-reminder>", "And now?")).segments)
    assert (here.turn, here.answers) == (2, 2)
    assert here.root == split(b'{"messages":[{"role":"user","content":"Make a lab sheet."}]}', None).segments[0].hash
    assert here.prompt != here.root
    assert asked([]) == (0, None, None, 0)


def test_where_nothing_was_accepted_the_whole_first_turn_is_new_and_what_was_said_last_comes_first() -> None:
    now = parts(user("<system-reminder>\nCLAUDE.md</system-reminder>", "hi"))
    assert told(now) == News(History.FIRST, None)
    assert all(one.new for one in now.segments)
    assert [one.label for one in candidates(now.segments)] == [Label.USER_TEXT, Label.REMINDER, Label.SYSTEM]


def test_of_a_conversation_that_was_under_way_nothing_is_known_to_be_new_or_old() -> None:
    now = parts(*READ)
    assert told(now) == News(History.UNSEEN, None)
    assert {one.new for one in now.segments} == {None}
    assert candidates(now.segments) == []


def test_a_tools_result_comes_before_what_the_model_said_and_nothing_of_before_is_new() -> None:
    before = accepted(parts(*FIRST))
    now = parts(*READ)
    assert told(now, before) == News(History.GROWN, before)
    assert new(now) == ["messages[1].content[0]", "messages[1].content[1]", "messages[2].content[0]"]
    strongest, *_ = candidates(now.segments)
    assert (strongest.label, strongest.tool) == (Label.TOOL_RESULT, "Read")


def test_the_latest_of_its_kind_comes_first() -> None:
    before = accepted(parts(*FIRST))
    now = parts(*FIRST, assistant(call(1), call(2)), user(result(1, "one"), result(2, "two")), user("go on"))
    told(now, before)
    assert [one.path for one in candidates(now.segments)][:3] == [
        "messages[2].content[1]", "messages[2].content[0]", "messages[3].content[0]",
    ]  # fmt: skip


def test_a_repeat_is_known_for_one() -> None:
    before = accepted(parts(*READ))
    now = parts(*READ)
    assert told(now, before).history is History.SAME
    assert new(now) == []


def test_a_reminder_alone_makes_it_no_other_conversation() -> None:
    before = accepted(parts(*READ))
    now = parts(
        *READ[:2],
        user(
            result(1, "%PDF of the advert. " * 20),
            "<system-reminder>\nThe file was changed by its owner.\n</system-reminder>",
        ),
    )
    assert told(now, before).history is History.SAME
    assert [one.label for one in candidates(now.segments)] == [Label.REMINDER]


def test_a_conversation_that_was_cleared_begins_anew_and_keeps_what_is_known_of_the_rest() -> None:
    before = accepted(parts(*READ))
    now = parts(user("Something else."))
    assert told(now, before).history is History.CLEARED
    assert new(now) == ["messages[0].content[0]"]


def test_a_conversation_that_was_compacted_is_known_by_its_summary() -> None:
    before = accepted(parts(*READ))
    for said in (user(f"{SUMMARY} that ran out of context."), {"role": "user", "content": f"{SUMMARY} ..."}):
        assert told(parts(said), before).history is History.COMPACTED
    assert told(parts(assistant("I began.")), before).history is History.CLEARED


def test_a_prompt_that_was_edited_or_gone_behind_is_known() -> None:
    two = parts(*READ, assistant("Done."), user("Second."))
    assert told(parts(*READ, assistant("Done."), user("Second, edited.")), accepted(two)).history is History.EDITED
    assert told(parts(user("Make a lab sheet."), user("Other.")), accepted(two)).history is History.EDITED
    changed = parts(
        *FIRST, assistant("I say it otherwise.", call(1)), user(result(1, "%PDF of the advert. " * 20)), user("More.")
    )
    assert told(changed, accepted(parts(*READ))).history is History.EDITED


def test_a_tools_loop_goes_on_within_its_turn() -> None:
    before = accepted(parts(*READ))
    now = parts(*READ, assistant(call(2, "Bash", command="ls")), user(result(2, "a.txt")))
    assert told(now, before).history is History.GROWN


def test_what_was_said_before_may_be_said_again_without_an_edit() -> None:
    before = (*FIRST, assistant("Shall I?"), user("yes"))
    now = (
        *before,
        assistant("And now?"),
        user("yes"),
        assistant(call(1)),
        user(result(1, "")),
        assistant(call(2)),
        user(result(2, "")),
    )
    assert told(parts(*now), accepted(parts(*before))).history is History.GROWN
    assert told(parts(*now), accepted(parts(*now[:6]))).history is History.GROWN


def test_a_first_turn_with_the_words_of_another_session_is_a_first_turn() -> None:
    other = accepted(parts(*READ), session_id="other")
    now = parts(*FIRST)
    assert told(now, other) == News(History.FIRST, None)
    assert all(one.new for one in now.segments)


def test_another_session_that_began_with_the_same_text_was_resumed() -> None:
    longer = (*READ, assistant("Done."), user("And now?"))
    before = accepted(parts(*READ), session_id="other")
    assert told(parts(*longer), before).history is History.RESUMED
    stranger = accepted(parts(*FIRST), session_id="other")
    now = parts(*READ)
    assert told(now, stranger) == News(History.UNSEEN, None)
    assert {one.new for one in now.segments} == {None}


def test_what_is_asked_beside_a_conversation_is_compared_with_it_and_is_no_new_one() -> None:
    before = accepted(parts(*READ))
    title = parts(user("Make a title for: Make a lab sheet."))
    assert told(title, before, who=Who("s", side=True)).history is History.FIRST
    compaction = parts(*READ, user("Your task is to create a detailed summary of it."))
    assert told(compaction, before, who=Who("s", side=True)).history is History.GROWN
    assert new(compaction) == ["messages[3].content[0]"]


def test_several_accepted_requests_are_known_together_and_the_first_is_named() -> None:
    own, main = accepted(parts(user("Title?")), role="title"), accepted(parts(*READ), role="main")
    now = parts(*READ, user("Title?"))
    assert told(now, own, main, who=Who("s", side=True)).accepted is own
    assert new(now) == []


def test_the_text_of_a_summary_is_not_needed_where_none_is_kept() -> None:
    before = accepted(parts(*READ))
    now = parts(user(f"{SUMMARY} that ran out of context."))
    assert compare(now.segments, [before], {}, WHO).history is History.CLEARED


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6),
    st.lists(st.sampled_from(["a", "b", "c", "e"]), max_size=6),
)
def test_new_is_exactly_what_the_accepted_request_did_not_say(before: list[str], now: list[str]) -> None:
    old, here = parts(*map(user, before)), parts(*map(user, now))
    told(here, accepted(old))
    known = {one.hash for one in old.segments}
    assert [one.new for one in here.segments] == [one.hash not in known for one in here.segments]
    assert marks(accepted(old).hashes) == {mark(one) for one in known}


def test_the_turn_in_which_the_first_new_thing_stands_is_the_one_to_go_back_before() -> None:
    two = (*FIRST, assistant("Hello."), user("What does it advertise?"))
    now = parts(*two, assistant("I read it.", call(1)), user(result(1, "%PDF"), "hi"), assistant("x"), user("hi?"))
    told(now, accepted(parts(*two)))
    assert since(now.segments) == 2
    told(now, accepted(parts(*FIRST)))
    assert since(now.segments) == 2
    unseen = parts(*two)
    told(unseen)
    assert since(unseen.segments) is None
    told(now, accepted(now))
    assert since(now.segments) is None
    hooked = parts(user({"type": "image", "source": {"type": "base64", "data": "", "media_type": "image/png"}}, "hi"))
    told(hooked)
    assert since(hooked.segments) == 0


def test_a_candidate_is_named_in_a_few_words() -> None:
    now = parts(
        user("hi", {"type": "image", "source": {"type": "url", "url": "https://x"}}),
        assistant(call(1)),
        user(result(1, "x")),
    )
    said, picture, called, given, system = now.segments
    assert [named(one) for one in (said, picture, called, given, system)] == [
        "user text", "media", "tool use of Read /x/1.pdf", "tool result of Read /x/1.pdf", "system",
    ]  # fmt: skip


def test_a_hash_of_another_form_has_a_mark_too() -> None:
    assert mark("b2:" + "0f" * 16) == b"\x0f" * 8
    for odd in ("", "k", "b2:xyz", "b2:" + "zz" * 16, "\ud800"):
        assert len(mark(odd)) == 8
    assert mark("a") != mark("b")


# incidents


def opened(of: Split, **fields: Any) -> Opened:
    given = {
        "id": "1",
        "session_id": "s",
        "agent_id": None,
        "at": "2026-11-24T10:00:00.000Z",
        "fingerprint": fingerprint(of.segments),
        "asked": None,
    }
    return Opened(**{**given, "marks": marks_of(essential(of.segments)), "short": is_short(of.segments), **fields})


def declined(of: Split, **fields: Any) -> Declined:
    given: dict[str, Any] = {
        "session_id": "s",
        "agent_id": None,
        "at": "2026-11-24T11:00:00.000Z",
        "accepted_at": "2026-11-24T09:00:00.000Z",
    }
    return Declined(
        **{**given, "fingerprint": fingerprint(of.segments), "asked": None, "marks": marks_of(of.segments), **fields}
    )


def compared(*messages: dict[str, Any], before: Split | None = None) -> Split:
    now = parts(*messages)
    told(now, *([accepted(before)] if before else []))
    return now


def test_a_refusal_belongs_to_the_incident_whose_candidates_it_still_has_however_much_was_added() -> None:
    incident = opened(compared(*READ, before=parts(*FIRST)))
    later = compared(*READ, user("hi"), user("hi?"), before=parts(*FIRST))
    assert belongs(declined(later), incident)
    gone = compared(*FIRST, user("hi"), before=parts(*FIRST))
    assert not belongs(declined(gone), incident)


def test_an_acceptance_in_between_ends_an_incident() -> None:
    now = compared(*READ, before=parts(*FIRST))
    assert not belongs(declined(now, accepted_at="2026-11-24T10:30:00.000Z"), opened(now))
    assert belongs(declined(now, accepted_at=None), opened(now))


def test_the_same_candidates_in_another_session_are_the_same_incident() -> None:
    now = compared(*READ, before=parts(*FIRST))
    assert belongs(declined(now, session_id="other"), opened(now))
    assert belongs(declined(now, session_id=None), opened(now, session_id=None))
    assert not belongs(declined(compared(user("x")), session_id="other"), opened(now))


def test_a_short_text_is_an_incident_of_its_own_in_each_session() -> None:
    now = compared(user("hi"))
    assert is_short(now.segments)
    assert not belongs(declined(now, session_id="other"), opened(now))
    assert belongs(declined(now), opened(now))
    assert not is_short(compared(user("word " * 60)).segments)
    assert not is_short(compared(*READ, before=parts(*FIRST)).segments)


def test_a_result_that_says_nothing_and_what_the_model_said_are_known_by_their_session_and_agent_only() -> None:
    for last in (user(result(1, "(no output)")), assistant("Done.")):
        messages = (
            (*FIRST, assistant(call(1, "Bash", command="ls")), last) if last["role"] == "user" else (*FIRST, last)
        )
        before = (*FIRST, assistant(call(1, "Bash", command="ls"))) if last["role"] == "user" else FIRST
        now = compared(*messages, before=parts(*before))
        assert is_short(now.segments)
        assert not belongs(declined(now, session_id="other"), opened(now))
        assert not belongs(declined(now, agent_id="a"), opened(now))
        assert belongs(declined(now), opened(now))


def test_where_it_is_not_known_what_was_new_the_last_turn_makes_the_incident() -> None:
    first = parts(*READ, assistant("Sure."), user("Now what does it advertise, and to whom? " * 9))
    told(first)
    assert [one.path for one in essential(first.segments)] == ["messages[4].content[0]"]
    later = parts(*READ, assistant("Sure."), user("Now what does it advertise, and to whom? " * 9), user("hi"))
    told(later)
    assert belongs(declined(later), opened(first))


def test_without_a_fingerprint_no_two_sessions_share_an_incident() -> None:
    now = compared(*READ, before=parts(*READ))
    assert fingerprint(now.segments) is None
    assert not belongs(declined(now, session_id="other"), opened(now, short=False))


def test_where_nothing_was_new_the_same_words_make_the_incident() -> None:
    now = compared(*READ, before=parts(*READ))
    incident = opened(now, fingerprint="f", asked="a")
    assert belongs(declined(now, fingerprint="g", asked="a"), incident)
    assert belongs(declined(now, fingerprint="f", asked=None), incident)
    assert not belongs(declined(now, fingerprint="g", asked="b"), incident)
    assert not belongs(declined(now, fingerprint=None), opened(now, fingerprint=None))


def test_reminders_system_and_tools_are_no_part_of_a_fingerprint_but_what_the_model_said_is_where_there_is_nothing_else() -> (
    None
):
    plain = compared(user("Make a lab sheet, please."))
    reminded = compared(user("<system-reminder>\nx</system-reminder>", "Make a lab sheet, please."))
    assert fingerprint(plain.segments) == fingerprint(reminded.segments)
    spoken = compared(*FIRST, assistant("Hm."), before=parts(*FIRST))
    assert [one.label for one in essential(spoken.segments)] == [Label.ASSISTANT_TEXT]


def test_a_real_like_request_is_compared_whole() -> None:
    before, now = split(request(turns=3), None), split(request(turns=5), None)
    told(now, accepted(before))
    assert candidates(now.segments)[0].label in (Label.MEDIA, Label.TOOL_RESULT)
    assert all(isinstance(one, Segment) for one in candidates(now.segments))
