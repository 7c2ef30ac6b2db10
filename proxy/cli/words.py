"""How facts are put into words: the one place. What others wrote is shown so that it cannot drive a terminal."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from schemas.labels import Kind, Outcome, Result, Role, Ruling, Stage, Verdict
from schemas.records import Refusal

STAGES = {Stage.BEFORE_OUTPUT: "before output", Stage.MID_STREAM: "mid-stream"}
OUTCOMES = {
    Outcome.REFUSED: "refused",
    Outcome.RECOVERED_BY_DEMUR: "recovered by demur",
    Outcome.RECOVERED_BY_API: "recovered by the API",
    Outcome.RECOVERED_BY_CLIENT: "recovered by the client",
    Outcome.UNKNOWN: "unknown",
}
RESULTS = {
    Result.ANSWERED: "answered",
    Result.REFUSED: "declined",
    Result.RECOVERED_BY_DEMUR: OUTCOMES[Outcome.RECOVERED_BY_DEMUR],
    Result.RECOVERED_BY_API: OUTCOMES[Outcome.RECOVERED_BY_API],
    Result.RECOVERED_BY_CLIENT: OUTCOMES[Outcome.RECOVERED_BY_CLIENT],
    Result.OUTPUT_FILTER: "stopped by the output filter",
    Result.POLICY_ERROR: "policy error",
    Result.UNCLASSIFIED: "declined in an unknown way",
    Result.ERROR: "failed",
    Result.CUT: "cut off",
    Result.UNREADABLE: "could not be read",
}
ROLES = {
    Role.MAIN: "main conversation",
    Role.SUBAGENT: "sub-agent",
    Role.COMPACTION: "compaction",
    Role.TITLE: "title",
    Role.CLASSIFIER: "classifier",
    Role.COUNT_TOKENS: "token count",
    Role.OTHER: "other",
}
VERDICTS = {
    Verdict.UNKNOWN: "unknown",
    Verdict.FALSE_POSITIVE: "false positive",
    Verdict.CORRECT: "correct",
    Verdict.UNSURE: "unsure",
}
_NOT = "not asked again: "
RULINGS = {
    Ruling.RECOVERED: "asked again, and answered",
    Ruling.EXHAUSTED: "asked again, but every model that was asked declined or failed",
    Ruling.OFF: f"{_NOT}retry is not turned on (retry.enabled)",
    Ruling.NO_CHAIN: f"{_NOT}there is neither a [[retry.fallback]] nor a rephrasing",
    Ruling.SURFACE: f"{_NOT}it was not a plain Messages request",
    Ruling.UNREADABLE: f"{_NOT}the request or the answer could not be read",
    Ruling.FALLBACKS: f"{_NOT}the request asks the API itself to fall back (fallbacks)",
    Ruling.API_FALLBACK: f"{_NOT}the API itself had fallen back already",
    Ruling.THREAD: f"{_NOT}the request carries no history (thread), so no other model can take it",
    Ruling.CREDIT_TOKEN: f"{_NOT}the client was redeeming a fallback credit, so it was falling back itself",
    Ruling.CLIENT_HOP: f"{_NOT}it was the client's own answer to a refusal",
    Ruling.MIDDLEWARE: f"{_NOT}the client has the SDK's fallback middleware",
    Ruling.OWN_CLIENT: f"{_NOT}this client falls back by itself for this model (retry.own_client)",
    Ruling.KIND: f"{_NOT}only a structured refusal is",
    Ruling.REASONING_EXTRACTION: f"{_NOT}reasoning_extraction never is, whatever is set",
    Ruling.CATEGORY: f"{_NOT}the category is not listed in retry.categories",
    Ruling.JUDGED_CORRECT: f"{_NOT}a person judged a refusal of the same content correct",
    Ruling.STORE: f"{_NOT}what persons judged could not be read",
    Ruling.MAX_PER_HOUR: f"{_NOT}the session had had its further attempts for the hour (retry.max_per_hour)",
    Ruling.MAX_ATTEMPTS: f"{_NOT}the request had had its further attempts (retry.max_attempts)",
    Ruling.ROUTES: f'{_NOT}retry.routes lets no model of the chain take over for this model and category; set retry.routes = "any" to ask'
    " every other model of the chain all the same: that is then your decision",
    Ruling.UNFIT: f"{_NOT}no model of the chain can take this request",
    Ruling.UNREPHRASED: f"{_NOT}it could not be rephrased, or what came of that did not pass (the attempts, or `demur retry --explain`, say why)",
    Ruling.TOOL: f"{_NOT}output with a tool call had been sent, and nothing may follow that",
    Ruling.MID_STREAM: f"{_NOT}output had been sent, and no other answer could safely follow it (retry.mid_stream)",
    Ruling.HOLD: f"{_NOT}the response had been held back for as long as allowed (retry.hold_s)",
    Ruling.LEFT: f"{_NOT}the client had left",
    Ruling.FAILED: f"{_NOT}demur itself failed, and passed the refusal on",
}
"""Which rule decided whether it was asked again, in a sentence without its full stop."""
SENDERS = {"client": "the client", "api": "the API itself", "demur": "demur"}

# C0 and C1 controls, what has no width, what turns the direction of text, lone surrogates, invisible tags.
_RISKY = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f"
)
_IN_LINE = re.compile(f"[{_RISKY}]")
_IN_TEXT = re.compile(rf"(?![\n\t])[{_RISKY}]")
_IN_JSON = re.compile(rf"(?!\n)[{_RISKY}]")
_CREDENTIALS = re.compile(r"(?:(?<=://)[^/\s'\"]*|[^\s/@'\":]+:[^\s/@'\"]+)@")
_QUERY = re.compile(r"(?<=[\w/])\?[^\s'\"]*=[^\s'\"]*")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def line(text: str) -> str:
    """In one line, with escapes for whatever a terminal would obey."""
    return _IN_LINE.sub(_escape, text)


def text(text: str) -> str:
    """The same for text of several lines: line feeds and tabs stay."""
    return _IN_TEXT.sub(_escape, text)


def as_json(value: object, *, indent: int | None = None) -> str:
    """JSON of builtins, in characters that people can read and none that a terminal would obey."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _IN_JSON.sub(_json_escape, written)


def from_json(content: bytes) -> Any:
    """The value of stored JSON. Its text where that would not say the same: no JSON, a key that stands twice, no number."""
    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "backslashreplace")


def without_secrets(message: str) -> str:
    """Without the credentials and the query of a URL, and whatever else looks like a secret."""
    from proxy.core.redact import Redactor

    hidden = _QUERY.sub("?[hidden]", _CREDENTIALS.sub("[hidden]@", message))
    return Redactor().text(hidden)[0]


def url(given: str) -> str:
    """A URL without credentials, however badly it is written."""
    scheme, mark, rest = given.rpartition("://")
    return f"{scheme}{mark}[hidden]@{rest.rpartition('@')[2]}" if "@" in rest else given


def size(n: int) -> str:
    """Bytes, as ``43 kB``."""
    return _scaled(n, ("B", "kB", "MB", "GB"))


def tokens(n: int) -> str:
    """An estimated number of tokens, as ``~11k``."""
    return "~" + _scaled(n, ("", "k", "M", "G")).replace(" ", "")


def count(n: int, noun: str) -> str:
    """``1 refusal``, ``1,204 refusals``, ``2 entries``."""
    return f"{n:,} {noun if n == 1 else noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def short(name: str) -> str:
    """The beginning of a session's name or of a hash, enough for people."""
    return line(name.removeprefix("b2:")[:12])


def local(at: str) -> datetime | None:
    """A record's time on this machine's clock; None where an importer gave none that can be read."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone()


def moment(at: str) -> str:
    """``2026-11-23 15:36:02 +0100``."""
    found = local(at)
    return f"{found:%Y-%m-%d %H:%M:%S %z}" if found else line(at)


def category(refusal: Refusal) -> str:
    """What the API called it; the kind, where it is no refusal by the safeguards. Both as programs and ``--kind`` have them."""
    if refusal.kind != Kind.REFUSAL:
        return str(refusal.kind)
    return line(refusal.category) if refusal.category else "none"


def ruling(name: str, *, tried: bool = False) -> str:
    """The sentence of a ruling. ``tried``: demur had asked before, and only did not go on."""
    said = RULINGS.get(Ruling(name)) if name in set(Ruling) else None
    return line(name) if said is None else said.replace("not asked again", "not asked once more") if tried else said


def exactness(refusal: Refusal) -> str:
    """What the stored request is, beside the one that was sent."""
    if refusal.exact is None:
        return "the request is not stored, only its map"
    if refusal.exact:
        return "the stored request is the sent one to the byte"
    if refusal.replacements:
        were = "secret was" if refusal.replacements == 1 else "secrets were"
        return f"the stored request is the sent one, but {refusal.replacements} {were} replaced"
    return "the stored request is not the sent one to the byte"


def certainty(refusal: Refusal) -> str:
    """``message_delta.stop_reason, confidence 1 (by structure)``."""
    by = "wording" if refusal.evidence.startswith("rule:") else "structure"
    return f"{line(refusal.evidence)}, confidence {refusal.confidence:g} (by {by})"


def bracketed(fact: str | None) -> str:
    """`` (cyber)``, or nothing."""
    return f" ({line(fact)})" if fact else ""


def _escape(found: re.Match[str]) -> str:
    point = ord(found[0])
    return _SHORT.get(found[0]) or (
        f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
    )


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}" if ord(found[0]) < 0x10000 else json.dumps(found[0])[1:-1]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _number(digits: str) -> float:
    number = float(digits)
    return number if abs(number) != float("inf") else _no_number(digits)


def _scaled(n: int, units: tuple[str, ...]) -> str:
    number, unit = float(n), 0
    while round(number) >= 1000 and unit < len(units) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {units[unit]}" if unit and number < 9.95 else f"{number:.0f} {units[unit]}"
