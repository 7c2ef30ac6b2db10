"""The fields of a Messages request that are known, each group with its source and the date of it.

They are there to find slips, not to forbid anything: the API may take a field that no row has.
"""

from typing import NamedTuple


class Fields(NamedTuple):
    """Members of a request's body, and where they are published."""

    names: frozenset[str]
    source: str
    date: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FIELDS = (
    Fields(
        _words(
            "cache_control container diagnostics inference_geo max_tokens messages metadata model output_config service_tier speed"
            " stop_sequences stream system thinking tool_choice tools"
        ),
        "anthropic 2.12.0, types.message_create_params",
        "2026-11",
    ),
    Fields(
        _words("billing_policy compaction context_management fallback_credit_token fallbacks mcp_servers thread"),
        "anthropic 2.12.0, types.beta.message_create_params",
        "2026-11",
    ),
    Fields(
        _words("temperature top_k top_p"),
        "platform.claude.com, Messages: deprecated, models before Claude Opus 4.7 take them",
        "2026-11",
    ),
    Fields(
        _words("anthropic_beta anthropic_version"),
        "Amazon Bedrock and Google Cloud: in the body what is a header elsewhere",
        "2026-11",
    ),
)

NAMES = frozenset[str]().union(*(row.names for row in FIELDS))
"""All of them."""
