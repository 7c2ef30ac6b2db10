"""``demur retry``: what it is, and which rule allowed or forbade that a declined request was asked again."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from answers import MID
from commands import ESCAPES, declined, demur, fails, keep, lines, objects, request
from entries import entry, name
from proxy.core.stamps import stamp
from schemas.labels import Kind, Outcome, Result, Role, Ruling, Verdict
from schemas.records import Attempt, Entry, Update

CHAIN = '[[retry.fallback]]\nmodel = "claude-opus-4-8"\n[[retry.fallback]]\nmodel = "claude-opus-4-6"\n'
ON = f"[retry]\nenabled = true\n{CHAIN}"
ANY = ON.replace("enabled = true", 'enabled = true\nroutes = "any"')
ARMING = "off no_chain surface unreadable fallbacks thread credit_token client_hop middleware own_client".split()
ASKING = "kind api_fallback reasoning_extraction category store judged_correct max_per_hour routes".split()
BODY = {"surface", "unreadable", "fallbacks", "thread", "credit_token"}


def config(db: Path, settings: str) -> Path:
    path = db.with_name("demur.toml")
    path.write_text(settings)
    return path


def explained(db: Path, settings: str = ON, asked: str = "last") -> dict[str, Any]:
    (found,) = objects(demur("retry", "--explain", asked, "--json", "--config", config(db, settings), db=db))
    return found


def against(found: dict[str, Any]) -> list[str]:
    return [rule["rule"] for rule in found["rules"] if rule["holds"] is False]


def test_the_rules_are_those_of_the_policy_in_its_order(db: Path) -> None:
    keep(db, declined(request()))
    found = explained(db)
    assert list(found) == ["id", "then", "now", "rules"]
    assert [rule["rule"] for rule in found["rules"]] == ARMING + ASKING
    assert all(list(rule) == ["rule", "holds", "why"] for rule in found["rules"])


def test_what_is_allowed_names_the_models_that_would_be_asked(db: Path) -> None:
    keep(db, declined(request()))
    assert explained(db)["now"] == {
        "asked_again": True,
        "ruling": None,
        "said": "by these rules asked again: claude-opus-4-8; 3 attempts at most",
        "models": ["claude-opus-4-8"],
        "rephrasing": None,
        "course": None,
    }
    assert explained(db, ANY)["now"]["said"] == (
        "by these rules asked again: claude-opus-4-8, then claude-opus-4-6; 3 attempts at most"
    )
    rephrase = '[retry.rephrase]\nenabled = true\nscope_note = "It is ours."\n'
    assert explained(db, f"{ON}{rephrase}")["now"]["said"] == (
        "by these rules asked again: claude-opus-4-8, then rephrased (scope-note); 3 attempts at most"
    )


def test_first_what_was_decided_then_what_would_be_and_then_every_rule_on_a_line(db: Path) -> None:
    kept = declined(request())
    kept.refusals[0].ruling = Ruling.OFF
    keep(db, kept)
    off = lines(demur("retry", "--explain", "last", db=db))
    assert off[0] == "The API's safeguards declined a request to claude-opus-5 before any output. It ended there."
    assert off[2:4] == [
        "then  not asked again: retry is not turned on (retry.enabled)",
        "now   not asked again: retry is not turned on (retry.enabled)",
    ]
    on = lines(demur("retry", "--explain", "last", "--config", config(db, ON), db=db))
    assert on[2:4] == [off[2], "now   by these rules asked again: claude-opus-4-8; 3 attempts at most"]
    assert [line.split()[1] for line in on[5:-5]] == ARMING + ASKING
    assert on[5].split() == ["holds", "off", "retry.enabled", "is", "true"]
    assert off[5].split()[:4] == ["does", "not", "hold", "off"]
    assert on[-4].startswith("What only shows while an answer comes is not among the rules: ")
    assert on[-2].startswith("These are the settings as they are now. A demur that runs uses those with which it began")
    assert "What only shows" not in "".join(off)
    assert off[-2] == on[-2]
    narrow = demur("retry", "--explain", "last", db=db, COLUMNS="70").stdout.splitlines()
    assert max(map(len, narrow)) <= 70


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ("", "off"),
        ("[retry]\nenabled = true\n", "no_chain"),
        (ON.replace("enabled = true", 'enabled = true\ncategories = ["bio"]'), "category"),
        (ON.replace("enabled = true", "enabled = true\nmax_per_hour = 0"), "max_per_hour"),
        (ON.replace("4-8", "4-5"), "routes"),
    ],
    ids=lambda text: text if "\n" not in text else "settings",
)
def test_the_settings_that_are_in_force_now_decide(db: Path, settings: str, rule: str) -> None:
    keep(db, declined(request()))
    found = explained(db, settings)
    assert against(found)[0] == found["now"]["ruling"] == rule
    assert found["now"]["asked_again"] is False
    assert found["now"]["said"].startswith("not asked again: ")


def test_no_attempts_at_all_are_none_though_every_rule_holds(db: Path) -> None:
    keep(db, declined(request()))
    now = explained(db, ON.replace("enabled = true", "enabled = true\nmax_attempts = 0"))["now"]
    assert (now["asked_again"], now["ruling"]) == (False, None)
    assert "retry.max_attempts" in now["said"]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (request(fallbacks=[{"model": "x"}]), "fallbacks"),
        (request(thread={"id": "t"}), "thread"),
        (request(fallback_credit_token="secret"), "credit_token"),
        (request(anthropic_version="bedrock-2023-05-31"), "surface"),
        (json.dumps({**json.loads(request()), "model": None}).encode(), "surface"),
        (b"no json", "unreadable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "body",
)
def test_the_stored_request_tells_what_stands_in_it(db: Path, body: bytes, rule: str) -> None:
    keep(db, declined(body))
    assert against(explained(db)) == [rule]
    assert "secret" not in json.dumps(explained(db))


def test_a_request_that_is_not_stored_leaves_some_rules_untold(db: Path) -> None:
    keep(db, declined(request(fallbacks=[{"model": "x"}]), content=False))
    found = explained(db)
    assert {rule["rule"] for rule in found["rules"] if rule["holds"] is None} == BODY
    assert found["now"]["asked_again"] is None
    assert found["now"]["said"] == "cannot be told: 5 rules would need the request, which is not stored"
    told = lines(demur("retry", "--explain", "last", "--config", config(db, ON), db=db))
    assert sum(line.startswith("cannot be told") for line in told) == 5
    assert explained(db, "")["now"]["asked_again"] is False


def test_a_request_that_cannot_be_read_is_told_in_one_line_and_taken_for_not_stored(db: Path) -> None:
    keep(db, declined(request()))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("update segments set zstd = x'00'")
    result = demur("retry", "--explain", "last", "--config", config(db, ON), db=db)
    assert "is damaged" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "5 rules" in result.stdout


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"headers": {"x-cc-fallback-model": "y"}}, "client_hop"),
        ({"ruling": Ruling.CLIENT_HOP}, "client_hop"),
        ({"headers": {"x-stainless-helper": "a, fallback-refusal-middleware"}}, "middleware"),
        ({"ruling": Ruling.MIDDLEWARE}, "middleware"),
        ({"model": "claude-fable-5", "client": "claude-cli"}, "own_client"),
        ({"role": Role.COUNT_TOKENS}, "surface"),
        ({"evidence": "batch.message.stop_reason"}, "surface"),
        ({"kind": Kind.POLICY_ERROR}, "kind"),
        ({"outcome": Outcome.RECOVERED_BY_API}, "api_fallback"),
        ({"category": "reasoning_extraction"}, "reasoning_extraction"),
        ({"category": "category_of_next_year"}, "category"),
        ({"asked": "b2:f", "verdict": Verdict.CORRECT}, "judged_correct"),
    ],
    ids=str,
)
def test_the_record_tells_the_rest(db: Path, fields: dict[str, Any], rule: str) -> None:
    keep(db, entry(1, **{"model": "claude-opus-5", "category": "cyber", **fields}))
    found = explained(db, ANY)
    assert against(found)[0] == found["now"]["ruling"] == rule


def test_the_request_s_own_model_counts_where_the_conversation_stayed_on_another(db: Path) -> None:
    kept = declined(request(model="claude-fable-5"))
    kept.refusals[0].model = "claude-opus-4-8"
    keep(db, kept)
    assert against(explained(db, ANY)) == ["own_client"]


def test_what_a_person_judged_of_the_same_content_counts(db: Path) -> None:
    keep(db, entry(1, asked="b2:f", verdict=Verdict.CORRECT), entry(2, asked="b2:f", model="claude-opus-5"))
    assert against(explained(db, ANY, name(2))) == ["judged_correct"]


def test_the_attempts_of_the_last_hour_count_and_older_ones_do_not(db: Path) -> None:
    now = time.time()
    for n, at in enumerate((now - 60, now - 4000), start=1):
        keep(db, entry(n, at=stamp(at), session_id="s", model="claude-opus-5", category="cyber"))
        tries = [Attempt(n=-1, by="demur", model="m", outcome=Result.REFUSED, strategy="fallback")] * 2
        keep(db, Entry(updates=[Update(refusal_id=name(n), attempts=tries)]))
    once = ON.replace("enabled = true", "enabled = true\nmax_per_hour = 2")
    assert against(explained(db, once, name(1))) == ["max_per_hour"]
    (rule,) = [rule for rule in explained(db, ON, name(1))["rules"] if rule["rule"] == "max_per_hour"]
    assert rule == {
        "rule": "max_per_hour",
        "holds": True,
        "why": "attempts for the session this hour: 2 of 30",
    }


def test_where_nobody_decided_that_is_said_and_warnings_of_the_settings_are_told(db: Path) -> None:
    keep(db, entry(1))
    assert explained(db)["then"] == {
        "ruling": None,
        "said": "nobody decided: it was imported, or recorded by an older demur",
    }
    result = demur("retry", "--explain", "last", "--config", config(db, "[retry]\nenabled = true\n"), db=db)
    assert result.stderr.startswith("demur: retry.enabled is true, but there is no [[retry.fallback]]")


def test_what_the_course_was_against_stands_beside_what_the_rules_allow(db: Path) -> None:
    kept = declined(request(), MID)
    kept.refusals[0].ruling = Ruling.MID_STREAM
    keep(db, kept)
    found = explained(db)
    against = 'output had been sent then, and with mid_stream = "refuse" nothing may follow it'
    assert (found["now"]["course"], found["now"]["asked_again"]) == (against, True)
    told = " ".join(" ".join(lines(demur("retry", "last", "--config", config(db, ON), db=db))).split())
    assert f"now by these rules asked again: claude-opus-4-8; 3 attempts at most. But {against} " in told
    restart = ON.replace("enabled = true", 'enabled = true\nmid_stream = "restart"')
    assert explained(db, restart)["now"]["course"] is None


def test_what_was_decided_after_demur_had_asked_is_told_as_by_show(db: Path) -> None:
    kept = declined(request())
    kept.refusals[0].ruling = Ruling.LEFT
    kept.attempts = [
        Attempt(n=1, by="demur", model="b", outcome=Result.CUT, strategy="fallback", why="the client left")
    ]
    keep(db, kept)
    assert explained(db)["then"]["said"] == "not asked once more: the client had left"


def stayed(db: Path, *, content: bool = True, **fields: Any) -> None:
    """The conversation stayed on opus-4-8, which declined."""
    kept = declined(request(), content=content)
    kept.refusals[0].model = "claude-opus-4-8"
    for field, value in fields.items():
        setattr(kept.refusals[0], field, value)
    sticky = Attempt(n=0, by="demur", model="claude-opus-4-8", outcome=Result.REFUSED, strategy="sticky")
    kept.attempts = [sticky]
    keep(db, kept)


def test_where_the_conversation_had_stayed_elsewhere_the_model_that_was_asked_for_is_the_first(db: Path) -> None:
    stayed(db)
    assert explained(db)["now"]["models"] == ["claude-opus-5"]
    assert explained(db, ANY)["now"]["models"] == ["claude-opus-5", "claude-opus-4-6"]


def test_neither_categories_nor_routes_are_against_the_model_that_was_asked_for(db: Path) -> None:
    stayed(db, category="category_of_next_year")
    found = explained(db, ANY)
    assert "category" in against(found)
    assert (found["now"]["asked_again"], found["now"]["models"]) == (True, ["claude-opus-5"])


def test_without_its_request_the_model_that_was_asked_for_has_no_name(db: Path) -> None:
    stayed(db, content=False)
    assert explained(db)["now"]["models"] == ["the model that was asked for"]


def test_an_id_is_taken_with_and_without_the_option_and_only_once(db: Path) -> None:
    keep(db, declined(request()))
    assert lines(demur("retry", "last", db=db)) == lines(demur("retry", "--explain", "last", db=db))
    assert "two refusals at once" in fails(demur("retry", "last", "--explain", "last", db=db), code=2)
    assert "an empty ID" in fails(demur("retry", "--explain", " ", db=db), code=2)
    assert "an empty ID" in fails(demur("retry", "", db=db), code=2)


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ("", "It is off (retry.enabled): nothing is asked again."),
        (ON, "It is on: claude-opus-4-8, then claude-opus-4-6; 3 attempts at most for a request."),
        (
            f'{ON}[retry.rephrase]\nenabled = true\nscope_note = "Ours."\n',
            "It is on: claude-opus-4-8, then claude-opus-4-6, then rephrased (scope-note); 3 attempts at most for a request.",
        ),
        ("[retry]\nenabled = true\n", "It is on, but there is neither a [[retry.fallback]] nor a rephrasing"),
        (ON.replace("enabled = true", "enabled = true\nmax_attempts = 0"), "It is on, but there is no attempt allowed"),
    ],
    ids=["off", "on", "rephrasing", "no chain", "no attempts"],
)
def test_alone_it_says_what_it_is_whether_it_is_on_and_how_it_is_turned_on(db: Path, settings: str, state: str) -> None:
    path = config(db, settings)
    told = demur("retry", "--config", path, db=db).stdout
    plain = " ".join(told.split())
    assert plain.startswith("Where a model's safeguards decline a request, demur can ask another model that you name")
    assert state in plain
    assert ("[[retry.fallback]]\n  model = " in told) is (not settings)
    assert (f"To turn it on, put this into {path}:" in plain) is (not settings)
    assert "start it again after a change" in plain
    assert not db.exists()


def test_what_it_says_to_write_is_taken_and_turns_it_on(db: Path) -> None:
    told = demur("retry", "--config", config(db, ""), db=db).stdout
    written = "\n".join(line.strip() for line in told.splitlines() if line.startswith("  "))
    assert "It is on: claude-opus-4-8;" in demur("retry", "--config", config(db, written), db=db).stdout


def test_alone_for_programs_it_gives_one_object(db: Path) -> None:
    path = config(db, ON)
    (found,) = objects(demur("retry", "--json", "--config", path, db=db))
    models = ["claude-opus-4-8", "claude-opus-4-6"]
    assert found == {"enabled": True, "models": models, "rephrasing": None, "config": str(path)}


def test_an_id_of_nothing_is_told_in_one_line(db: Path) -> None:
    assert "nothing is recorded yet" in fails(demur("retry", "--explain", "last", db=db))
    keep(db, entry(1))
    assert "`demur list --all`" in fails(demur("retry", "--explain", "req_none", db=db))


def test_nothing_that_was_sent_is_shown_or_drives_a_terminal(db: Path) -> None:
    kept = declined(request(said="my own words", model=f"m{ESCAPES}"))
    kept.refusals[0].model = kept.refusals[0].category = kept.refusals[0].ruling = f"x{ESCAPES}"
    kept.refusals[0].headers["x-stainless-helper"] = ESCAPES
    keep(db, kept)
    for arguments in ([], ["--json"]):
        result = demur("retry", "--explain", "last", *arguments, "--config", config(db, ON), db=db)
        assert result.exit_code == 0
        assert not {"\x1b", "\x9b", "\u202e", "\u200b"} & set(result.output)
        assert "my own words" not in result.output


RESTATE = 'strategy = "restate"\nrestate_model = "m"\n'
SAID = request(messages=[{"role": "user", "content": "Fix the login of shop.py"}])
ALONE = "[retry]\nenabled = true\n"


@pytest.mark.parametrize(
    ("body", "more", "holds", "why"),
    [
        (request(), 'scope_note = "Ours."', True, "scope-note: the request can be rephrased"),
        (SAID, RESTATE, True, "restate: the request can be rephrased; whether what comes back passes, shows then"),
        (request(), RESTATE, False, "restate: the last message has no text that the user typed"),
        (request(), 'strategy = "trim"', True, "trim: the request can be rephrased"),
        (SAID, 'strategy = "trim"', False, "trim: the last turn has no tool result, document or image to leave out"),
        (
            request(system="x-anthropic-billing-header: cc_version=2.1.197; cch=1f2e3;"),
            'scope_note = "Ours."',
            False,
            "scope-note: its attribution block has a checksum, which would no longer fit",
        ),
    ],
)
def test_whether_it_can_be_rephrased_is_a_rule_of_its_own(
    db: Path, body: bytes, more: str, holds: bool, why: str
) -> None:
    keep(db, declined(body))
    rephrase = f"[retry.rephrase]\nenabled = true\n{more}\n"
    alone = explained(db, f"{ALONE}{rephrase}")
    assert alone["rules"][-1] == {"rule": "unrephrased", "holds": holds, "why": why}
    assert (alone["now"]["asked_again"], alone["now"]["ruling"]) == (holds, None if holds else "unrephrased")
    assert (alone["now"]["rephrasing"] is not None) is holds
    assert holds or alone["now"]["said"] == f"not asked again: {why}"
    after = explained(db, f"{ON}{rephrase}")
    assert after["rules"][-1] == alone["rules"][-1]
    assert after["now"]["asked_again"] is True
    assert ("rephrased" in after["now"]["said"]) is holds


def test_a_rephrasing_for_a_model_that_routes_do_not_permit_is_told(db: Path) -> None:
    keep(db, declined(request()))
    found = explained(
        db, f'{ALONE}[retry.rephrase]\nenabled = true\nscope_note = "Ours."\nmodel = "claude-haiku-4-5"\n'
    )
    assert found["now"]["ruling"] == "routes"
    assert "no model of the chain is permitted" in found["rules"][-1]["why"]
    assert found["rules"][-1]["why"].endswith(", and retry.rephrase.model is not")
    own = explained(db, f'{ALONE}[retry.rephrase]\nenabled = true\nscope_note = "Ours."\n')
    routes = next(rule for rule in own["rules"] if rule["rule"] == "routes")
    assert "no model of the chain is permitted" in routes["why"]
    assert routes["why"].endswith(", but a rephrased attempt is")


def test_without_the_request_it_cannot_be_told_whether_it_can_be_rephrased(db: Path) -> None:
    keep(db, declined(request(), content=False))
    found = explained(db, f'{ALONE}[retry.rephrase]\nenabled = true\nscope_note = "Ours."\n')
    assert found["rules"][-1]["holds"] is None
    assert found["now"]["asked_again"] is None
