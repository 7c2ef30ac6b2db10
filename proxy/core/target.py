"""What a tool's input names: a file, an address, or the program of a command.

It is stored and shown beside the tool, also where no content is kept, so it is no place for content. Of a command it is the program. Of an
address it is the scheme, the host and the path, in which ``…`` stands for what looks random: that is a token, or of use to
nobody. Without ``//`` what follows a scheme is content (``data:``, ``mailto:``), and the scheme is all.

A password may hold what ends an authority (``https://me:a/b@host``). Where no browser would find a host the one behind the last ``@``
is it, and where it cannot be told which is meant as little is said as is sure. The path is not said then.
"""

import re

LONGEST = 200
"""Characters."""

_FILES = ("file_path", "notebook_path")
_ADDRESSES = ("url", "uri")
_NAMES = (*_FILES, "path", *_ADDRESSES)
_BLANK = "".join(map(chr, range(33))) + "\x7f\x85\xa0\u2028\u2029\u200b\u3000\ufeff"
"""What is no part of a name at its ends."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:(//)?|//", re.IGNORECASE)
_LATER = re.compile(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_PORTED = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+|localhost):\d{1,5}(?![^/?#:])[^@]*\Z")
"""A host or a file, and a number."""
_AUTHORITY = re.compile(r"[^/?#\\]*")
_HOST = re.compile(r"(?:[\w.-]*|\[[0-9a-fA-F:.]+\])(?P<port>:\d{0,5})?(?![^/?#\\;:])")
_ENDED = re.compile(r"[?#;]")
_MASK = "…"

_HEXED = re.compile(r"(?=[^/]*\d)(?=[^/]*[a-f])[0-9a-f-]{16,}\Z", re.IGNORECASE)
_RUNS = re.compile(r"[A-Za-z0-9]{8,}")
_MIXED = re.compile(r"(?:[A-Za-z]+[0-9]+[A-Za-z]|[0-9]+[A-Za-z]+[0-9])")
_WORDS = re.compile(r"[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,}){0,9}\Z")
_RANDOM = 16
"""Characters that a random segment has at least."""

_HEAD = 2000
_WORD = r"""(?:"[^"\n\\]*+"|'[^'\n]*+'|[^\s;&|"'`$()<>\\]++)"""
_PROGRAM = re.compile(
    rf"""\s*+
    (?: cd\s++{_WORD}\s*+(?:&&|;)\s*+ ){{0,3}}                                      # cd /src &&
    (?: \w++={_WORD}?[ \t\n]++ | (?:sudo|env|time|nohup|exec|command)\s++ ){{0,8}}  # CI=1 sudo
    (?: [^\s"'`$;&|<>()=*\\]*/ )?                                                   # /usr/bin/
    (?P<program> \w[\w.+-]{{0,59}}+ ) (?=[\s;&|)<>]|\Z)
    (?: [ \t]++(?P<verb> [a-z][a-z-]{{1,20}}+ ) (?=[\s;&|)]|\Z) )?""",
    re.VERBOSE | re.ASCII,
)
_VERBED = frozenset(
    "apt apt-get brew bun cargo conda docker dotnet gh git go gradle helm kubectl npm pip pip3 pnpm poetry systemctl"
    " terraform uv yarn".split()
)
"""Programs whose first argument is a command of theirs."""


def target(given: object) -> str | None:
    """What an input names; None where it names nothing of these."""
    if not isinstance(given, dict):
        return None
    for name in _NAMES:
        said = given.get(name)
        if isinstance(said, str) and (named := _named(name, said.strip(_BLANK))):
            return shown(named)
    command = given.get("command")
    return program(command) if isinstance(command, str) else None


def shown(said: str) -> str:
    """Of bounded length, with ``?`` for what cannot be printed. Of a long one the end, which tells more of a path."""
    said = said if len(said) <= LONGEST else "…" + said[1 - LONGEST :]
    return said if said.isprintable() else "".join(char if char.isprintable() else "?" for char in said)


def program(command: str) -> str | None:
    """``git log``, ``pytest``: what a command of the shell runs first, without its arguments."""
    found = _PROGRAM.match(command[:_HEAD])
    if found is None:
        return None
    name, verb = found.group("program", "verb")
    return f"{name} {verb}" if verb and name in _VERBED else name


def _named(name: str, said: str) -> str:
    """A file or an address; empty where nothing is left of it."""
    url = said.translate({9: None, 10: None, 13: None})  # as a browser does
    ported = _PORTED.match(url)
    if found := None if ported else _SCHEME.match(url):
        return _address(found[0], url[found.end() :]) if found[0].endswith("//") else found[0]
    if found := _LATER.search(url):
        return _address(found[0], url[found.end() :])
    if name in _ADDRESSES:
        return _address("", url)
    return said if name in _FILES else _ENDED.split(said, maxsplit=1)[0]


def _address(scheme: str, rest: str) -> str:
    """Without credentials, query, parameters and fragment."""
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]
    _, at, name = authority.rpartition("@")
    beyond = rest[len(authority) :]
    host = _HOST.fullmatch(name)
    unsure = ":" in authority and "@" in beyond
    if host and not unsure:
        return scheme + name + _path(beyond)
    if at and unsure:
        return scheme + _MASK
    host = host or _HOST.match(rest.rpartition("@")[2])
    known = host[0].removesuffix(host["port"] or "") if host else ""
    return f"{scheme}{known}/{_MASK}" if known else scheme + _MASK


def _path(said: str) -> str:
    segments = re.split(r"([/\\])", _ENDED.split(said, maxsplit=1)[0])
    return "".join(_MASK if _is_random(one) or (":" in one and "@" in one) else one for one in segments)


def _is_random(segment: str) -> bool:
    """Whether it is no word or number, nor several: letters and digits in turn, or letters that are no words."""
    if len(segment) < _RANDOM:
        return False
    return _HEXED.match(segment) is not None or any(map(_is_mixed, _RUNS.findall(segment)))


def _is_mixed(run: str) -> bool:
    if run.isalpha():
        return len(run) >= 20 and not (_WORDS.match(run) and len(run) < 60)
    return not run.isdecimal() and (len(run) >= _RANDOM or _MIXED.search(run) is not None)
