"""What ``demur label`` and ``demur triage`` share: how what a person says is understood, made fit to be kept, and told."""

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from proxy.cli.options import Failed, Misused
from schemas.labels import Domain, Verdict

if TYPE_CHECKING:
    from proxy.core.redact import Redactor
    from proxy.judgements import Standing
    from proxy.store import Store
    from schemas.records import Judgement, Refusal
    from schemas.settings import Settings

DOMAINS = ", ".join(Domain)
MARGIN = 4
"""Columns before a note."""


class Pen:
    """Makes a person's text fit to be kept: what the settings call a secret goes, and is counted. Raises ``SettingsError``."""

    def __init__(self, settings: "Settings") -> None:
        self._redactor = _redactor(settings)
        self._replaced = 0

    def write(self, text: str) -> str:
        """What is kept of a text."""
        # An argument that is not UTF-8 has lone surrogates, which no database takes.
        clean, n = self._redactor.text(text.strip().encode("utf-8", "backslashreplace").decode())
        self._replaced += n
        return clean

    def told(self) -> str | None:
        """What was taken out since this was last asked, in a sentence; None where nothing was."""
        from proxy.cli.words import count

        n, self._replaced = self._replaced, 0
        return (
            f"{count(n, 'secret')} {'was' if n == 1 else 'were'} taken out before anything was written" if n else None
        )


def author(given: str | None, pen: Pen) -> str:
    """Who judges: as given, or as DEMUR_AUTHOR says, or the name of the account. Raises ``Misused`` and ``Failed``."""
    import getpass

    if given is not None and not given.strip():
        raise Misused("an empty --author names nobody")
    said = (given or os.environ.get("DEMUR_AUTHOR") or "").strip()
    try:
        return pen.write(said or getpass.getuser())
    except (OSError, KeyError, ImportError) as error:
        raise Failed("this account has no name: say --author NAME, or set DEMUR_AUTHOR") from error


def verdict(said: str) -> Verdict:
    """A verdict as it was written, with a dash or in capitals as well. Raises ``Misused``."""
    plain = _plain(said)
    if plain in set(Verdict):
        return Verdict(plain)
    close = get_close_matches(plain, list(Verdict), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise Misused(f"--verdict {said!r} is none of {', '.join(Verdict)}{hint}")


def domain(said: str) -> tuple[str, str | None]:
    """A domain as it is kept, and a sentence where it is none of the list."""
    plain = _plain(said)
    if plain in set(Domain) or not plain:
        return plain, None
    close = get_close_matches(plain, list(Domain), n=1, cutoff=0.5)
    hint = f"; the nearest there is {close[0]}" if close else f" ({DOMAINS})"
    return said, f"the domain {said!r} is not in the list, and kept as it is{hint}"


def segment(store: "Store", refusal: "Refusal", said: str) -> int:
    """The number of a segment that the request has. Raises ``Misused``."""
    from proxy.cli.words import count

    known = [one.n for one in store.segments(refusal.id)]
    plain = said.strip()
    if found := [n for n in known if str(n) == plain]:
        return found[0]
    (short,) = store.short_ids([refusal.id]).values()
    if not known:
        raise Misused(f"the request of {short} has no segment {plain}: nothing is known of its request")
    has = f"it has {count(len(known), 'segment')}, {known[0]} to {known[-1]}"
    raise Misused(f"the request of {short} has no segment {plain[:20]}: {has}; `demur show {short}` numbers them")


def called(standing: "Standing") -> str:
    """What a refusal is called: ``false positive, domain security, tags a, b``."""
    return _facts(standing.verdict, standing.domain, standing.tags)


def lines(history: Iterable["Judgement"], room: int) -> Iterator[str]:
    """Who said what of a refusal and when, oldest first, in lines of at most so many columns; below it the note of each."""
    from proxy.cli import words
    from proxy.cli.layout import folded

    for one in history:
        facts = _facts(one.verdict, one.domain, one.tags)
        guilty = f", segment {one.segment}" if one.segment is not None else ""
        yield from _indented(f"{words.moment(one.at)}  {words.line(one.author)}: {facts}{guilty}", room)
        for line in folded(words.text(one.note), max(room - MARGIN, 2)) if one.note else ():
            yield " " * MARGIN + line


def _indented(fact: str, room: int) -> Iterator[str]:
    from proxy.cli.layout import folded

    first, *more = folded(fact, max(room - MARGIN, 2))
    yield first
    yield from (" " * MARGIN + line for line in more)


def _facts(verdict: Verdict, domain: str | None, tags: Iterable[str]) -> str:
    from proxy.cli import words

    named = [f"domain {domain}"] if domain else []
    tagged = [f"tags {', '.join(tags)}"] if tags else []
    return words.line(", ".join([words.VERDICTS[verdict], *named, *tagged]))


def _plain(said: str) -> str:
    return said.strip().lower().replace("-", "_").replace(" ", "_")


def _redactor(settings: "Settings") -> "Redactor":
    from proxy.core.redact import Redactor
    from proxy.settings import SettingsError

    try:
        return Redactor(settings.redact.deny, secrets=settings.capture.redact_secrets)
    except ValueError as error:
        raise SettingsError(f"redact.deny: {error}") from error
