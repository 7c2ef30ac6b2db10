import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.hints import Hints, folded, has_long, lower, plain
from proxy.core.redact import Redactor
from proxy.core.secrets import RULES

LITERALS = ("sk-", "sk-ant-", "hf_", "AKIA", "eyJ", "://", "1//0", "password", "passwd", "_authtoken", "token", "key")
HINTS = Hints(LITERALS)
pieces = st.sampled_from(
    [*LITERALS, "s", "k", "-", "_", "A", "é", "漢", "😀", "\ud800", "İ", "\N{KELVIN SIGN}", "K", "TO"]
)
texts = st.lists(st.one_of(pieces, st.text(max_size=3))).map("".join)


@given(texts)
@example("to\N{KELVIN SIGN}en")
@example("sİg ASKIA sk-sk-ant-")
def test_the_literals_that_stand_in_a_text_are_found_in_their_order(text: str) -> None:
    assert HINTS.within(plain(text)) == [literal for literal in LITERALS if literal in text]
    assert HINTS.within(lower(text)) == [literal for literal in LITERALS if literal in folded(text)]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["npm_", "hvs.", "sq0atp-", "_", ".", "-", "a" * 15, "b" * 16, "é", "漢", " "]),
            st.text(max_size=3),
        )
    ).map("".join)
)
def test_the_literal_of_a_token_is_found_where_a_long_word_follows(text: str) -> None:
    literals = ["npm_", "hvs.", "sq0atp-"]
    found = Hints(literals, literals).within(plain(text))
    followed = [one for one in literals if re.search(re.escape(one) + r"[A-Za-z0-9_+/=-]{16}", text)]
    assert set(followed) <= set(found)
    assert bool(found) == bool(followed) <= has_long(text)


@given(texts)
def test_folding_keeps_every_character_in_its_place(text: str) -> None:
    assert len(folded(text)) == len(text)


@given(
    st.lists(st.sampled_from([*(rule.hint for rule in RULES), "-", " ", "=", ":", '"', "Ab1", "x" * 20, "9" * 16])).map(
        "".join
    )
)
def test_a_rule_finds_what_its_pattern_finds(text: str) -> None:
    for rule in RULES:
        source = folded(text) if rule.fold else text
        group = "s" if "s" in rule.pattern.groupindex else 0
        matches = [match for match in rule.pattern.finditer(source) if not rule.judge or rule.judge(text, match)]
        assert [found[:2] for found in rule.find(text, source)] == [match.span(group) for match in matches]


@pytest.mark.parametrize("name", ["github-token", "api_key", "password"])
def test_a_placeholder_names_no_further_secret(name: str) -> None:
    once = f":11111111 [redacted:{name}] :11111111"
    assert Redactor().text(once) == (once, 0)
