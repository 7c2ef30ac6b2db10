"""An exhibit for an appeal, or for a report that an exemption was not honoured: numbered, in order of time, with a place for the statement of its owner.

It claims nothing: what the work was and under which authority it was done is the owner's to say.
"""

from collections.abc import Iterator

from proxy.report import facts, mail
from proxy.report.pack import Pack

_STATEMENT = "(to be written by you: what the work was, in one sentence; for whom and under which authority; why you hold the refusals to be mistaken)"


def exhibit(made: Pack) -> str:
    return "\n".join(_lines(made)).rstrip() + "\n"


def _lines(made: Pack) -> Iterator[str]:
    yield f"EXHIBIT: {facts.title(made)}"
    yield ""
    yield "1. Statement"
    yield from _prose(_STATEMENT)
    yield ""
    yield "2. Approval"
    yield from _prose(_approval(made))
    yield from _prose("Organisation: (to be written by you, where the program needs it; --keep lets its id through)")
    yield ""
    yield "3. Summary"
    yield from mail.block(facts.summary(made))
    yield from mail.block(facts.machine(made))
    yield ""
    yield "4. The requests, in order of time (UTC)"
    yield from _table(made)
    if common := facts.shared(made):
        yield ""
        yield "5. The same for each of them"
        yield from mail.block(iter(common))
    for n, one in enumerate(facts.told(made), start=1):
        yield ""
        yield f"5.{n}. {one.event.request_id or 'Request of ' + one.event.at}"
        yield from mail.event(one)
    if made.pairs:
        yield ""
        yield "6. The same content, declined by one model and accepted by another"
    for head, text in facts.pairs(made):
        yield from _prose(head)
        yield from mail.quoted(text)


def _prose(text: str) -> Iterator[str]:
    yield from (f"  {line}" for line in mail.folded(text, mail.WIDTH - 2))


def _approval(made: Pack) -> str:
    if not made.exemption:
        return "None is named in the settings of demur (exemption.approved_on)."
    despite = sum(event.despite_exemption for event in made.events)
    return f"Cyber Verification Program, approved on {made.exemption}, as the owner says. {despite} of {len(made.events)} were declined despite it."


def _table(made: Pack) -> Iterator[str]:
    for n, one in enumerate(made.events, start=1):
        despite = ", despite the approval" if one.despite_exemption else ""
        entry = f" ({one.entrypoint})" if one.entrypoint else ""
        role = f", {one.role}" if one.role else ""
        yield f"  {n}. {one.at}  {one.request_id or 'no request id'}  {one.model or 'model not known'}  {one.category or 'none'}{role}{entry}{despite}"
