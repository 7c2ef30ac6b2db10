"""``demur triage``: the refusals that nobody has judged yet, one after the other, each judged by a key.

What is shown first is metadata: what was declined, and what was new in it. The text is one key further. What is said beside the verdict (a
note, a domain, a segment) waits for it and is kept with it; where the refusal is skipped or the command is left instead, it is kept without.
Every judgement is written when its key is pressed, so that nothing can be lost by leaving.
"""

import io
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import click

from proxy.cli import judgement
from proxy.cli.labelling import author_option
from proxy.cli.options import (
    Misused,
    columns,
    config_option,
    db_option,
    moment_since,
    one_line_errors,
    since_option,
    warn,
)
from schemas.labels import Verdict

if TYPE_CHECKING:
    from proxy.judgements import Said
    from proxy.store import Store
    from schemas.records import Refusal

IN_A_PIPE = 100
"""Columns where no terminal says how many."""
MARGIN = 13
"""Where the facts begin, in columns."""
TAKEN = 16
"""Lines of the screen that all but the list of what was new takes."""
BELOW = 4
"""Lines of the screen below a page of text."""
VERDICTS = {"f": Verdict.FALSE_POSITIVE, "r": Verdict.CORRECT, "?": Verdict.UNSURE}
KEYS = {
    "f": ("false positive", "It should not have been declined."),
    "r": ("right", "It was right to decline it. demur will not ask again for the same content."),
    "?": ("unsure", "You looked at it and cannot tell."),
    "s": ("skip", "The next one; this one stays unjudged. The space bar does the same."),
    "n": ("note", "A note, kept with your verdict. Secrets are taken out of it."),
    "d": ("domain", "The field of work that it was about."),
    "g": ("guilty", "The segment that you believe guilty, by its number."),
    "i": ("incident", "Whether your verdict counts for the whole incident, or for this refusal only."),
    "c": ("content", "The text, what was new first; again: the next page."),
    "u": ("undo", "One step back: what you said last is taken back."),
    "h": ("help", "This."),
    "q": ("quit", "End; what you judged is kept. Ctrl-C and Ctrl-D do the same."),
}
"""Key -> its name, and what it does."""


@click.command()
@since_option
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option(
    "--second", is_flag=True, help="What others have judged and you have not: a second opinion, for the agreement."
)
@author_option
@db_option
@config_option
@one_line_errors
def triage(
    since: str | None,
    category: str | None,
    model: str | None,
    second: bool,
    author: str | None,
    db: str | None,
    config: str | None,
) -> None:
    """Judge what nobody has judged yet, newest first, with one key each.

    One refusal of each incident is shown: what it was and what was new in it, no text; c shows the text. Your verdict counts for that refusal,
    and after i for its whole incident.

    \b
    Example: demur triage
             demur triage --since 7d --category cyber
    """
    from proxy.cli.database import reading
    from proxy.judgements import unjudged
    from proxy.settings import load

    if not sys.stdin.isatty():
        raise Misused("triage needs a terminal to read keys from: `demur label ID --verdict V` judges without one")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")
    since = None if since is None else moment_since(since, datetime.now(UTC))
    in_force = load(config, {"db": db})
    pen = judgement.Pen(in_force.settings)
    by = judgement.author(author, pen)
    with reading(in_force.db) as store:
        beside = by if second else None
        found = unjudged(store, since=since, model=model, category=category, beside=beside) if store else []
        if store and found:
            Round(store, found, pen, by, second=second).run()
        else:
            click.echo("Nothing is left to judge.")


@dataclass
class Look:
    """One refusal that is being looked at, and what waits for its verdict."""

    refusal: "Refusal"
    said: "Said"
    whole: bool = False
    """Whether it is judged for its incident."""
    text: Iterator[str] | None = None
    """What of its text has not been shown."""


class Round:
    """The refusals in their order, and the way back."""

    def __init__(
        self, store: "Store", found: "list[Refusal]", pen: judgement.Pen, author: str, *, second: bool
    ) -> None:
        from proxy.judgements import Said

        self._store, self._pen, self._author, self._second = store, pen, author, second
        self._looks = [Look(refusal, Said()) for refusal in found]
        self._at = 0
        self._steps: list[tuple[list[int], bool]] = []
        """Of each one that was passed: the ids of the judgements, and whether there was a verdict among them."""
        self._others: dict[str, Callable[[Look], None]] = {
            "n": self._note,
            "d": self._domain,
            "g": self._guilty,
            "i": self._whole,
            "c": self._content,
            "h": self._help,
        }

    def run(self) -> None:
        """Until the end, or until it is left; then one line says how far it went."""
        try:
            while self._one():
                pass
        except (KeyboardInterrupt, EOFError, click.Abort):
            click.echo()
        if self._at < len(self._looks):
            self._pass(None)
        judged = sum(verdict for _, verdict in self._steps)
        click.echo(f"Judged {judged:,}, {len(self._looks) - judged:,} left.")

    def _one(self) -> bool:
        """Shows one and obeys keys until it is passed; whether to go on."""
        if self._at == len(self._looks):
            click.echo("\nThat was the last one: u takes a step back, any other key ends.")
            return _key() == "u" and self._undo()
        look = self._looks[self._at]
        self._show(look)
        while True:
            click.echo(_key_line(look))
            key = _key()
            if key == "q":
                return False
            if key in ("s", " ") and self._pass(None):
                return True
            if key in VERDICTS and self._pass(VERDICTS[key]):
                return True
            if key == "u" and self._undo():
                return True
            if key in self._others:
                self._others[key](look)
            elif key not in (*KEYS, " "):
                click.echo("That is no key here: h tells what each does.")

    def _pass(self, verdict: Verdict | None) -> bool:
        """Keeps what was said of it and goes to the next; False, and one line, where it could not be kept."""
        from proxy.cli import words
        from proxy.core.stamps import stamp
        from proxy.database import StoreError
        from proxy.judgements import Said, judge_made, upon

        look, at = self._looks[self._at], stamp(time.time())
        said = look.said._replace(verdict=verdict)
        try:
            made = partial(upon, self._store, look.refusal, said, author=self._author, at=at, incident=look.whole)
            ids = [name for name, _ in judge_made(self._store, made)] if said != Said() else []
        except StoreError as error:
            warn(str(error))
            return False
        if verdict:
            click.secho(words.VERDICTS[verdict] + f": {words.count(len(ids), 'refusal')}" * look.whole, fg="green")
        self._steps.append((ids, bool(verdict)))
        self._at += 1
        return True

    def _undo(self) -> bool:
        from proxy.database import StoreError
        from proxy.judgements import undo

        if not self._steps:
            click.echo("There is nothing to undo.")
            return False
        try:
            undo(self._store, *self._steps[-1][0])
        except StoreError as error:
            warn(str(error))
            return False
        self._steps.pop()
        self._at -= 1
        self._looks[self._at].text = None
        return True

    def _note(self, look: Look) -> None:
        if said := _asked("Note"):
            look.said = look.said._replace(note=self._pen.write(said))
            self._tell_secrets()

    def _domain(self, look: Look) -> None:
        click.echo(f"One of {judgement.DOMAINS}, or a word of your own.")
        if said := _asked("Domain"):
            field, odd = judgement.domain(self._pen.write(said))
            look.said = look.said._replace(domain=field)
            self._tell_secrets()
            if odd:
                warn(odd)

    def _guilty(self, look: Look) -> None:
        if said := _asked("Segment"):
            try:
                look.said = look.said._replace(segment=judgement.segment(self._store, look.refusal, said))
            except Misused as error:
                error.show()

    def _whole(self, look: Look) -> None:
        look.whole = not look.whole

    def _content(self, look: Look) -> None:
        from proxy.cli import glance

        room, height = columns(IN_A_PIPE), shutil.get_terminal_size().lines
        if look.text is None:
            look.text = glance.text(self._store, look.refusal, room)
        page = list(islice(look.text, max(height - BELOW, BELOW)))
        click.echo("\n".join(page) if page else "That was all of the text.")
        if not page:
            look.text = None

    def _help(self, look: Look) -> None:
        from proxy.cli.layout import wrapped

        for key, (name, what) in KEYS.items():
            click.echo(f"{click.style(key, bold=True)}  {name:<15}" + wrapped(what, columns(IN_A_PIPE), 18))

    def _tell_secrets(self) -> None:
        if told := self._pen.told():
            click.echo(told)

    def _show(self, look: Look) -> None:
        from proxy.cli import glance, words
        from proxy.cli.layout import wrapped
        from proxy.judgements import history

        room, height, refusal = columns(IN_A_PIPE), shutil.get_terminal_size().lines - TAKEN, look.refusal
        (short,) = self._store.short_ids([refusal.id]).values()
        head = click.style(f"{self._at + 1} of {len(self._looks)}  {short}", bold=True)
        click.echo(f"\n{head}  {words.moment(refusal.at)}")
        for title, fact in glance.facts(self._store, refusal):
            click.echo(click.style(f"{title:<{MARGIN}}", dim=True) + wrapped(fact, room, MARGIN))
        # Who gives a second opinion sees no first one.
        said = [one for one in history(self._store, refusal.id) if not self._second or one.author == self._author]
        for line in glance.news(refusal, self._store.segments(refusal.id), room, height):
            click.echo(line)
        for line in judgement.lines(said, room):
            click.echo(line)


def _key_line(look: Look) -> str:
    """What waits for the verdict, and the keys."""
    from proxy.cli.layout import wrapped
    from proxy.cli.words import line

    said = look.said
    waiting = [f"domain {line(said.domain)}"] if said.domain else []
    waiting += [f"segment {said.segment}"] if said.segment is not None else []
    waiting += ["your note"] if said.note else []
    waiting += ["for the whole incident"] if look.whole else []
    kept = [f"To be kept with your verdict: {', '.join(waiting)}."] if waiting else []
    keys = "  ".join(f"[{key}]\u00a0{name}".replace(" ", "\u00a0") for key, (name, _) in KEYS.items())
    wrapped_keys = wrapped(keys, columns(IN_A_PIPE)).replace("\u00a0", " ")
    return "\n".join([*kept, click.style(wrapped_keys, fg="cyan")])


def _key() -> str:
    """The key that was pressed, small; empty for one that is no single character. Raises EOFError where the terminal is gone."""
    try:
        got = click.getchar()
    except (OSError, RuntimeError) as error:  # click's, where the terminal cannot be set
        raise EOFError from error
    if not got:
        raise EOFError
    return got.lower() if len(got) == 1 else ""


def _asked(what: str) -> str:
    """A line that was typed; empty: nothing is changed."""
    said: str = click.prompt(what, default="", show_default=False)
    return said.strip()
