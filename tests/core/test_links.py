"""Addresses by class."""

import re

import pytest

from proxy.core.links import LINKS, links
from schemas.labels import Kind


@pytest.mark.parametrize(
    ("kind", "category", "names"),
    [
        (Kind.REFUSAL, "cyber", ["cyber", "refusals"]),
        (Kind.REFUSAL, "reasoning_extraction", ["terms", "refusals"]),
        (Kind.REFUSAL, "frontier_llm", ["terms", "refusals"]),
        (Kind.REFUSAL, "bio", ["policy", "refusals"]),
        (Kind.REFUSAL, None, ["policy", "refusals"]),
        (Kind.OUTPUT_FILTER, None, ["output_filter"]),
        (Kind.POLICY_ERROR, None, []),
    ],
)
def test_each_class_has_its_addresses(kind: Kind, category: str | None, names: list[str]) -> None:
    assert links(kind, category) == [LINKS[name] for name in names]


def test_who_was_approved_is_sent_to_appeal_and_not_to_apply() -> None:
    assert links(Kind.REFUSAL, "cyber", despite=True) == [LINKS["appeal"], LINKS["refusals"]]


def test_an_address_has_a_month_and_no_token() -> None:
    for link in LINKS.values():
        assert re.fullmatch(r"2026-\d\d", link.seen)
        assert re.fullmatch(r"https://[\w./-]+", link.url)
