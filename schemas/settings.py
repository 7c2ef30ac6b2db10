"""Every setting, with its default and one sentence. ``docs/settings.md`` is generated from this file."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field


def _doc(text: str, *, least: int | None = None) -> Meta:
    return Meta(description=text, ge=least)


class Capture(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[capture]``: what is kept of a declined request."""

    content: Annotated[str, _doc('"none": metadata and hashes only. "refusals": the declined request, whole.')] = (
        "refusals"
    )
    redact_secrets: Annotated[bool, _doc("Keys, tokens and cookies are taken out before anything is written.")] = True
    retention_days: Annotated[
        int, _doc("Records older than this are removed when a writer starts; 0 keeps them.", least=0)
    ] = 90


class Redact(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[redact]``: what must never be written, beside the built-in table of secrets."""

    deny: Annotated[
        list[str],
        _doc(
            "Further words, and regular expressions between slashes (`/acme-[0-9]+/`), that are replaced before the write."
        ),
    ] = field(default_factory=list)


class Rephrase(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[retry.rephrase]``: one more attempt with the last turn of the user put differently. See docs/retry.md for what it never does."""

    enabled: Annotated[bool, _doc("Off unless its owner turns it on; works without a fallback chain too.")] = False
    strategy: Annotated[
        str,
        _doc(
            '"scope-note" adds the owner\'s statement, "trim" leaves out the newest tool result or document and says so, '
            '"restate" asks a named model to put the last user text more plainly.'
        ),
    ] = "scope-note"
    scope_note: Annotated[str, _doc('The owner\'s own words; required for "scope-note".')] = ""
    model: Annotated[str, _doc("The model that the rephrased request goes to; empty: the one that declined.")] = ""
    restate_model: Annotated[str, _doc('The model that restates; required for "restate".')] = ""
    restate_upstream: Annotated[
        str, _doc("Where it is asked: any Messages-compatible URL, a local one too; empty: the upstream.")
    ] = ""
    restate_key_env: Annotated[
        str, _doc("The name of an environment variable that holds its key, never the key itself; empty: none is sent.")
    ] = ""
    max_attempts: Annotated[int, _doc("Rephrased attempts for one request.", least=0)] = 1


class Retry(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[retry]``: whether and how a declined request is asked again. docs/retry.md explains each."""

    enabled: Annotated[bool, _doc("Off unless its owner turns it on.")] = False
    wire: Annotated[
        str,
        _doc('"marked": official fallback blocks. "plain": none. "auto": marked only for clients that asked for them.'),
    ] = "auto"
    mid_stream: Annotated[
        str,
        _doc('Where a splice would not be safe: "refuse" lets the refusal stand, "restart" appends a second answer.'),
    ] = "refuse"
    credit: Annotated[bool, _doc("Ask for fallback credit and redeem it.")] = True
    sticky: Annotated[
        bool | int, _doc("Later turns stay on the model that answered: true (an hour), false, or minutes.")
    ] = True
    tool_guard: Annotated[
        bool | None, _doc("No tool of a declined turn runs. Follows `enabled` where it is not set; may be on alone.")
    ] = None
    own_client: Annotated[bool, _doc("Also for a client that falls back by itself (Claude Code with Fable).")] = False
    categories: Annotated[
        list[str],
        _doc('Which refusals may be asked again; "none" is the null category. reasoning_extraction never is.'),
    ] = field(default_factory=lambda: ["cyber", "bio", "frontier_llm", "none"])
    routes: Annotated[
        str,
        _doc(
            '"vendor": only where Anthropic\'s table permits model x category -> target. "any": the whole chain, but never the model that declined.'
        ),
    ] = "vendor"
    hold: Annotated[
        str, _doc('Plain wire: hold until the first text or tool ("thinking") or until the first block ("block").')
    ] = "thinking"
    max_attempts: Annotated[int, _doc("Further attempts for one request, rephrased ones included.", least=0)] = 3
    max_per_hour: Annotated[int, _doc("Further attempts for one session within an hour.", least=0)] = 30
    hold_s: Annotated[int, _doc("Longest time that a response may be held back, in seconds.", least=0)] = 60
    fallback: Annotated[
        list[dict[str, Any]],
        _doc(
            "Tried in order. `model` is required; further keys patch the request, `output_config` one level deep; "
            '"unset" lists keys to leave out. Lines below `[[retry.fallback]]` belong to it: settings of `[retry]` stand above the first. '
            "In the environment: names of models, separated by commas."
        ),
    ] = field(default_factory=list)
    rephrase: Rephrase = field(default_factory=Rephrase)


class Exemption(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[exemption]``: what the owner knows of an approval by the Cyber Verification Program."""

    approved_on: Annotated[
        str, _doc('A date (2026-11-01): refusals of category cyber from then on are marked "despite exemption".')
    ] = ""


class Mitmproxy(Struct, kw_only=True, forbid_unknown_fields=True):
    """``[mitmproxy]``: for the add-on."""

    hosts: Annotated[
        list[str], _doc("The hosts that are decrypted and observed; all others are tunnelled untouched.")
    ] = field(default_factory=lambda: ["api.anthropic.com"])


class Settings(Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole of ``demur.toml``."""

    listen: Annotated[str, _doc("HOST:PORT of the gateway. Only loopback addresses are allowed.")] = "127.0.0.1:8788"
    upstream: Annotated[str, _doc("The API that requests are passed on to.")] = "https://api.anthropic.com"
    upstream_ca: Annotated[
        str, _doc("A PEM file of certificate authorities to trust upstream, beside the system's.")
    ] = ""
    upstream_proxy: Annotated[
        str,
        _doc("An HTTP proxy to reach the API through; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured."),
    ] = ""
    db: Annotated[str, _doc("The database file; the default is demur.db in the user's data folder.")] = ""
    max_body_mb: Annotated[
        int, _doc("The largest Messages request that is accepted, in MiB; a larger one gets a 413.", least=1)
    ] = 64
    drain_s: Annotated[int, _doc("How long a stopping gateway waits for open responses, in seconds.", least=0)] = 30
    capture: Capture = field(default_factory=Capture)
    redact: Redact = field(default_factory=Redact)
    retry: Retry = field(default_factory=Retry)
    exemption: Exemption = field(default_factory=Exemption)
    prices: Annotated[
        dict[str, dict[str, float]],
        _doc(
            "USD per million tokens, by model: `[prices.claude-opus-5]` with `input`, `output`, `cache_read`, "
            "`cache_write`. No money is shown without it."
        ),
    ] = field(default_factory=dict)
    mitmproxy: Mitmproxy = field(default_factory=Mitmproxy)
