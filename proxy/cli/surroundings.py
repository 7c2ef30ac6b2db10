"""What ``demur doctor`` looks at around demur: mitmproxy's certificate, the environment that Claude Code will have, and Claude Code."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from proxy.cli import nothing
from proxy.cli.check import Check, fail, ok, warn
from proxy.cli.reaching import answers, host_of, place_of
from proxy.cli.words import url
from proxy.upstream import is_loopback

CA = Path("~/.mitmproxy/mitmproxy-ca-cert.pem")
"""Where mitmproxy keeps the certificate that its clients have to trust."""


def authority() -> Iterator[Check]:
    """mitmproxy's certificate of a CA."""
    path = CA.expanduser()
    there = path.exists()
    yield ok(
        "certificate",
        f"{path}" if there else f"{path} is not there yet; `demur mitm` makes it when it first starts",
    )


def transcripts() -> Iterator[Check]:
    """Claude Code's transcripts, which need none of the rest."""
    place = nothing.transcripts()
    there, named = ("Claude Code's are in", "") if place.is_dir() else ("there are none in", " FILE")
    what = "reads what was declined before, without the API and the gateway"
    yield ok("transcripts", f"{there} {place}; `demur import{named}` {what}")


def environment() -> Iterator[Check]:
    """The variables that lead Claude Code somewhere, and those by which it trusts what is there."""
    yield _base_url(os.environ.get("ANTHROPIC_BASE_URL", ""))
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or ""
    authorities = os.environ.get("NODE_EXTRA_CA_CERTS", "")
    if proxy and not authorities and is_loopback(host_of(proxy)):
        todo = f"where that is `demur mitm`, set NODE_EXTRA_CA_CERTS={CA.expanduser()}"
        yield warn("HTTPS_PROXY", f"{url(proxy)}, without NODE_EXTRA_CA_CERTS", todo)
    else:
        yield ok("HTTPS_PROXY", url(proxy) or "not set")
    yield _authorities(authorities, through_us=is_loopback(host_of(proxy)))


def _authorities(given: str, *, through_us: bool) -> Check:
    ours = CA.expanduser()
    if given and not Path(given).exists():
        todo = "correct it: Claude Code trusts no certificate of it"
        return warn("NODE_EXTRA_CA_CERTS", f"{given} is not there", todo)
    if given and through_us and ours.exists() and not _certificates(ours) <= _certificates(Path(given)):
        todo = f"where HTTPS_PROXY is `demur mitm`, set NODE_EXTRA_CA_CERTS={ours}, or add that file's text to yours"
        return warn("NODE_EXTRA_CA_CERTS", f"{given}, without the certificate of {ours}", todo)
    return ok("NODE_EXTRA_CA_CERTS", given or "not set")


def _certificates(path: Path) -> set[str]:
    """The base64 of those in a PEM file (RFC 7468)."""
    found = re.findall(
        r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", path.read_text("latin-1"), re.DOTALL
    )
    return {"".join(body.split()) for body in found}


def _base_url(given: str) -> Check:
    if not given:
        return ok("ANTHROPIC_BASE_URL", "not set; `demur run` sets it for what it starts")
    if is_loopback(host_of(given)):
        place = place_of(given)
        if place and answers(*place):
            return ok("ANTHROPIC_BASE_URL", url(given))
        todo = "start what should listen there, or unset it: `demur run` sets it for what it starts"
        return fail("ANTHROPIC_BASE_URL", f"{url(given)}, where nothing accepts connections", todo)
    todo = "`demur run` passes on to it; to use `demur up`, set it to the URL that `demur up` prints"
    return warn("ANTHROPIC_BASE_URL", f"{url(given)}, which is not this machine", todo)


def claude() -> Iterator[Check]:
    """The program."""
    if path := shutil.which("claude"):
        yield ok("claude", path)
    else:
        yield warn(
            "claude",
            "Claude Code is not on the PATH",
            "install it, or name its path: demur run -- /path/to/claude",
        )
