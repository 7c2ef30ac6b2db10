"""The table of secrets: by what a secret in a text is known.

A rule is a name, a hint and a pattern. The hint is a literal that stands in every match: a text without it cannot match,
and looking for a literal costs next to nothing, so that an ordinary prompt is cheap. Patterns begin with a literal, which
lets ``re`` skip ahead, and look back from behind it; what has no bound is possessive, so that time stays linear. A rule
that folds reads the text in lower case, which keeps every position.

There are three kinds: tokens known by their shape (``ghp_…``), secrets known by their place (a header, a URL), and named
values (``API_KEY=…``), which must look random too, as ordinary code is full of ``token: AuthenticationToken``. Request, message
and tool ids, UUIDs, model names and dates are none: they carry the value of a report.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from proxy.core.hints import ENDS
from proxy.core.makers import LITERALS

Judge = Callable[[str, re.Match[str]], bool]

SECRET_KEYS = frozenset(
    "fallback_credit_token authorization authorization_token proxy-authorization x-api-key api_key cookie set-cookie"
    " client_secret access_token refresh_token".split()
)
"""JSON keys whose strings are secrets whatever they look like; lower case."""

_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


class Found(NamedTuple):
    """A secret's place in a text, and the rule that found it."""

    start: int
    end: int
    name: str


class Rule(NamedTuple):
    """The group ``s`` of ``pattern`` is the secret; without such a group the whole match is. ``leads``: each begins with the hint."""

    name: str
    hint: str
    pattern: re.Pattern[str]
    fold: bool = False
    judge: Judge | None = None
    leads: bool = True

    def find(self, text: str, source: str) -> Iterator[Found]:
        """Its matches in ``source``, which is ``text`` or its folding; ``text`` is what the judge sees."""
        group = "s" if "s" in self.pattern.groupindex else 0
        for match in self._led(source) if self.leads else self.pattern.finditer(source):
            if self.judge is None or self.judge(text, match):
                yield Found(match.start(group), match.end(group), self.name)

    def _led(self, source: str) -> Iterator[re.Match[str]]:
        """What ``finditer`` gives; ``str.find`` is faster than ``re`` where the hint is rare."""
        at = source.find(self.hint)
        while at >= 0:
            match = self.pattern.match(source, at)
            if match:
                yield match
            at = source.find(self.hint, match.end() if match else at + 1)


# What is no secret though it is long and has digits.
_EXEMPT = re.compile(
    r"""\[redacted: | \$[a-z_{(] | [{<\[*] | %[({sd]                       # already done; a variable; a template
    | [~.]{0,2}/ | [a-z][a-z0-9+.-]{1,20}://                               # a path; a URL
    | (?:req|msg|toolu|srvtoolu|batch)_ | (?:claude|gpt|gemini)-           # ids of the API; models
    | \d{4}-\d\d-\d\d | [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z      # dates; UUIDs
    | (?:test|fake|dummy|mock|sample)(?:[-_.]?[a-z]+)*+[-_.]?\d{0,4}\Z     # words, and at most a number
    | (?:example|your|change-?me|placeholder|insert|replace)[-_.] | [^\s*]*?(?:xxxx|\*\*\*|\.\.\.)""",
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
DONE = re.compile(r"\[redacted:[\w-]+\]\Z")


def looks_random(value: str, *, sure: bool) -> bool:
    """Whether a named value is a secret. Unless its place makes it sure, it needs more digits than an identifier has."""
    if len(value) < 12 or _EXEMPT.match(value):
        return False
    runs = _DIGITS.findall(value, 0, 200)
    many = len(runs) > 1 or (runs and len(runs[0]) > 3 and not value.isdecimal())
    return bool(runs and (sure or many or re.search(r"[^\w.:/-]", value)))


def _looks_opaque(value: str) -> bool:
    """Whether a value in a place for secrets is more than a word or a variable."""
    mixed = value[1:].lower() != value[1:] and value.upper() != value
    return not _EXEMPT.match(value) and (mixed or value.endswith("=") or _DIGITS.search(value) is not None)


def _opaque(text: str, match: re.Match[str]) -> bool:
    return _looks_opaque(text[match.start("s") : match.end("s")])


def _random(text: str, match: re.Match[str]) -> bool:
    return looks_random(text[match.start() : match.end()], sure=False)


def _named(text: str, match: re.Match[str]) -> bool:
    """Judge a name and its value by what surrounds them: a query, a flag, a header, quotes, ``NAME=value``."""
    (start, end), sep = match.span("s"), match["sep"]
    value, after = text[start:end], text[end : end + 1]
    before = text[max(0, match.start() - 48) : match.start()]
    lead = before.rstrip(_NAME_CHARS)
    name = before[len(lead) :] + text[match.start() : match.end("name")]
    if sep == "=" and lead.endswith(("?", "&", "&amp;")):
        return _looks_opaque(value) and (name.lower() != "key" or _DIGITS.search(value) is not None)
    if lead.endswith("[redacted:") and text[match.end("name") : match.end("name") + 1] == "]":
        return False
    flag = name.startswith("--")
    if match["name"].startswith("sig") or (sep.isspace() and not flag):
        return False
    if not match["q"] and after in ("(", "["):
        return False
    if match["q"] and name.lower() in SECRET_KEYS:
        return _looks_opaque(value)
    if match["name"] == "authorization" or ("-" in name and not flag):
        return _looks_opaque(value) and _DIGITS.search(value) is not None
    setting = sep == ":" or " " not in text[match.end("name") : start]
    line = match["name"] != "token" and after in ("", "\n", "\r", "\\")
    return looks_random(value, sure=bool(match["q"]) or flag or (setting and (name.isupper() or line)))


def _edge(literal: str) -> str:
    """The literal, and before it no letter or digit, unless these end an escape (``\\n`` in JSON in JSON, ``%3D``)."""
    it = re.escape(literal)
    return rf"{it}(?:(?<![A-Za-z0-9]{it})|(?<=\\[nrt]{it})|(?<=%[0-9A-Fa-f]{{2}}{it}))"


def _shape(name: str, literal: str, rest: str, *, edge: bool = False, judge: Judge | None = None) -> Rule:
    head = _edge(literal) if edge else re.escape(literal)
    return Rule(name, literal, re.compile(head + rest, re.ASCII), judge=judge)


def _maker(maker: str, literal: str, rest: str) -> Rule:
    return _shape(f"{maker.lower().replace(' ', '-')}-token", literal, rest, edge=True)


def _place(name: str, hint: str, pattern: str, *, judge: Judge | None = None) -> Rule:
    return Rule(name, hint, re.compile(pattern, re.ASCII | re.VERBOSE), fold=True, judge=judge)


_QUOTE = r"""[bfru]{0,2}\\{0,4}["'`]"""
_HEADER = rf"[ \t]{{0,4}}(?:[:=][ \t]{{0,4}}(?:{_QUOTE})?|,[ \t]{{0,4}}{_QUOTE})"  # "name: value" and ("name", "value")
_ASSIGNED = rf"""
    (?:[_-]?(?:value|prod|production|dev|live|test|staging|\d{{1,2}}))?
    \\{{0,4}}["'`]?\]?                                                               # "password": and x["password"] =
    (?:[ \t]?:[ \t]?&?(?:str|string|bytes|secretstr)(?:[ ]?\|[ ]?none)?(?=[ \t]?=))? # password: str =
    [ \t]{{0,4}}(?P<sep>=>|:=|[:=]|[ \t])[ \t]{{0,4}}(?P<q>{_QUOTE})?
    (?P<s>(?(q)[^\s"'`\\<>]{{8,}}+|[^\s"'`\\,;(){{}}\[\]<>&|]{{8,}}+))"""


def _assigned(name: str, keyword: str, rest: str = "") -> Rule:
    return _place(name, keyword, rf"(?P<name>{keyword}){rest}{_ASSIGNED}", judge=_named)


_KEYS = "".join(
    rf"|(?<={word}[_.-]key)|(?<={word}key)"
    for word in "api access secret private signing encryption account auth master service storage license deploy".split()
)

# A terminal wraps a long line, a box draws its border there, and JSON within JSON spells the break ``\n``.
_BREAK = r"(?:[ \t│|]{0,8}(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n)[ \t│|>]{0,8})"
_URL_CHARS = r"[\w.~%+/=-]"
_WRAPPED_FORM = f"{_BREAK}?".join(re.escape(char) for char in "form/cyber-use-case?token=")
_FORM_REST = (  # a further piece of the token: it looks like one, or is alone on its line
    rf"(?:(?={_URL_CHARS}*?[\d_%=+]|{_URL_CHARS}+?[A-Z]){_URL_CHARS}++"
    rf"|{_URL_CHARS}++(?=[ \t│|]*+(?:[\r\n\"'<)\]]|\\|\Z)))"
)
_KEY_REST = r"(?=[\w-]*?\d)[\w-]{8,}+(?![=:(.])"
_EXEMPTION = re.compile(rf"{_WRAPPED_FORM}{_BREAK}?(?P<s>{_URL_CHARS}++(?:{_BREAK}{_FORM_REST})*+)")

RULES = (
    _shape("anthropic-key", "sk-ant-", rf"(?:[\w-]{{90,}}+|[\w-]{{10,}}+(?:{_BREAK}{_KEY_REST})*+)"),
    _shape("openai-key", "sk-", r"(?!ant-)[\w-]{20,}+", edge=True, judge=_random),
    _shape("github-token", "gh", r"[pousr]_[A-Za-z0-9_]{20,}+"),
    _shape("github-token", "github_pat_", r"[A-Za-z0-9_]{20,}+"),
    _shape("gitlab-token", "gl", r"(?:[a-z]{1,4}t|agent)-[\w-]{16,}+(?:\.[\w-]++)*+", edge=True),
    _shape("slack-token", "xox", r"[abceoprs](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}+"),
    _shape("slack-token", "xapp-", r"\d-[A-Za-z0-9-]{16,}+"),
    _shape("slack-webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/(?P<s>[\w/-]{16,}+)"),
    _shape("discord-webhook", "/webhooks/", r"\d{8,20}/(?P<s>[\w-]{30,}+)"),
    _shape("telegram-token", "/bot", r"(?P<s>\d{6,12}(?::|%3[Aa])[\w-]{30,}+)"),
    Rule("telegram-token", ":AA", re.compile(r":(?P<s>AA(?<=\d{6}:AA)[\w-]{33})(?![\w-])", re.ASCII)),
    *(_shape("aws-access-key", head, r"[A-Z0-9]{16}(?![A-Za-z0-9])", edge=True) for head in ("AKIA", "ASIA")),
    _place(
        "aws-secret-key",
        "secret",
        r"""secret[_-]?access[_-]?key[\s"'`\\:=>\]]{1,16}(?P<s>[a-z0-9/+]{40})(?![a-z0-9/+=])""",
    ),
    _shape("google-key", "AIza", r"[\w-]{30,}+", edge=True),
    _shape("google-token", "ya29.", r"[\w-]{20,}+"),
    _shape("google-token", "1//0", r"[\w-]{30,}+", edge=True),
    _shape("google-secret", "GOCSPX-", r"[\w-]{20,}+"),
    *(_shape("stripe-key", head, r"(?:live|test)_[A-Za-z0-9]{10,}+") for head in ("sk_", "rk_")),
    _shape("stripe-secret", "whsec_", r"[A-Za-z0-9+/=]{20,}+"),
    _shape("npm-token", "npm_", r"[A-Za-z0-9]{30,}+"),
    _place("npm-token", "_authtoken", r"""_authtoken\\{0,4}["']?[ \t]?=[ \t]?\\{0,4}["']?(?P<s>[\w.+/=-]{8,}+)"""),
    _shape("pypi-token", "pypi-", r"[\w-]{32,}+", judge=_random),
    _shape("huggingface-token", "hf_", r"[A-Za-z0-9]{30,}+", edge=True),
    _shape("jwt", "eyJ", r"[\w-]{8,}+\.eyJ[\w-]{8,}+(?:\.[\w-]*+)++", edge=True),
    *(_maker(*row) for row in LITERALS),
    Rule(
        "terraform-token",
        ".atlasv1.",
        re.compile(r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{50,}+", re.ASCII),
        leads=False,
    ),
    _shape("azure-secret", "~", r"(?<=[\w.~-]{3}\dQ~)[\w.~-]{31,}+"),
    _shape("jwe", "eyJ", r"[\w-]{8,}+\.[\w-]*+\.[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,}+", edge=True),
    _shape(
        "password-hash",
        "$",
        r"(?:2[abxy]\$\d\d\$[\w./]{53}|argon2(?:id?|d)\$[\w$=,./+-]{30,}+"
        r"|(?:apr1|[156y])\$(?:rounds=\d{1,9}\$)?[\w./]{1,64}\$[\w./]{22,}+(?:\$[\w./]{22,}+)?)",
    ),
    _shape(
        "private-key",
        "-----BEGIN ",
        r"(?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?P<s>"
        r"(?:[^-]|-(?!----)){0,32768}+-{5,9}END (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:[^A-Za-z0-9+/=-]{0,16}\d{0,6}[^A-Za-z0-9+/=-]{0,4}(?:\\{1,4}[nr]){0,2}[A-Za-z0-9+/]{16,}+={0,2})++)",
    ),
    _place(
        "authorization",
        "authorization",
        rf"""authorization\\{{0,4}}["'`]?{_HEADER}(?:bearer|basic|token|apikey|bot)[ \t]++(?P<s>[^\s"'`\\,;<>(){{}}]{{6,}}+)""",
        judge=_opaque,
    ),
    _place("bearer", "bearer ", r"bearer[ ](?P<s>[a-z0-9._~+/-]{16,}+={0,2})", judge=_opaque),
    _place(
        "cookie",
        "cookie",
        rf"""cookie\\{{0,4}}["'`]?{_HEADER}(?P<s>[\w!#$%&*+.^|~-]{{1,64}}=(?:[^\r\n"'`\\]|(?<==)"[^"\r\n\\]*+")++)""",
    ),
    _shape(
        "url-credentials",
        "://",
        r"""(?P<s>(?!\[redacted:)[^\s/?#"'`<>\\@:]*+:(?![{<$]|%[({s])[^\s/?#"'`<>\\@]++(?:@[^\s/?#"'`<>\\@]++(?=@))*+)@""",
    ),
    *(
        Rule("exemption-token", hint, _EXEMPTION, leads=False) for hint in ("com/form/", "cyber-use")
    ),  # one of them is unbroken
    _assigned("authorization", "authorization"),
    *(_assigned("password", word) for word in ("password", "passwd", "passphrase", "pwd")),
    _assigned("secret", "secret"),
    _assigned("token", "token"),
    _assigned("api-key", "key", rf"(?:(?<=[?&;]key){_KEYS})"),
    _assigned("signature", "sig", "(?:nature)?"),
)

TOKENS = frozenset(
    ["github_pat_", "npm_", "hf_", "whsec_", "pypi-", "GOCSPX-", "ya29.", ".atlasv1."]
    + [literal for _, literal, _ in LITERALS if literal[-1] in ENDS]
)
"""The hints of rules whose matches go on with a long word: see ``proxy.core.hints``."""
