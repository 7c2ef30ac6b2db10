"""``demur triage`` on a terminal: a key is pressed when the command waits for one, and what it then prints is waited for."""

import fcntl
import os
import pty
import re
import select
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from commands import ESCAPES, SECRET, declined, demur, fails, keep, posix, request, without_colour
from entries import entry, name
from proxy.judgements import history, judge
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Annotation, Judgement

pytestmark = posix
KEYS = "[q] quit"
LAST = "any other key ends."
LONG = 60.0
"""Seconds after which something never happens."""


class Terminal:
    """A terminal with a command on it. ``own``: its signals, of Ctrl-C and of hanging up, go to the command."""

    def __init__(
        self, *arguments: object, columns: int = 120, lines: int = 40, own: bool = True, **environment: str
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        plain = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "FORCE_COLOR"}}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "proxy.cli", *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=Path(__file__).parents[2],
            env={**plain, "TERM": "xterm-256color", "DEMUR_AUTHOR": "ann", **environment},
            start_new_session=True,
            preexec_fn=_take_terminal if own else None,  # noqa: PLW1509 no thread runs here
        )
        os.close(theirs)
        self._new = b""
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        os.close(self._ours)

    def wait(self, what: str) -> str:
        """All that was printed until this came, without colours."""
        deadline = time.monotonic() + LONG
        while what not in (text := _plain(self._new)):
            assert self._read(deadline - time.monotonic()), f"{what!r} never came after:\n{self.seen}{text}"
        self._new = b""
        self.seen += text
        return text

    def press(self, keys: str, then: str = KEYS) -> str:
        """A key, and what is printed until ``then`` came."""
        deadline = time.monotonic() + LONG
        while termios.tcgetattr(self._ours)[3] & termios.ICANON:
            assert time.monotonic() < deadline, f"it never listened:\n{self.seen}"
            self._read(0.01)
        os.write(self._ours, keys.encode())
        return self.wait(then)

    def type(self, line: str, then: str = KEYS) -> str:
        """A line at a prompt. A signal that comes just before a read begins is seen only when that ends, so it is sent again."""
        os.write(self._ours, line.encode())
        deadline = time.monotonic() + LONG
        while line == "\x03" and then not in _plain(self._new) and time.monotonic() < deadline:
            if not self._read(1.0):
                os.write(self._ours, line.encode())
        return self.wait(then)

    def end(self) -> str:
        """What it printed last; it ended well."""
        while self._read(LONG):
            pass
        assert self._child.wait() == 0, self.seen + _plain(self._new)
        return _plain(self._new)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:  # Linux says so when the other end is closed
            return False
        self._new += data
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _plain(data: bytes) -> str:
    return "\n".join(without_colour(data.decode("utf-8", "replace").replace("\r\n", "\n") + "\n"))


@contextmanager
def triage(db: Path, *arguments: object, then: str = KEYS, **more: Any) -> Iterator[Terminal]:
    with Terminal("triage", "--db", db, *arguments, **more) as terminal:
        terminal.wait(then)
        yield terminal


def four(db: Path) -> None:
    """One alone, and an incident of three; the newest first is 4, 1."""
    keep(db, *(entry(n, b'"said"', f'"{n}"'.encode()) for n in (1, 2, 3, 4)))
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("update refusals set incident_id = ? where id < ?", [name(1), name(4)])


def verdicts(db: Path, *which: int) -> list[str]:
    with Store.open(db) as store:
        return [store.find(name(n)).verdict for n in which or (1, 2, 3, 4)]


def said(db: Path, n: int) -> list[Judgement]:
    with Store.open(db) as store:
        return history(store, name(n))


def test_the_first_refusal_of_each_incident_is_judged_by_a_key_the_newest_first(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        assert f"1 of 2  {name(4)}" in terminal.seen
        shown = terminal.press("f")
        assert "false positive" in shown
        assert f"2 of 2  {name(1)}" in shown
        assert "2 refusals more of the same" in shown
        assert "correct" in terminal.press("r", LAST)
        terminal.press("q", "Judged 2, 0 left.")
        assert terminal.end().strip() == ""
    assert verdicts(db) == ["correct", "unknown", "unknown", "false_positive"]
    assert [(one.author, one.verdict) for one in said(db, 4)] == [("ann", "false_positive")]
    with triage(db, then="Nothing is left to judge.") as terminal:
        terminal.end()


def test_a_verdict_counts_for_the_whole_incident_where_that_key_was_pressed(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        terminal.press(" ")
        assert "for the whole incident" in terminal.press("i")
        assert "for the whole incident" not in terminal.press("i")
        terminal.press("i")
        assert "unsure: 3 refusals" in terminal.press("?", LAST)
        assert verdicts(db) == ["unsure", "unsure", "unsure", "unknown"]
        terminal.press("u")
        assert verdicts(db) == ["unknown"] * 4
        terminal.press("q", "Judged 0, 2 left.")
        terminal.end()


def test_undo_goes_back_step_by_step_and_the_judgement_before_counts_again(db: Path) -> None:
    four(db)
    with Store.open(db) as store:
        judge(store, Judgement(refusal_id=name(4), at="2099", author="bob", verdict=Verdict.UNKNOWN, domain="data"))
    with triage(db) as terminal:
        assert "bob: unknown, domain data" in terminal.seen
        assert "There is nothing to undo." in terminal.press("u")
        terminal.press("f")
        terminal.press("s", LAST)
        assert verdicts(db, 4) == ["false_positive"]
        assert f"2 of 2  {name(1)}" in terminal.press("u")
        assert f"1 of 2  {name(4)}" in terminal.press("u")
        assert verdicts(db, 4) == ["unknown"]
        assert [one.author for one in said(db, 4)] == ["bob"]
        terminal.press("R")
        terminal.press("q", "Judged 1, 1 left.")
        terminal.end()
    assert verdicts(db, 4) == ["correct"]


def test_a_note_a_domain_and_a_segment_are_kept_with_the_verdict(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        terminal.press("n", "Note: ")
        assert "1 secret was taken out" in terminal.type(f"Mine: {SECRET}\n")
        terminal.press("d", "Domain: ")
        assert "did you mean" not in terminal.type("Life science\n")
        terminal.press("g", "Segment: ")
        assert "it has 2 segments, 0 to 1" in terminal.type("7\n")
        terminal.press("g", "Segment: ")
        assert "domain life_science, segment 1, your note." in terminal.type("1\n")
        terminal.press("f")
        terminal.press("q", "Judged 1, 1 left.")
        terminal.end()
    (kept,) = said(db, 4)
    assert (kept.verdict, kept.domain, kept.segment) == ("false_positive", "life_science", 1)
    assert kept.note == "Mine: [redacted:anthropic-key]"


def test_a_prompt_that_is_left_empty_changes_nothing_and_an_odd_domain_is_told_of(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        for key, prompt in (("n", "Note: "), ("d", "Domain: "), ("g", "Segment: ")):
            terminal.press(key, prompt)
            assert "To be kept" not in terminal.type("\n")
        terminal.press("d", "Domain: ")
        assert "the nearest there is security" in terminal.type("securty\n")
        terminal.press("q", "Judged 0, 2 left.")
        terminal.end()
    assert [(one.verdict, one.domain) for one in said(db, 4)] == [("unknown", "securty")]


@pytest.mark.parametrize("leave", ["s", "q", "\x03", "\x04"], ids=["skip", "quit", "Ctrl-C", "Ctrl-D"])
def test_a_note_is_kept_where_no_verdict_follows(db: Path, leave: str) -> None:
    four(db)
    with triage(db) as terminal:
        terminal.press("n", "Note: ")
        terminal.type("Hm, café.\n")
        if leave == "s":
            terminal.press("s")
            leave = "q"
        terminal.press(leave, "Judged 0, 2 left.")
        terminal.end()
    assert [(one.verdict, one.note) for one in said(db, 4)] == [("unknown", "Hm, café.")]
    assert verdicts(db, 4) == ["unknown"]
    with triage(db) as terminal:
        assert f"1 of 2  {name(4)}" in terminal.seen
        assert "    Hm, café." in terminal.seen


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("at", ["keys", "prompt", "end"])
def test_it_is_left_cleanly_from_anywhere_and_what_was_judged_is_kept(db: Path, key: str, at: str) -> None:
    four(db)
    with triage(db) as terminal:
        terminal.press("f")
        if at == "prompt":
            terminal.press("n", "Note: ")
            terminal.type(key, "Judged 1, 1 left.")
        elif at == "end":
            terminal.press("?", LAST)
            terminal.press(key, "Judged 2, 0 left.")
        else:
            terminal.press(key, "Judged 1, 1 left.")
        assert "Traceback" not in terminal.seen + terminal.end()
    assert verdicts(db, 4) == ["false_positive"]


@pytest.mark.parametrize("own", [True, False])
def test_a_terminal_that_is_gone_ends_it(db: Path, *, own: bool) -> None:
    four(db)
    with triage(db, own=own) as terminal:
        terminal.press("f")
        ours, terminal._ours = terminal._ours, os.open(os.devnull, os.O_RDONLY)
        os.close(ours)
        terminal._child.wait(LONG)
    assert verdicts(db) == ["unknown"] * 3 + ["false_positive"]


def test_a_key_that_means_nothing_judges_nothing_nor_does_a_paste(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        for keys in ("x", "\x1b[A", "fr", "é"):
            assert "no key here" in terminal.press(keys)
        told = terminal.press("h")
        assert "It was right to decline it." in told
        assert f"1 of 2  {name(4)}" in terminal.seen
        terminal.press("q", "Judged 0, 2 left.")
        terminal.end()
    assert verdicts(db) == ["unknown"] * 4


def test_what_is_shown_first_is_metadata_and_a_key_shows_the_text_page_by_page(db: Path) -> None:
    kept = declined(request(turns=4, said=f"PRIVATE words{ESCAPES}. " + "and so on " * 400))
    kept.refusals[0].history = "grown"
    kept.refusals[0].accepted_at = "2026-11-23T14:00:00.000Z"
    kept.annotations = {
        kept.refusals[0].id: [Annotation(name="language", value="en", confidence=0.9, evidence=["and", "so"])]
    }
    for n, segment in enumerate(kept.segments):
        segment.new = n >= len(kept.segments) - 3
    keep(db, kept)
    with triage(db, columns=80, lines=30) as terminal:
        assert "PRIVATE" not in terminal.seen
        assert "lab-sheets" in terminal.seen
        assert "The conversation had gone on from the last accepted request" in terminal.seen
        assert re.search(r"\nlanguage +English", terminal.seen)
        assert "New in it, 3 segments; candidates, the strongest first:" in terminal.seen
        assert re.search(r"\n +\d+  media, image/png, [\d.]+ kB\n", terminal.seen)
        pages = [terminal.press("c")]
        assert ", new" in pages[0]
        while "That was all of the text." not in pages[-1]:
            pages.append(terminal.press("c"))
        assert all(len(page.splitlines()) <= 30 for page in pages)
        assert len(pages) > 3
        assert "PRIVATE words" in "".join(pages)
        assert pages[0].splitlines()[1:5] == terminal.press("c").splitlines()[1:5]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", terminal.seen)
        assert max(map(len, terminal.seen.splitlines())) <= 80
        terminal.press("q", "Judged 0, 1 left.")
        terminal.end()


def test_what_is_not_known_or_not_stored_is_said(db: Path) -> None:
    keep(db, declined(request(), content=False), entry(1, at="2000-01-01T00:00:00.000Z"))
    with triage(db) as terminal:
        assert "(not stored)" in terminal.press("c")
        assert "Of the request nothing is known." in terminal.press("s")
        assert "That was all of the text." in terminal.press("c")
        terminal.press("q", "Judged 0, 2 left.")
        terminal.end()


def test_a_low_screen_shows_the_strongest_candidates_and_counts_the_others(db: Path) -> None:
    kept = declined(request(turns=10))
    for segment in kept.segments:
        segment.new = True
    keep(db, kept)
    with triage(db, lines=12) as terminal:
        assert re.search(r"and \d+ more: `demur show` has all", terminal.seen)
        terminal.press("q", "Judged 0, 1 left.")
        terminal.end()
    keep(db, other := entry(1, b'"a"', at="2999-01-01T00:00:00.000Z"))
    with Store.open(db) as store:
        assert [one.new for one in store.segments(other.refusals[0].id)] == [None]
    with triage(db) as terminal:
        assert "What was new in it is not known: 1 segment." in terminal.seen
    kept = entry(2, b'"a"', at="2999-01-02T00:00:00.000Z")
    kept.segments[0].new = False
    keep(db, kept)
    with triage(db) as terminal:
        assert "Nothing in it was new." in terminal.seen
        terminal.press("q", "Judged 0, 3 left.")
        terminal.end()


def test_a_locked_database_is_told_and_the_key_can_be_pressed_again(db: Path) -> None:
    four(db)
    with triage(db) as terminal:
        with closing(sqlite3.connect(db, isolation_level=None)) as other:
            other.execute("begin immediate")
            assert "locked by another process" in terminal.press("f")
        terminal.press("f")
        with closing(sqlite3.connect(db, isolation_level=None)) as other:
            other.execute("begin immediate")
            assert "locked by another process" in terminal.press("u")
        assert f"1 of 2  {name(4)}" in terminal.press("u")
        terminal.press("r")
        terminal.press("q", "Judged 1, 1 left.")
        terminal.end()
    assert verdicts(db, 4) == ["correct"]


def test_it_can_be_kept_to_a_category_a_model_and_a_time(db: Path) -> None:
    keep(db, entry(1, category="cyber", model="claude-x"), entry(2, category="bio", traffic=0))
    for arguments in (["--category", "cyber"], ["--model", "claude-x"]):
        with triage(db, *arguments) as terminal:
            assert f"1 of 1  {name(1)}" in terminal.seen
    with triage(db, "--since", "2999-01-01", then="Nothing is left to judge.") as terminal:
        terminal.end()


def test_a_second_opinion_is_asked_without_the_first_one_being_shown(db: Path) -> None:
    four(db)
    with Store.open(db) as store:
        judge(store, Judgement(refusal_id=name(4), at="2099", author="bob", verdict=Verdict.CORRECT, note="Clearly."))
    with triage(db, "--second") as terminal:
        assert f"1 of 1  {name(4)}" in terminal.seen
        assert "bob" not in terminal.seen
        assert "Clearly" not in terminal.seen
        terminal.press("f", LAST)
        terminal.press("q", "Judged 1, 0 left.")
        terminal.end()
    assert [one.author for one in said(db, 4)] == ["bob", "ann"]
    with triage(db, "--second", "--author", "bob", then="Nothing is left to judge.") as terminal:
        terminal.end()


def test_where_no_keys_can_be_read_one_line_names_the_other_command(db: Path) -> None:
    keep(db, entry(1))
    assert "`demur label ID --verdict V`" in fails(demur("triage", db=db), code=2)


def test_where_nothing_is_recorded_nothing_is_left(db: Path) -> None:
    with triage(db, then="Nothing is left to judge.") as terminal:
        terminal.end()
    assert not db.exists()
