"""What a tool's input names: a file, an address, or the program of a command.

It is stored and shown beside the tool, so it is no place for content: of an address what may be secret is left out (credentials,
query, fragment), of a command all but the program.
"""

import re

LONGEST = 200
"""Characters."""

_NAMES = ("file_path", "notebook_path", "path", "url", "uri")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_HEAD = 2000
_WORD = r"""(?:"[^"\n]*+"|'[^'\n]*+'|[^\s;&|"'`$()<>]++)"""
_PROGRAM = re.compile(
    rf"""\s*+
    (?: cd\s++{_WORD}\s*+(?:&&|;)\s*+ ){{0,3}}                                      # cd /src &&
    (?: \w++={_WORD}?\s++ | (?:sudo|env|time|nohup|exec|command)\s++ ){{0,8}}        # CI=1 sudo
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
        if isinstance(said := given.get(name), str) and said:
            return shown(_address(said) if name in ("url", "uri") or _SCHEME.match(said) else said)
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


def _address(url: str) -> str:
    """Without credentials, query and fragment."""
    found = _SCHEME.match(url)
    scheme = found[0] if found else ""
    host, slash, path = re.split(r"[?#]", url[len(scheme) :], maxsplit=1)[0].partition("/")
    return scheme + host.rpartition("@")[2] + slash + path
