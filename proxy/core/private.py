"""The table of what is private though it is no secret: addresses, paths, ids, handles; by what each is known in a text.

It sits behind ``proxy.core.secrets``, which knows keys and tokens by their makers. Here a rule rather takes too much than too little: what it
takes is replaced by a placeholder, and a person sees it before it leaves. Public names that a report needs are let be: the API's own hosts and mail
addresses, loopback addresses, the folders of the system.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Private(NamedTuple):
    """Something to be replaced. The value is what it is known by again."""

    start: int
    end: int
    kind: str
    why: str
    value: str


class Rule(NamedTuple):
    """``kind`` and ``why`` of what matches; the group ``s``, where there is one, is what goes. ``lets``: which matches are public."""

    kind: str
    why: str
    pattern: re.Pattern[str]
    lets: Callable[[str], bool] | None = None
    hint: str = ""
    """Stands in every match; empty: there is no such literal."""

    def find(self, text: str) -> Iterator[Private]:
        if self.hint and self.hint not in text:
            return
        group = "s" if "s" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            value = match[group]
            if value and not (self.lets and self.lets(value)):
                yield Private(*match.span(group), self.kind, self.why, value)


PUBLIC_HOSTS = frozenset(
    "anthropic.com claude.com claude.ai github.com githubusercontent.com github.io gitlab.com python.org"
    " nodejs.org rust-lang.org docs.rs golang.org debian.org ubuntu.com w3.org ietf.org rfc-editor.org"
    " json-schema.org schema.org openai.com google.com googleapis.com bedrock.amazonaws.com example.com example.org example.net"
    " localhost wikipedia.org stackoverflow.com mozilla.org mitmproxy.org sqlite.org readthedocs.io".split()
)
PUBLIC_MAIL = frozenset(
    {"usersafety@anthropic.com", "support@anthropic.com", "security@anthropic.com", "git@github.com"}
)
PUBLIC_HANDLES = frozenset(
    "anthropic-ai anthropics claude types property staticmethod classmethod dataclass override pytest media import param params"
    " return returns throws deprecated abstractmethod cached_property contextmanager".split()
)


def _is_public_host(host: str) -> bool:
    name = host.lower().rstrip(".")
    return any(name == public or name.endswith(f".{public}") for public in PUBLIC_HOSTS)


def _is_public_mail(address: str) -> bool:
    return address.lower() in PUBLIC_MAIL or address.lower().endswith(
        ("@example.com", "@example.org", "@users.noreply")
    )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("0.0.0.0", "255.255.255.255", "::1", "::")  # noqa: S104 - names


def _is_public_handle(handle: str) -> bool:
    return handle.lstrip("@").lower() in PUBLIC_HANDLES


def _is_public_owner(place: str) -> bool:
    return place.lower().startswith("anthropics")


def _is_hash(digits: str) -> bool:
    return len(set(digits)) < 4  # a row of zeros is no id


def _is_placeholder(value: str) -> bool:
    """Or a variable, a type, a row of dots."""
    return bool(re.match(r"[\[<${*]|\.\.\.|\w+\]$|[A-Z_]+$", value))


def looks_chosen(value: str) -> bool:
    """Whether a value in a place for secrets is more than a word: it has a digit, a mark, or a capital within, or is very long."""
    return not value.isalpha() or value[1:].lower() != value[1:] or len(value) > 20


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_H16 = r"[0-9A-Fa-f]{1,4}"
_TELLING = (
    r"(?:[\w.-]*(?:token|secret|passw\w*|pwd|api[_-]?key|signature|credential|policy|ticket|session|auth)[\w.-]*"
    r"|key|sig|sign|code|jwt|otp|sid|hmac|nonce|key-pair-id|x-(?:amz|goog)-[\w-]+)"
)
_PATH = r"[^\s\"'`<>|,;()\[\]{}│┃║:?#]"
_SPACED = rf"(?:{_PATH}| (?=[\w.-]+[/\\]))"
_ROOTS = (
    "home|Users|root|mnt|media|srv|data|work|workspaces?|var|opt|private|Volumes|tmp|code|projects?|repos?|git|builds?"
)

RULES = (
    Rule(
        "SECRET",
        "a value in the query of a URL",
        re.compile(rf"(?<=[?&;])(?:amp;)?{_TELLING}=(?P<s>[^\s&#\"'`<>)\]│┃║]+)", re.IGNORECASE),
        _is_placeholder,
        "=",
    ),
    Rule(
        "SECRET",
        "a user's name and password",
        re.compile(
            r"\b(?:credentials?|creds?|log-?ins?|user(?:name)? ?(?:/|and|&) ?pass(?:word)?|user/pw|auth)\b[\"'`]?"
            r"(?: (?:is|are|was|with|as|for [\w.-]+))?[ \t:=]{1,4}[\"'`(]?(?P<s>[\w.@+-]{1,64} ?[/:] ?[^\s\"'`,;)]{3,})",
            re.IGNORECASE,
        ),
        _is_placeholder,
    ),
    Rule(
        "SECRET",
        "a password",
        re.compile(
            r"\b(?:password|passwort|passwd|passphrase|pass|pwd|pw)\b[\"'`]?[ \t]?[:=][ \t]?[\"'`]?(?P<s>[^\s\"'`,;)<>]{4,})",
            re.IGNORECASE,
        ),
        _is_placeholder,
    ),
    Rule(
        "SECRET",
        "a password",
        re.compile(r"\b(?:password|passwd|passphrase|pw)[ \t]is[ \t][\"'`]?(?P<s>[^\s\"'`,;)<>]{4,})", re.IGNORECASE),
        lambda value: not looks_chosen(value),
    ),
    Rule(
        "SECRET",
        "a user's name and password",
        re.compile(r"(?<= -u )(?P<s>[\w.@+-]{1,64}:[^\s\"'`]{3,})"),
        _is_placeholder,
        "-u ",
    ),
    Rule("SECRET", "a password", re.compile(r"(?<=sshpass -p)[ ]?[\"']?(?P<s>[^\s\"']{3,})"), None, "sshpass"),
    Rule(
        "EMAIL",
        "an e-mail address",
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"),
        _is_public_mail,
        "@",
    ),
    Rule(
        "REPO",
        "a repository's address",
        re.compile(
            r"(?:(?<=github\.com[/:])|(?<=gitlab\.com[/:])|(?<=bitbucket\.org[/:])|(?<=api\.github\.com/repos/))(?P<s>[\w.-]+/[\w.-]*\w)"
        ),
        _is_public_owner,
    ),
    Rule(
        "REPO",
        "a repository's address",
        re.compile(r"(?<![\w.+-])[\w.-]+@[\w-]+(?:\.[\w-]+)*:(?!\d+\b)[\w./~-]+", re.ASCII),
        None,
        "@",
    ),
    Rule(
        "PATH",
        "a path below a home folder",
        re.compile(rf"/(?:home|Users)/(?:[^\s/\"'`<>│┃║]+)(?:/{_SPACED}*)?"),
        None,
        "/",
    ),
    Rule(
        "PATH",
        "a path below a home folder",
        re.compile(r"\b[A-Za-z]:[\\/]{1,4}(?:Users|Documents and Settings)[\\/]{1,4}[^\s\"'`<>│┃║]*", re.IGNORECASE),
        None,
        ":",
    ),
    Rule(
        "PATH",
        "a path below a home folder, as Claude Code names its folders",
        re.compile(r"(?<![\w-])(?:-|[A-Za-z]--)(?:home|Users|root|work|mnt|srv)-[\w.-]+"),
        None,
        "-",
    ),
    Rule("PATH", "a path", re.compile(rf"(?<![\w./<-])/(?:{_ROOTS})/{_PATH}+"), None, "/"),
    Rule("PATH", "a path", re.compile(rf"(?<![\w./<-])~/(?!\.claude\b){_PATH}+"), None, "~/"),
    Rule(
        "PATH", "a path", re.compile(r"(?<![\w])[A-Za-z]:\\{1,4}(?![nrt]\b)[\w.$-]+(?:\\{1,4}[\w.$ -]*)*"), None, ":\\"
    ),
    Rule("PATH", "a path", re.compile(r"(?<![\w\\])\\\\[\w.-]+\\[\w.$\\-]+"), None, "\\\\"),
    Rule(
        "ID",
        "an id (of a session, an organisation, an account)",
        re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"),
        _is_hash,
        "-",
    ),
    Rule(
        "ID",
        "an id (of a session, an organisation, an account)",
        re.compile(
            r"(?<![A-Za-z0-9])(?:org|organization|acct|account|user|workspace|wrkspc|sess|session|cse|agent|apikey|file|batch)[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{12,}"
        ),
    ),
    Rule("ID", "an id, or a hash", re.compile(r"(?<![0-9A-Za-z:])[0-9a-f]{32,}(?![0-9A-Za-z])"), _is_hash),
    Rule(
        "HOST",
        "the name of a machine",
        re.compile(r"(?<=://)(?:[^\s/@\"'`<>]*@)?(?P<s>[A-Za-z0-9](?:[\w.-]*\w)?)(?=[:/?#\s\"'`<>)\]},]|$)"),
        lambda host: _is_public_host(host) or bool(re.fullmatch(r"[\d.]+", host)),
        "://",
    ),
    Rule(
        "HOST",
        "the name of a machine",
        re.compile(
            r"(?<![\w.@/-])(?:[\w-]{1,63}\.){1,8}(?:internal|intranet|corp|lan|local|localdomain|private|arpa|home|vpn|onion|test|invalid)(?![\w(-])",
            re.IGNORECASE,
        ),
        _is_public_host,
    ),
    Rule(
        "HOST",
        "the name of a machine",
        re.compile(
            r"(?<![\w.@-])(?:[\w-]{1,63}\.){1,8}(?:com|net|org|edu|gov|mil|io|dev|cloud|app|tech|de|uk|fr|nl|eu|us|ca|ch|at|it|es|pl|jp|cn|kr|br|au)"
            r"(?![\w(-]|\.\w)",
            re.IGNORECASE,
        ),
        _is_public_host,
    ),
    Rule(
        "IP", "a network address", re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w]|\.\d)"), _is_loopback, "."
    ),
    Rule(
        "IP",
        "a network address",
        re.compile(
            rf"(?<![\w:.])(?:(?:{_H16}:){{7}}{_H16}|(?:{_H16}:){{1,7}}:(?:{_H16}(?::{_H16}){{0,5}})?|::{_H16}(?::{_H16}){{0,6}})(?:%\w+)?(?![\w:])"
        ),
        lambda address: _is_loopback(address) or not re.search(r"\d", address),
        ":",
    ),
    Rule("IP", "a hardware address", re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")),
    Rule(
        "HANDLE",
        "a handle",
        re.compile(r"(?<![\w.@/+>\]-])@[A-Za-z](?:[\w-]{0,38}\w)?(?![\w@])"),
        _is_public_handle,
        "@",
    ),
)
"""Secrets first: what several rules find is called what the first of them calls it."""


def private(text: str) -> Iterator[Private]:
    """All that the rules find; what two of them find comes twice."""
    for rule in RULES:
        yield from rule.find(text)
