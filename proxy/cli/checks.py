"""What ``demur doctor`` looks at. Each check says what was found and, where that is not well, what to do.

Nothing is changed, no request is sent, no other program is run. A check that fails itself is a finding like any other.
"""

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from proxy import __version__
from proxy.cli import inforce
from proxy.cli.check import Check, fail, ok, warn
from proxy.cli.reaching import answers, leads_to, proxy_of, reach
from proxy.cli.surroundings import authority, claude, environment, transcripts
from proxy.cli.words import count, line, size, url, without_secrets
from proxy.database import files
from proxy.fallbacks import told
from proxy.settings import InForce, SettingsError, address, load
from proxy.upkeep import Finding, Health, health
from proxy.upstream import UntrustedError, Upstream, UpstreamError, is_loopback
from schemas.settings import Settings

PACKAGES = ("mitmproxy", "aiohttp", "httptools", "uvloop")
OLDEST_MITMPROXY = (12, 2)
_MILD = {"spools", "space", "privacy", "losses"}
"""Findings about the store that stop nothing."""


def checks(db: str | None, config: str | None, *, offline: bool) -> Iterator[Check]:
    """All of them, in the order in which a person would go about it. ``offline``: the API is not connected to."""
    yield from _looked_at("versions", _versions)
    try:
        in_force = load(config, {"db": db})
    except SettingsError as error:
        yield _public(fail("config", str(error), "correct it; what depends on the settings was not checked"))
    else:
        yield from _looked_at("config", lambda: _config(in_force))
        yield from _looked_at("settings", lambda: _settings(in_force))
        store = cache(lambda: health(in_force.db))
        yield from _looked_at("retry", lambda: inforce.checks(in_force, _since(store)))
        yield from _looked_at("database", lambda: _store(in_force.db, store()))
        yield from _looked_at("upstream", lambda: _upstream(in_force.settings, offline=offline))
        yield from _looked_at("gateway", lambda: _gateway(in_force.settings))
    yield from _looked_at("transcripts", transcripts)
    yield from _looked_at("certificate", authority)
    yield from _looked_at("environment", environment)
    yield from _looked_at("claude", claude)


def _looked_at(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return [_public(check) for check in look()]
    except OSError as error:
        what = f"{error.filename or 'it'} cannot be looked at: {error.strerror or error}"
        return [_public(fail(name, what, "check the permissions of the file and of its folder"))]
    except Exception as error:  # noqa: BLE001 - doctor tells of what is broken, and must not be stopped by it
        return [_public(fail(name, f"cannot be checked: {type(error).__name__}: {error}", "report this"))]


def _public(check: Check) -> Check:
    return check._replace(found=line(without_secrets(check.found)), todo=line(without_secrets(check.todo)))


def _since(store: Callable[[], Health]) -> int | None:
    """What cannot be looked at is a finding of its own."""
    try:
        return store().since
    except OSError:
        return None


def _versions() -> Iterator[Check]:
    found = {name: _version(name) for name in PACKAGES}
    told = [f"{name} {number}" for name, number in found.items() if number]
    missing = [
        name for name, number in found.items() if not number and not (name == "uvloop" and sys.platform == "win32")
    ]
    python = ".".join(map(str, sys.version_info[:3]))
    what = ", ".join([f"demur {__version__}", f"Python {python}", *told, *(f"no {name}" for name in missing)])
    old = _numbers(found["mitmproxy"] or "0") < OLDEST_MITMPROXY
    todo = "install demur again, in an environment of its own" if missing or old else ""
    yield Check("versions", "fail" if todo else "ok", what, todo)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _config(in_force: InForce) -> Iterator[Check]:
    if not in_force.config.exists():
        yield ok("config", f"{in_force.config} is not there; what is not set otherwise has its default")
        return
    yield ok("config", f"{in_force.config} was read")


def _settings(in_force: InForce) -> Iterator[Check]:
    """Those that are not left at their default, with where they come from."""
    for name, origin in in_force.origins.items():
        variable = f" ({_variable(name)})" if origin == "environment" else ""
        yield ok(name, f"{_value(in_force.settings, name)}, from {_ORIGINS.get(origin, origin)}{variable}")
    for warning in in_force.warnings:
        yield warn("settings", warning, "change it, or leave it if that is meant")
    if not in_force.settings.capture.redact_secrets:
        todo = "set capture.redact_secrets = true, unless you mean it"
        yield warn("secrets", "keys and tokens in declined requests are stored as they are", todo)
    yield from _deny(in_force.settings.redact.deny)


_ORIGINS = {"environment": "the environment", "flag": "the command line"}


def _variable(name: str) -> str:
    return "DEMUR_" + name.replace(".", "_").upper()


def _value(settings: Settings, name: str) -> str:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    if name == "redact.deny":  # what must never be written is not written here either
        return count(len(value), "entry")
    if name == "retry.rephrase.scope_note":  # nor is what will be said in a prompt
        return count(len(value), "character")
    if name in _URLS:
        return url(str(value))
    if name == "retry.fallback":
        return ", ".join(map(told, value))
    return (
        ", ".join(value)
        if isinstance(value, list | dict)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


_URLS = {"upstream", "upstream_proxy", "retry.rephrase.restate_upstream"}


def _deny(entries: list[str]) -> Iterator[Check]:
    from proxy.core.redact import Redactor

    for n, entry in enumerate(entries, 1):
        try:
            Redactor([entry])
        except ValueError:
            todo = "say a word, or a regular expression between slashes"
            yield fail(f"redact.deny[{n}]", "it cannot be used", todo)
        else:
            if _MEANT.search(entry) and not (len(entry) > 1 and entry[0] == entry[-1] == "/"):
                what = "it looks like a regular expression and is taken as a plain word"
                yield warn(f"redact.deny[{n}]", what, "write it between slashes, /…/, if it is a regular expression")


_MEANT = re.compile(r"[\\\[+*?]")


def _store(path: Path, report: Health) -> Iterator[Check]:
    folder = Path(os.path.realpath(path)).parent
    for finding in report.findings:
        if finding.name == "privacy" and _others_write_to(folder):
            todo = f"chmod go-w {folder}, or name a folder of your own with --db"
            yield warn("privacy", f"others may write to {folder}, and so put other files in the place of yours", todo)
            if finding.ok:
                continue
        yield _of_finding(finding, path)
    if not path.exists():
        yield from _could_be_made(path)


def _of_finding(finding: Finding, path: Path) -> Check:
    status = "ok" if finding.ok else "warn" if finding.name in _MILD and not finding.grave else "fail"
    used = sum(file.stat().st_size for file in files(path)) if finding.name == "database" and finding.ok else 0
    return Check(finding.name, status, finding.what + (f", {size(used)}" if used else ""), finding.todo)


def _others_write_to(folder: Path) -> bool:
    """In a sticky folder, such as /tmp, nobody replaces the files of others."""
    if os.name != "posix" or not folder.is_dir():
        return False
    mode = folder.stat().st_mode
    return bool(mode & (stat.S_IWGRP | stat.S_IWOTH)) and not mode & stat.S_ISVTX


def _could_be_made(path: Path) -> Iterator[Check]:
    place = next(folder for folder in path.absolute().parents if folder.exists())
    if not place.is_dir():
        yield fail("writing", f"{place} is no folder", "name another place with --db")
    elif not os.access(place, os.W_OK | os.X_OK):
        yield fail(
            "writing", f"{place} cannot be written to", "change its permissions, or name another place with --db"
        )


def _upstream(settings: Settings, *, offline: bool) -> Iterator[Check]:
    try:
        upstream = Upstream(settings.upstream, ca=settings.upstream_ca, proxy=settings.upstream_proxy)
        if offline:
            yield ok("upstream", f"{url(settings.upstream)}, not connected to (--offline)")
            return
        reach(upstream)
    except UpstreamError as error:
        yield _unreached(settings, error)
    else:
        yield ok("upstream", f"{url(settings.upstream)} accepts connections")


def _unreached(settings: Settings, error: UpstreamError) -> Check:
    proxy = url(proxy_of(settings.upstream, settings.upstream_proxy))
    if proxy and isinstance(error, UntrustedError):
        what = f"the proxy {proxy} shows a certificate of its own for {url(settings.upstream)}, as mitmproxy does"
        todo = (
            "Claude Code needs the proxy's CA in NODE_EXTRA_CA_CERTS; `demur run` and `demur up` through this proxy need it in"
            " the setting upstream_ca"
        )
        return warn("upstream", what, todo)
    todo = "check the network, HTTPS_PROXY, and the settings upstream, upstream_ca and upstream_proxy"
    return fail("upstream", str(error), todo)


def _gateway(settings: Settings) -> Iterator[Check]:
    try:
        host, port = address(settings.listen)
    except SettingsError as error:
        yield fail("gateway", str(error), "correct the setting listen")
        return
    if not is_loopback(host):
        yield fail(
            "gateway",
            f"{host} is not a loopback address",
            "set listen to 127.0.0.1:8788: demur has no authentication yet",
        )
    elif answers(host, port):
        yield ok("gateway", f"something accepts connections at {settings.listen}")
    elif leads_to(os.environ.get("ANTHROPIC_BASE_URL", ""), host, port):
        yield fail(
            "gateway",
            f"nothing accepts connections at {settings.listen}, where ANTHROPIC_BASE_URL leads",
            "start it: demur up",
        )
    else:
        what = f"nothing accepts connections at {settings.listen}"
        yield warn("gateway", what, "start it: `demur up`. `demur run` needs none")
