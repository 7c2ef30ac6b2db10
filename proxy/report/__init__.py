"""The evidence pack: the facts of refusals in a shape that can be handed in, with all that is private taken out. Nothing is sent from here.

``written`` makes one: the facts are scrubbed in one piece, put into their shape, and looked at once more before anyone gets them. A report that would lose
the id of a request, a category, a model, a version or a time, or in which a piece of a known secret is left, is not made.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from proxy.core.known import Known
from proxy.core.scrub import Replaced, Scrubber
from proxy.report.exhibit import exhibit
from proxy.report.mail import mail
from proxy.report.markdown import behavior, issue
from proxy.report.pack import Event, Level, Pack
from proxy.report.personal import Machine
from proxy.report.sources import Sources, packed
from schemas.settings import Settings

__all__ = ["SHAPES", "UnsafeError", "Written", "written"]


class UnsafeError(Exception):
    """The report must not be written. The message says why in one line, and never what was found."""


class Written(msgspec.Struct, kw_only=True):
    """A report as it would leave, and what was replaced in it."""

    text: str
    replaced: list[Replaced]


def _json(made: Pack) -> str:
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


SHAPES: dict[str, Callable[[Pack], str]] = {
    "issue": issue,
    "behavior": behavior,
    "mail": mail,
    "exhibit": exhibit,
    "json": _json,
}
"""How a report may look."""


def written(
    read: Sources,
    settings: Settings,
    *,
    level: Level,
    shape: str,
    known: Known,
    machine: Machine,
    keep: Sequence[str] = (),
) -> Written:
    """``known``: of this machine; ``keep``: what stays though it is private, by the person's choice. Raises UnsafeError."""
    scrubber = Scrubber(known | read.known, settings.redact.deny, [*read.keep, *keep])
    scrubber.learn(read.texts)
    made = packed(read, scrubber, level, exemption=settings.exemption.approved_on or None, machine=machine)
    facts = msgspec.to_builtins(made)
    for text in _strings(facts):
        scrubber.learn([text])
    clean = msgspec.convert(scrubber.value(facts), Pack)
    _survive(made, clean)
    text = SHAPES[shape](clean)
    look(text, scrubber, [fact for event in clean.events for fact in (event.request_id, event.at) if fact])
    return Written(text=text, replaced=scrubber.replaced)


def look(text: str, scrubber: Scrubber, survivors: Sequence[str]) -> None:
    """The last look at a text that is about to leave. Raises UnsafeError."""
    if found := scrubber.leaks(text):
        pieces = "a piece of a secret is" if found == 1 else f"pieces of {found} secrets are"
        raise UnsafeError(f"nothing was written: {pieces} left in it; choose a lower --level or other segments")
    if lost := [fact for fact in survivors if fact not in text]:
        raise UnsafeError(_lost(lost))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _survive(made: Pack, clean: Pack) -> None:
    """Raises UnsafeError where scrubbing took what carries the value of the report."""
    before, after = list(_carried(made)), list(_carried(clean))
    if lost := [fact for fact, kept in zip(before, after, strict=True) if fact != kept]:
        raise UnsafeError(_lost(lost))


def _lost(facts: Sequence[str | None]) -> str:
    some = ", ".join(str(fact) for fact in dict.fromkeys(facts))
    return (
        f"nothing was written: {some} would be lost, without which it is useless; look at [redact] deny in demur.toml"
    )


def _carried(made: Pack) -> Iterator[str | None]:
    for event in made.events:
        yield from _carried_by(event)
    yield from (made.repeats.first_at, made.repeats.last_at, *made.poisoned)
    for pair in made.pairs:
        yield from (pair.declined_by, pair.accepted_by, *pair.categories, *pair.declined, *pair.accepted)


def _carried_by(event: Event) -> Iterator[str | None]:
    yield from (event.at, event.request_id, event.message_id, event.category, event.model, event.answered_by)
    yield from (event.client_version, event.last_accepted_at, event.last_accepted_model, event.last_accepted_version)
    yield event.last_accepted_request_id
    for one in event.tries:
        yield from (one.model, one.category, one.request_id)
