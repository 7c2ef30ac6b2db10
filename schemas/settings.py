"""Every setting, with its default and one sentence. ``docs/settings.md`` is generated from this file.

A setting that a later version brings stands in ``PLANNED``: a file that has it is read, and says so, instead of failing.
"""

from typing import Annotated

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
    mitmproxy: Mitmproxy = field(default_factory=Mitmproxy)


PLANNED = ("retry", "exemption", "prices")
"""Tables of ``demur.toml`` whose capability is not built yet."""
