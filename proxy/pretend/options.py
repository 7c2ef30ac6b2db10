"""How a scenario is played, and the rules that choose one."""

import shlex
from typing import Literal

import msgspec
from msgspec import Struct


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a play that its scenario does not decide."""

    category: str | None = "cyber"
    explanation: str | None = ""
    """Empty: the category's usual text; that of ``cyber`` carries an exemption link with a secret token."""
    text: str = "Hello from the pretend API. Everything that you read here was written beforehand."
    """The text of an answer. One that continues a text with which this begins says only the rest."""
    partial: str = "Certainly. The first step is to "
    """What is said before a refusal in mid-stream."""
    claim: bool | None = None
    """Whether a refusal in mid-stream may be continued; None: where it has text."""
    command: str = "echo hi"
    """What a tool call runs in a shell."""
    status: int = 500
    """Of ``http_error``."""
    pace: float = 0.0
    """Seconds between two events; the first is never delayed."""
    late: float = 0.0
    """Seconds before the event that brings the stop reason."""
    stepped: bool = False
    """Each event waits for the server's ``step()``, so that a test decides when it comes."""
    encoding: str = "identity"
    """``identity``, ``gzip``, ``deflate``, ``br``, ``zstd``, or several in the order they are applied: ``gzip,br``."""
    framing: Literal["auto", "chunked", "length"] = "auto"
    """``auto``: chunks for a stream, a content-length for a single message."""
    padding: int = 16
    """Before the closing brace of an event's JSON stand from none to this many spaces, less one."""
    crlf: bool = False
    """Lines of the stream end in CR LF."""
    split: bool = False
    """The body is written in pieces that begin and end anywhere but at an event's ends."""
    times: int = 2
    """How often ``overloaded`` answers 529 before it answers."""


class Rule(Struct, frozen=True, kw_only=True):
    """Which requests get which play. An empty condition fits every request."""

    play: str
    word: str = ""
    """Stands in the last text of the user, in any case."""
    model: str = ""
    times: int | None = None
    """How often the rule is used up; None: never."""

    def fits(self, *, text: str, model: str) -> bool:
        """Whether a request with this last user text, for this model, is meant."""
        return self.word.casefold() in text.casefold() and self.model in ("", model)


def parse_play(line: str, base: Options) -> tuple[str, Options]:
    """``"refusal category=bio"`` as the scenario's name and the options; those not named are taken from `base`.

    ``category=null`` gives None. Raises ValueError when the line cannot be read.
    """
    name, *pairs = shlex.split(line) or [""]
    changes: dict[str, object] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        changes[key] = None if value == "null" else value
    return name, msgspec.convert(msgspec.structs.asdict(base) | changes, Options, strict=False)


def parse_rule(text: str) -> Rule:
    """``"WORD: PLAY"`` as a rule. Raises ValueError when there is no colon or no play."""
    word, colon, play = text.partition(":")
    if not colon or not play.strip():
        raise ValueError(f"a rule is WORD: SCENARIO [key=value ...], not {text!r}")
    return Rule(word=word.strip(), play=play.strip())
