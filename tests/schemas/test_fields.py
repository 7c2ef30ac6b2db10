"""The table of a request's fields, against the SDK."""

import re

import pytest
from anthropic.types import message_create_params as stable
from anthropic.types.beta import message_create_params as beta

from schemas.fields import FIELDS, NAMES, Fields

HEADERS = {"betas", "user_profile_id", "workspace_id"}
"""What the SDK takes among the fields and sends as headers."""


@pytest.mark.parametrize("params", [stable, beta], ids=["stable", "beta"])
def test_every_field_that_the_sdk_sends_is_known(params: object) -> None:
    taken = {
        *params.MessageCreateParamsBase.__annotations__,  # type: ignore[attr-defined]
        *params.MessageCreateParamsStreaming.__annotations__,  # type: ignore[attr-defined]
    }
    assert {"max_tokens", "stream"} <= taken - HEADERS <= NAMES


def test_no_field_is_in_two_rows() -> None:
    assert sum(len(row.names) for row in FIELDS) == len(NAMES)


@pytest.mark.parametrize("row", FIELDS)
def test_every_row_has_a_source_and_a_date(row: Fields) -> None:
    assert len(row.source) > 10
    assert re.fullmatch(r"20\d\d-\d\d", row.date)
