"""Which rule allows or forbids that a declined request is asked again, and on which models."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.headers import Headers
from proxy.core.policy import Asked, Check, Declined, arming, asked, asking, chain, first_against, members
from schemas.labels import Kind, Outcome, Ruling
from schemas.settings import Rephrase, Retry

CODE: Headers = ((b"User-Agent", b"claude-cli/2.1.330 (external, cli)"),)
PYTHON: Headers = ((b"User-Agent", b"Anthropic/Python 2.12.0"),)
BODY = {"model": "claude-opus-5", "messages": []}
CHAIN = [{"model": "claude-opus-4-8"}, {"model": "claude-opus-5"}, {"model": "claude-sonnet-5"}]


def on(**more: Any) -> Retry:
    return Retry(**{"enabled": True, "fallback": CHAIN, **more})


def facts(
    body: Any = None, headers: Headers = CODE, target: bytes = b"/v1/messages?beta=true", method: bytes = b"POST"
) -> Asked:
    data = body if isinstance(body, bytes) else json.dumps(BODY | (body or {})).encode()
    return asked(method, target, headers, data)


def against(retry: Retry | None = None, given: Asked | None = None) -> Ruling | None:
    check = first_against(arming(retry or on(), given or facts()))
    return check.ruling if check else None


def declined(category: str | None = "cyber", **more: Any) -> Declined:
    return Declined(**{"kind": Kind.REFUSAL, "outcome": Outcome.REFUSED, "category": category, **more})


def ruled(retry: Retry, given: Declined, primary: str | None = "claude-opus-5") -> Ruling | None:
    check = first_against(asking(retry, primary, given))
    return check.ruling if check else None


# the request


def test_a_plain_request_is_armed() -> None:
    assert against() is None
    assert against(given=facts(headers=PYTHON)) is None
    assert against(given=facts(target=b"/proxied/v1/messages")) is None


AGAINST: dict[Ruling, Any] = {
    Ruling.OFF: lambda: against(on(enabled=False)),
    Ruling.NO_CHAIN: lambda: against(on(fallback=[])),
    Ruling.SURFACE: lambda: against(given=facts(target=b"/v1/messages/count_tokens")),
    Ruling.UNREADABLE: lambda: against(given=facts(b"[1]")),
    Ruling.FALLBACKS: lambda: against(given=facts({"fallbacks": "default"})),
    Ruling.THREAD: lambda: against(given=facts({"thread": {"type": "create"}})),
    Ruling.CREDIT_TOKEN: lambda: against(given=facts({"fallback_credit_token": "tok"})),
    Ruling.CLIENT_HOP: lambda: against(given=facts(headers=((b"X-CC-Fallback-From-Model", b"x"),))),
    Ruling.MIDDLEWARE: lambda: against(
        given=facts(headers=((b"x-stainless-helper", b"a, fallback-refusal-middleware"),))
    ),
    Ruling.OWN_CLIENT: lambda: against(given=facts({"model": "claude-fable-5-1"})),
}


@pytest.mark.parametrize("ruling", AGAINST)
def test_each_rule_on_a_request_forbids_under_its_name(ruling: Ruling) -> None:
    assert AGAINST[ruling]() == ruling


def test_the_rules_on_a_request_are_asked_in_this_order() -> None:
    assert [check.ruling for check in arming(on(), facts())] == list(AGAINST)
    everything = facts(
        {"fallbacks": [], "thread": {}, "fallback_credit_token": "t", "model": "claude-fable-5"},
        ((b"x-is-refusal-fallback", b"1"), (b"x-stainless-helper", b"fallback-refusal-middleware"), *CODE),
    )
    no = [check.ruling for check in arming(Retry(), everything) if not check.holds]
    assert no == [ruling for ruling in AGAINST if ruling not in {Ruling.SURFACE, Ruling.UNREADABLE}]


@pytest.mark.parametrize("member", ["fallbacks", "thread", "fallback_credit_token"])
@pytest.mark.parametrize("body", [b'{"%b": null}', b'{"a": "\\ud83d", "%b": null}'], ids=["plain", "half an emoji"])
def test_a_member_that_is_null_is_not_there(member: str, body: bytes) -> None:
    assert against(given=facts(body % member.encode())) is None
    assert against(given=facts(body.replace(b"null", b"0") % member.encode())) == Ruling[_RULE[member]]


_RULE = {"fallbacks": "FALLBACKS", "thread": "THREAD", "fallback_credit_token": "CREDIT_TOKEN"}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{}", frozenset()),
        (b'{"a": 1, "b": {"c": null}, "d": null}', {"a", "b"}),
        (b'{"a": "\\ud83d"}', {"a"}),
        (b"[]", None),
        (b"", None),
        (b'{"a": ', None),
    ],
)
def test_the_members_of_a_body_are_its_names(body: bytes, names: Any) -> None:
    assert members(body) == names


def test_a_body_that_is_nested_too_deeply_has_members_or_none() -> None:
    assert members(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}") in (None, {"a"})


@pytest.mark.parametrize(
    "field", [b"x-cc-fallback-trigger", b"X-CC-Fallback-Category", b"x-is-refusal-fallback"], ids=bytes.decode
)
def test_what_the_client_stamps_on_its_own_fallback_is_known(field: bytes) -> None:
    assert against(given=facts(headers=((field, b"1"), *CODE))) == Ruling.CLIENT_HOP


@pytest.mark.parametrize(
    "model", ["claude-fable-5", "claude-fable-5-1", "claude-fable-5-2-20261001", "claude-fable-6[1m]"]
)
def test_claude_code_takes_care_of_fable_itself_unless_its_owner_wants_otherwise(model: str) -> None:
    assert against(given=facts({"model": model})) == Ruling.OWN_CLIENT
    assert against(on(own_client=True), facts({"model": model})) is None
    assert against(given=facts({"model": model}, PYTHON)) is None


def test_claude_code_takes_no_care_of_other_models() -> None:
    for model in ("claude-opus-5", "claude-fabled-5", None, 7):
        assert against(given=facts({"model": model})) is None


def test_rephrasing_alone_is_something_to_do() -> None:
    assert against(on(fallback=[], rephrase=Rephrase(enabled=True))) is None


# the refusal


def test_a_refusal_of_a_listed_category_is_asked_again() -> None:
    assert ruled(on(), declined()) is None


ANY = on(routes="any", categories=["cyber", "reasoning_extraction", "none"])
FORBIDDING: dict[Ruling, Any] = {
    Ruling.KIND: lambda: ruled(ANY, declined(kind=Kind.POLICY_ERROR)),
    Ruling.API_FALLBACK: lambda: ruled(ANY, declined(outcome=Outcome.RECOVERED_BY_API)),
    Ruling.REASONING_EXTRACTION: lambda: ruled(ANY, declined("reasoning_extraction")),
    Ruling.CATEGORY: lambda: ruled(ANY, declined("bio")),
    Ruling.STORE: lambda: ruled(ANY, declined(judged_correct=None)),
    Ruling.JUDGED_CORRECT: lambda: ruled(ANY, declined(judged_correct=True)),
    Ruling.MAX_PER_HOUR: lambda: ruled(ANY, declined(attempts=30)),
    Ruling.ROUTES: lambda: ruled(on(categories=["bio"]), declined("bio")),
}


@pytest.mark.parametrize("ruling", FORBIDDING)
def test_each_rule_on_a_refusal_forbids_under_its_name(ruling: Ruling) -> None:
    assert FORBIDDING[ruling]() == ruling


def test_the_rules_on_a_refusal_are_asked_in_this_order() -> None:
    assert [check.ruling for check in asking(ANY, "claude-opus-5", declined())] == list(FORBIDDING)
    worst = declined(
        "reasoning_extraction",
        kind=Kind.POLICY_ERROR,
        outcome=Outcome.RECOVERED_BY_API,
        judged_correct=True,
        attempts=99,
    )
    no = [check.ruling for check in asking(on(), "claude-opus-5", worst) if not check.holds]
    assert no == [ruling for ruling in FORBIDDING if ruling is not Ruling.STORE]


@pytest.mark.parametrize("routes", ["vendor", "any"])
@pytest.mark.parametrize("primary", ["claude-opus-5", "claude-fable-5", "some-model", None])
def test_a_request_to_print_its_reasoning_is_never_asked_again(routes: str, primary: str | None) -> None:
    given = declined("reasoning_extraction")
    retry = on(routes=routes, categories=["reasoning_extraction"])
    assert ruled(retry, given, primary) == Ruling.REASONING_EXTRACTION
    assert chain(retry, primary, "reasoning_extraction") == []


def test_the_null_category_is_called_none() -> None:
    assert ruled(on(routes="any", categories=["none"]), declined(None)) is None
    assert ruled(on(routes="any", categories=["cyber"]), declined(None)) == Ruling.CATEGORY


def test_what_is_asked_last_within_the_hour_is_the_last() -> None:
    assert ruled(on(max_per_hour=2), declined(attempts=1)) is None
    assert ruled(on(max_per_hour=2), declined(attempts=2)) == Ruling.MAX_PER_HOUR
    assert ruled(on(max_per_hour=0), declined()) == Ruling.MAX_PER_HOUR


def test_rephrasing_may_stay_on_the_model_where_no_other_is_permitted() -> None:
    assert ruled(on(categories=["bio"], rephrase=Rephrase(enabled=True)), declined("bio")) is None


# the routes


@pytest.mark.parametrize(
    ("primary", "category", "permitted"),
    [
        ("claude-opus-5", "cyber", [0]),
        ("claude-opus-5-20260724", "cyber", [0]),
        ("claude-opus-5", None, [0]),
        ("claude-opus-5", "bio", []),
        ("claude-opus-5-5", "bio", [1]),
        ("claude-fable-5", "cyber", [0]),
        ("claude-fable-5", "frontier_llm", [1]),
        ("claude-fable-5", None, [0, 1]),
        ("claude-sonnet-5-5", "cyber", [2]),
        ("claude-haiku-5-5", "cyber", []),
        ("claude-unheard-of", "cyber", [0, 1, 2]),
        ("claude-unheard-of", None, [0, 1, 2]),
        ("claude-unheard-of", "bio", []),
        (None, "cyber", [0, 1, 2]),
        (None, "general_harms", []),
    ],
)
def test_the_vendor_s_table_says_who_may_answer(
    primary: str | None, category: str | None, permitted: list[int]
) -> None:
    assert chain(on(), primary, category) == permitted


@given(st.none() | st.text(), st.sampled_from(["cyber", "bio", "general_harms", None, "new"]))
def test_any_route_is_the_owner_s_whole_chain(primary: str | None, category: str | None) -> None:
    assert chain(on(routes="any"), primary, category) == [0, 1, 2]


@pytest.mark.parametrize(
    "entry", ["claude-opus-4", "claude-opus-4-0", "claude-opus-4-20250514", "anthropic/claude-opus-4@20250514[1m]"]
)
@pytest.mark.parametrize(
    "primary", ["claude-opus-4-0", "claude-opus-4[1m]", "us.anthropic.claude-opus-4-20250514-v1:0"]
)
@pytest.mark.parametrize("routes", ["vendor", "any"])
def test_the_model_that_declined_is_never_its_own_fallback_whatever_it_is_called(
    entry: str, primary: str, routes: str
) -> None:
    own = on(routes=routes, fallback=[{"model": entry, "max_tokens": 9}, {"model": "claude-opus-4-1"}])
    assert chain(own, primary, "cyber") == [1]
    alone = on(routes=routes, fallback=[{"model": entry}])
    assert ruled(alone, declined(), primary) == Ruling.ROUTES


def test_a_model_that_the_table_does_not_know_is_not_asked_in_its_own_place() -> None:
    chain_of = on(fallback=[{"model": "claude-unheard-of-20261001"}, {"model": "claude-opus-5"}])
    assert chain(chain_of, "claude-unheard-of", "cyber") == [1]


# the reasons


def checks() -> Iterator[Check]:
    for retry in (on(), ANY, Retry(), on(own_client=True)):
        for request in (facts(), facts({"model": "claude-fable-5", "thread": {}}, CODE), facts(b"", PYTHON, b"/v1/x")):
            yield from arming(retry, request)
        for refusal in (declined(), declined(None, judged_correct=None), declined("bio", judged_correct=True)):
            yield from asking(retry, "claude-opus-5", refusal)


def test_every_rule_says_why_in_a_few_words_that_differ_with_its_answer() -> None:
    said: dict[Ruling, dict[bool, set[str]]] = {}
    for check in checks():
        assert 5 < len(check.why) < 160
        said.setdefault(check.ruling, {}).setdefault(check.holds, set()).add(check.why)
    for answers in said.values():
        assert not answers.get(True, set()) & answers.get(False, set())


@pytest.mark.parametrize(
    ("routes", "primary", "category", "why"),
    [
        (
            "vendor",
            "claude-sonnet-5-5",
            "cyber",
            "Anthropic's table permits claude-sonnet-5 here, which is not in the chain",
        ),
        ("vendor", "claude-fable-5", None, "permits claude-opus-4-8 or claude-opus-5 here, which is not in the chain"),
        ("vendor", "claude-haiku-5-5", "cyber", "Anthropic's table permits none here"),
        ("vendor", "claude-opus-4-6", "cyber", "table does not have claude-opus-4-6, and the chain has no other model"),
        ("vendor", "claude-opus-4-6", "bio", "not have claude-opus-4-6, and then only cyber and none are asked again"),
        ("vendor", None, "bio", "not have a request without a model, and then only cyber and none are asked again"),
        ("any", "claude-opus-4-6", "bio", "the chain has no model but the one that declined"),
    ],
)
def test_where_no_model_is_permitted_it_is_told_which_would_be(
    routes: str, primary: str | None, category: str | None, why: str
) -> None:
    retry = on(routes=routes, fallback=[{"model": "claude-opus-4-6"}])
    check = first_against(asking(retry, primary, declined(category)))
    assert check
    assert check.ruling == Ruling.ROUTES
    assert check.why.endswith(why)
    assert check.why.startswith(f'retry.routes is "{routes}": no model of the chain is permitted; ')


def test_nothing_is_against_what_nothing_forbids() -> None:
    assert first_against([]) is None
