"""What is in force of ``[retry]``, in words, and whether the demur that runs has read it as it stands."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.cli.check import Check, ok, warn
from proxy.cli.words import count, line, moment
from proxy.fallbacks import told
from schemas.settings import Retry

if TYPE_CHECKING:
    from proxy.settings import InForce


def stance(retry: Retry) -> str:
    """``retry on: claude-opus-4-8, then claude-opus-5``: for a line that tells more than this."""
    if not retry.enabled:
        return "retry is off" + (", the tool guard is on" if guarded(retry) else "")
    ways = [line(str(entry["model"])) for entry in retry.fallback]
    ways += [f"rephrased ({retry.rephrase.strategy})"] * retry.rephrase.enabled
    return f"retry on: {', then '.join(ways) or 'nothing is asked, there is no [[retry.fallback]]'}"


def guarded(retry: Retry) -> bool:
    """Whether the tool guard is on."""
    return retry.enabled if retry.tool_guard is None else retry.tool_guard


def whole(retry: Retry) -> str:
    """The whole of it in one line."""
    guard = f"tool guard {'on' if guarded(retry) else 'off'}"
    if not retry.enabled:
        return f"off: nothing is asked again; {guard}"
    chain = ", then ".join(map(told, retry.fallback)) or "no fallback"
    rephrase = f"rephrasing by {retry.rephrase.strategy}" if retry.rephrase.enabled else ""
    facts = (chain, rephrase, f"wire {retry.wire}", _sticky(retry), guard, f"routes {retry.routes}")
    return f"on: {'; '.join(fact for fact in facts if fact)}"


def checks(in_force: "InForce", since: int | None) -> Iterator[Check]:
    """For ``demur doctor``: what retry is, and a warning where a process that keeps records began before the file was changed.

    ``since``: when the oldest of these began, in ms since 1970; None where none is known.
    """
    outdated = since is not None and since < _changed_ms(in_force)
    known = since is not None and not outdated
    yield ok("retry", whole(in_force.settings.retry) + ("" if known else "; as of the next start of demur"))
    if since is not None and outdated:
        began = moment(datetime.fromtimestamp(since / 1000, UTC).isoformat())
        what = f"{in_force.config} was changed after a demur had begun that still runs (since {began})"
        yield warn("running", what, "start that one again to use it, unless it reads another file")


def _changed_ms(in_force: "InForce") -> float:
    try:
        return in_force.config.stat().st_mtime_ns / 1e6
    except OSError:
        return 0.0


def _sticky(retry: Retry) -> str:
    from proxy.core.plan import STICKY_MIN

    minutes = STICKY_MIN if retry.sticky is True else int(retry.sticky)
    return f"sticky for {count(minutes, 'minute')}" if minutes and retry.fallback else "not sticky"
