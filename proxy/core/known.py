"""What is known of this machine and its user, and how it is found in a text however it was cut.

A value that is known is looked for letter by letter, so that a line break in its middle hides nothing. Words that name no one (``root``, ``admin``)
are not looked for: they would take half of a text with them. A home folder is found as a path, and in the form that Claude Code gives it under
``~/.claude/projects``, where each character that is no letter or digit is a dash.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from proxy.core.reading import BREAK

GENERIC = frozenset(
    "root admin administrator user users guest test tester testing dev developer home local localhost default main master claude"
    " anthropic ubuntu debian fedora centos runner node vscode codespace docker container build builder jenkins git github gitlab"
    " nobody system service www data app web mail info support public private unknown none null true false agent session model"
    " refusal cyber bio".split()
)
"""Words that are the name of many accounts and machines, and so of no one."""
_SHORTEST = 3
_BETWEEN = re.compile(r"[\s│┃║|>+]+")
_ENDS = r"[^\s\"'`<>|,;:()\[\]{}│┃║]"


class Known(NamedTuple):
    """What must not leave. Each as it is written; what is empty or names no one is passed over."""

    names: tuple[str, ...] = ()
    """Of persons: whole ones, as git has them."""
    accounts: tuple[str, ...] = ()
    """Of the operating system and of services, without ``@``."""
    emails: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    """Home folders."""
    hosts: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    """Names of folders that are worked in."""
    ids: tuple[str, ...] = ()
    """Of sessions, agents, organisations, accounts."""
    secrets: tuple[str, ...] = ()

    def __or__(self, other: "Known") -> "Known":
        """What either knows."""
        return Known(*(tuple(dict.fromkeys((*mine, *theirs))) for mine, theirs in zip(self, other, strict=True)))


class Sought(NamedTuple):
    """A pattern for one value."""

    kind: str
    pattern: re.Pattern[str]
    why: str
    of: str
    """The value that it is, whatever of it was found."""
    needs: str = ""
    """Stands in every text that it is found in, once that is ``squeezed``; empty where that cannot be said."""


def squeezed(text: str) -> str:
    """Without case, spaces, and what a line break may have put in between."""
    return _BETWEEN.sub("", text.replace("İ", "i")).casefold().replace("\\", "/")


def sought(known: Known, deny: Iterable[str] = ()) -> list[Sought]:
    """How to find what is known. ``deny``: plain words, which are found within others too."""
    return [
        *(_sought("DENIED", word, "your own list (redact.deny)", whole=False) for word in deny if word.strip()),
        *(one for home in known.homes for one in _homes(home)),
        *(_sought("EMAIL", email, "e-mail address of this machine's owner") for email in known.emails if email),
        *(one for name in known.names for one in _names(name)),
        *(one for email in known.emails for one in _accounts(email.partition("@")[0], "the name in an e-mail address")),
        *(one for account in known.accounts for one in _accounts(account, "an account's name")),
        *(_sought("HOST", host, "the name of this machine") for host in known.hosts if _tells(host)),
        *(_sought("PROJECT", name, "the name of a project") for name in known.projects if _tells(name)),
        *(_sought("ID", name, "the id of a session, agent or account") for name in known.ids if len(name) > _SHORTEST),
    ]


def _tells(word: str) -> bool:
    return len(word) >= _SHORTEST and word.lower() not in GENERIC and not word.isdecimal()


def _homes(home: str) -> Iterator[Sought]:
    trimmed = home.rstrip("/\\")
    if len(trimmed) <= _SHORTEST:
        return
    dashed = {re.sub(r"[^A-Za-z0-9]", "-", unicodedata.normalize(form, trimmed)) for form in ("NFC", "NFD")}
    either = "|".join(map(_gapped, sorted(dashed)))
    why = "a path below the home folder"
    yield Sought(
        "PATH", re.compile(_gapped(trimmed) + rf"(?![\w.-])(?:[/\\]{_ENDS}*)?", re.IGNORECASE), why, "", _needs(trimmed)
    )
    yield Sought("PATH", re.compile(rf"(?:{either})" + r"(?![A-Za-z0-9])(?:-[\w.-]*)?", re.IGNORECASE), why, "")


def _names(name: str) -> Iterator[Sought]:
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name))
    if len(words) > 1:
        for order in (words, words[::-1]):
            pattern = r"[\s,._+-]{0,3}".join(map(_gapped, order))
            yield Sought("NAME", _word(pattern, re.IGNORECASE), "the name in your git config", name, _needs(words[0]))
    for word in words:
        if _tells(word):
            spelt = {one for plain in _spelt(word) for one in (plain, plain.upper())}
            spelt |= {one.lower() for one in spelt if len(one) > _SHORTEST + 1 or not one.isascii()}
            yield Sought(
                "NAME", _word("|".join(sorted(map(_gapped, spelt)))), "the name in your git config", name, _needs(word)
            )


def _spelt(word: str) -> set[str]:
    """As it is written, and where letters have marks, without them, and with an ``e`` for two dots as in German."""
    bare = unicodedata.normalize("NFD", word)
    umlauts = re.sub("(?<=[aouAOU])\N{COMBINING DIAERESIS}", "e", bare).replace("ß", "ss")
    return {word, *("".join(char for char in one if not unicodedata.combining(char)) for one in (bare, umlauts))}


def _accounts(account: str, why: str) -> Iterator[Sought]:
    if _tells(account):
        yield _sought("NAME", account, why)


def _sought(kind: str, value: str, why: str, *, whole: bool = True) -> Sought:
    pattern = _gapped(value.strip())
    compiled = _word(pattern, re.IGNORECASE) if whole else re.compile(pattern, re.IGNORECASE)
    return Sought(kind, compiled, why, value, _needs(value))


def _needs(value: str) -> str:
    return squeezed(value) if value.isascii() else ""


def _word(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", flags)


def _gapped(value: str) -> str:
    return f"{BREAK}?".join(map(_letter, unicodedata.normalize("NFC", value)))


def _letter(char: str) -> str:
    """One with a mark is also written as two characters."""
    if char in "/\\":
        return r"[/\\]"
    bare = unicodedata.normalize("NFD", char)
    return "[ +]" if char == " " else re.escape(char) if bare == char else f"(?:{re.escape(char)}|{re.escape(bare)})"
