"""Secrets out of texts and of parsed JSON, with an account of what went: what the table of secrets finds, and what the owner denies.

Overlapping finds are one; each becomes ``[redacted:NAME]``. In JSON a secret is known by its key as well.

A deny entry is a plain word, found anywhere and in any case, or a regular expression between slashes: ``/acme-\\d+/``.
"""

import re
from collections import Counter
from collections.abc import Sequence

from proxy.core.hints import Hints, folded, has_long, lower, plain
from proxy.core.secrets import DONE, RULES, SECRET_KEYS, TOKENS, Found, Rule, looks_random

SECRET_NAMES = tuple("password passwd passphrase secret token apikey api_key api-key access_key private_key".split())
"""Ends of JSON keys whose strings are secrets if they look random; lower case."""
TOKEN_OWNERS = frozenset({"fallback_credit_token", "resumption"})
"""JSON keys of objects in which ``token`` is a secret."""
OPAQUE = frozenset({("base64", "data"), ("thinking", "signature"), ("redacted_thinking", "data")})
"""Type of an object and key of its member that is no text: media, and what binds a thinking block."""

_OPAQUE_KEYS = {key for _, key in OPAQUE}
_SHORTEST = 8
_SHORT = 64
"""Characters, up to which one search for any hint is faster than one for each."""


class _Table:
    """Rules by the literal that stands in all they match; ``fold``: which read the text in lower case."""

    def __init__(self, rules: Sequence[Rule], *, fold: bool) -> None:
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.fold == fold:
                self._rules.setdefault(rule.hint, []).append(rule)
        self._hints = Hints(self._rules, TOKENS & self._rules.keys())

    def within(self, text: str) -> list[Rule]:
        """Those that may match in a text, as ``hints`` has it."""
        return [rule for hint in self._hints.within(text) for rule in self._rules[hint]]


_LEAST = [rule for rule in RULES if rule.name == "exemption-token"]
_TABLES = {
    secrets: (_Table(rules, fold=False), _Table(rules, fold=True))
    for secrets, rules in ((True, RULES), (False, _LEAST))
}
_ANY = re.compile("|".join(sorted({re.escape(rule.hint.lower()) for rule in RULES if rule.hint not in TOKENS})))


def _placeholder(name: str) -> str:
    return f"[redacted:{name}]"


def _merged(spans: list[Found]) -> list[Found]:
    """In order, overlapping ones as one, which has the name of the first and longest."""
    merged: list[Found] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = merged[-1]._replace(end=max(span.end, merged[-1].end))
        else:
            merged.append(span)
    return merged


def _denied(entry: str) -> re.Pattern[str]:
    """A word as a pattern, or the pattern between slashes."""
    try:
        if len(entry) > 1 and entry.startswith("/") and entry.endswith("/"):
            pattern = re.compile(entry[1:-1])
        else:
            pattern = re.compile(re.escape(entry), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{entry!r} is not a regular expression: {error}") from None
    if pattern.match(""):
        raise ValueError(f"{entry!r} matches the empty text")
    return pattern


class Redactor:
    """Takes secrets, and what the owner denies, out of texts and of parsed JSON. Holds no state, may be shared by threads.

    ``deny``: plain words, and regular expressions between slashes. Raises ValueError, one line, for one that cannot be used.
    Where an ``account`` is given, the names of the rules that struck are counted in it. ``secrets`` False: only what is never
    kept, whatever the owner sets: the API's own tokens and credentials, by their keys, and exemption links.
    """

    def __init__(self, deny: Sequence[str] = (), *, secrets: bool = True) -> None:
        self._deny = [_denied(entry) for entry in deny]
        self._secrets = secrets
        self._plain, self._folding = _TABLES[secrets]

    def found(self, text: str) -> list[Found]:
        """The spans to replace: in order, none overlapping another."""
        spans = [Found(*match.span(), "deny") for pattern in self._deny for match in pattern.finditer(text) if match[0]]
        low = lower(text)
        if len(text) >= _SHORTEST and (len(text) > _SHORT or _ANY.search(low) or has_long(text)):
            for rule in self._plain.within(plain(text)):
                spans += rule.find(text, text)
            if rules := self._folding.within(low):
                source = folded(text)
                for rule in rules:
                    spans += rule.find(text, source)
        return _merged(spans) if spans else spans

    def text(self, text: str, account: Counter[str] | None = None) -> tuple[str, int]:
        """``text`` with ``[redacted:NAME]`` for each secret, and how many were replaced."""
        struck: list[str] = []
        clean = self._string(text, struck)
        if account is not None:
            account.update(struck)
        return clean, len(struck)

    def value(self, value: object, account: Counter[str] | None = None) -> tuple[object, int]:
        """Parsed JSON with its secrets replaced, by text and by key, and how many. ``value`` itself is not changed.

        Base64 media, thinking signatures and redacted thinking stay as they are. Raises RecursionError where JSON is
        nested too deeply.
        """
        struck: list[str] = []
        clean = self._walk(value, struck)
        if account is not None:
            account.update(struck)
        return clean, len(struck)

    def _walk(self, value: object, struck: list[str], owner: str = "") -> object:
        if isinstance(value, str):
            return self._string(value, struck)
        if isinstance(value, list):
            return [self._walk(item, struck) for item in value]
        if not isinstance(value, dict):
            return value
        clean: dict[str, object] = {}
        for key, member in value.items():
            name = self._string(key, struck) if len(key) > 16 or self._deny else key
            while name in clean:
                name += "_"
            opaque = key in _OPAQUE_KEYS and isinstance(member, str) and (str(value.get("type")), key) in OPAQUE
            clean[name] = member if opaque else self._member(key.lower(), member, owner, struck)
        return clean

    def _member(self, key: str, member: object, owner: str, struck: list[str]) -> object:
        secret = key in SECRET_KEYS or (key == "token" and owner in TOKEN_OWNERS)
        if isinstance(member, str):
            named = self._secrets and key.endswith(SECRET_NAMES)
            secret = secret or (named and looks_random(member, sure=True))
            if not secret or not member or DONE.match(member):
                return self._string(member, struck)
            struck.append(key)
            return _placeholder(key)
        if isinstance(member, list) and secret:
            return [self._member(key, item, owner, struck) for item in member]
        return self._walk(member, struck, key)

    def _string(self, text: str, struck: list[str]) -> str:
        found, parts, at = self.found(text), [], 0
        for start, end, name in found:
            parts += [text[at:start], _placeholder(name)]
            struck.append(name)
            at = end
        return "".join([*parts, text[at:]]) if found else text
