"""The table of what is private though it is no secret: addresses, paths, ids, handles; by what each is known in a text.

It sits behind ``proxy.core.secrets``, which knows keys and tokens by their makers. Here a rule rather takes too much than too little: what it
takes is replaced by a placeholder, and a person sees it before it leaves. Public names that a report needs are let be: the API's own hosts and mail
addresses, loopback addresses, the folders of the system.
"""

import re
from collections.abc import Iterator

from proxy.core.hints import folded
from proxy.core.makers import MAKERS
from proxy.core.passwords import PASSWORDS
from proxy.core.rule import Private, Rule

PUBLIC_HOSTS = frozenset(
    "anthropic.com claude.com claude.ai github.com githubusercontent.com gitlab.com python.org"
    " nodejs.org rust-lang.org docs.rs golang.org debian.org ubuntu.com w3.org ietf.org rfc-editor.org"
    " json-schema.org schema.org openai.com google.com googleapis.com bedrock.amazonaws.com example.com example.org example.net"
    " localhost wikipedia.org stackoverflow.com mozilla.org mitmproxy.org sqlite.org readthedocs.io".split()
)
PUBLIC_MAIL = frozenset(
    {
        "usersafety@anthropic.com",
        "support@anthropic.com",
        "security@anthropic.com",
        "noreply@anthropic.com",
        "git@github.com",
    }
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


def _is_no_address(digits: str) -> bool:
    return _is_loopback(digits) or any(int(octet) > 255 for octet in digits.split("."))


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("0.0.0.0", "255.255.255.255", "::1", "::")  # noqa: S104 - names


def _is_public_handle(handle: str) -> bool:
    return handle.lstrip("@").lower() in PUBLIC_HANDLES


def _is_public_owner(place: str) -> bool:
    return place.lower().startswith("anthropics/")


def _is_hash(digits: str) -> bool:
    return len(set(digits)) < 4  # a row of zeros is no id


_CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"
"""Of a name; a letter of a script that has none is one too."""
_H16 = r"[0-9A-Fa-f]{1,4}"
_PATH = r"[^\s\"'`<>|,;()\[\]{}│┃║:?#]"
_SPACE = r" (?=(?:[A-Z][\w.-]* )?[\w.$-]+[/\\])"
"""A space within a path: what stands behind it goes on as a path."""
_SPACED = rf"(?:{_PATH}|{_SPACE})"
_ROOTS = (
    "home|Users|root|mnt|media|srv|data|work|workspaces?|var|opt|private|Volumes|tmp|code|projects?|repos?|git|builds?"
    "|run/user|nfs|net|scratch|storage|export"
)

RULES = (
    *PASSWORDS,
    *MAKERS,
    Rule(
        "EMAIL",
        "an e-mail address",
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"),
        _is_public_mail,
        "@",
    ),
    Rule(
        "NAME",
        "the name before an e-mail address",
        re.compile(
            rf"(?<![\w.'-])(?P<s>{_CAPITAL}[\w.'-]*(?: {_CAPITAL}[\w.'-]*){{0,3}})(?= <[\w.+-]{{1,64}}@(?!anthropic\.com))"
        ),
        None,
        " <",
    ),
    Rule(
        "REPO",
        "a repository's address",
        re.compile(
            r"(?:(?<=github\.com[/:])(?!repos/)|(?<=api\.github\.com/repos/)|(?<=raw\.githubusercontent\.com/))(?P<s>[\w.-]+/[\w.-]*\w)"
        ),
        _is_public_owner,
        "github",
    ),
    Rule(
        "REPO",
        "a repository's address",
        re.compile(r"(?:(?<=gitlab\.com[/:])|(?<=bitbucket\.org[/:]))(?P<s>[\w.-]+(?:/(?!-/)[\w.-]*\w)+)"),
        None,
        "t",
    ),
    Rule(
        "ID",
        "the id of a document",
        re.compile(r"(?<=google\.com/)(?:[\w-]+/){1,4}(?P<s>[\w-]{20,})", re.ASCII),
        None,
        "google.com/",
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
        re.compile(
            rf"(?:(?<![\w./-])/(?:usr|export|var|mnt/[a-z]|[a-z]))?/(?:home|Users)/(?:[^\s/\"'`<>│┃║]|{_SPACE})+(?:/{_SPACED}*)?"
        ),
        None,
        "/",
    ),
    Rule(
        "PATH",
        "a path below a home folder",
        re.compile(
            r"\b[A-Za-z]:[\\/]{1,4}(?:Users|Documents and Settings)[\\/]{1,4}(?:[^\s\"'`<>│┃║]|(?-i:" + _SPACE + r"))*",
            re.IGNORECASE,
        ),
        None,
        ":",
    ),
    Rule(
        "PATH",
        "a path below a home folder, as Claude Code names its folders",
        re.compile(
            r"(?<![\w-])(?:-|[A-Za-z]--)(?:home|Users|root|work|mnt|srv|Volumes|private-(?:var|tmp))-[\w.-]+|(?<=projects[/\\])-[\w.-]+"
        ),
        None,
        "-",
    ),
    Rule("PATH", "a path", re.compile(rf"(?<![\w./<-])/(?:{_ROOTS})/{_PATH}+"), None, "/"),
    Rule("PATH", "a path", re.compile(rf"(?<![\w./<-])~/(?!\.claude\b){_PATH}+"), None, "~/"),
    Rule(
        "PATH",
        "a path",
        re.compile(r"(?<![\w])[A-Za-z]:\\{1,4}(?![nrt]\b)[\w.$-]+(?:\\{1,4}(?:[\w.$-]|" + _SPACE + r")*)*"),
        None,
        ":\\",
    ),
    Rule("PATH", "a path", re.compile(r"(?<![\w\\])\\\\[\w.$-]+\\[\w.$\\-]+"), None, "\\\\"),
    Rule("PATH", "a path", re.compile(rf"(?<![\w./<~-])~[A-Za-z][\w.-]*/{_PATH}+"), None, "~"),
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
    Rule("ID", "an id, or a hash", re.compile(r"(?<![0-9A-Za-z:])(?<!commit )[0-9a-f]{32,}(?![0-9A-Za-z])"), _is_hash),
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
            r"(?<![\w.@-])(?:[\w-]{1,63}\.){1,8}(?:com|net|org|edu|gov|mil|io|dev|cloud|app|tech|de|uk|fr|nl|eu|us|ca|ch|at|it|es|pl|jp|cn|kr|br|au"
            r"|ai|xyz|biz|systems|network|solutions|software|company|online|site|zone|agency|studio|consulting|digital|gmbh|health|bank|box"
            r"|nz|se|dk|fi|ru|cz|hu|ie|sg|hk|tw|mx|za|co)"
            r"(?![\w(-]|\.\w)",
            re.IGNORECASE,
        ),
        _is_public_host,
    ),
    Rule("HOST", "the name of a machine", re.compile(r"(?<![\w.-])ip(?:-\d{1,3}){4}(?![\w-])"), None, "ip-"),
    Rule(
        "HOST",
        "an account on a machine",
        re.compile(
            r"(?<![\w.+@/<-])[a-z_][\w.-]{0,31}@(?!latest|next|beta|canary|main|master|HEAD|v\d)[A-Za-z][\w-]{0,62}(?![\w@.-])"
        ),
        None,
        "@",
    ),
    Rule(
        "ID",
        "an account of a cloud",
        re.compile(
            r"(?:(?<=:)|(?<=::))(?P<s>\d{12}(?::(?:user|role|group|assumed-role|instance-profile)/[^\s\"'`<>]+)?)(?<=[:/\w.-])(?=$|[\s\"'`:,)])"
        ),
        None,
        "arn:aws",
    ),
    Rule(
        "IP",
        "a network address",
        re.compile(r"\d(?<![\d.]\d)(?<!\bv\d)\d{0,2}(?:\.\d{1,3}){3}(?!\d|\.\d)"),
        _is_no_address,
        ".",
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
        re.compile(r"(?<![\w.@/+>\]-])@[A-Za-z](?:[\w-]{0,38}\w)?(?![\w@(]|(?:\.\w{1,64}){1,4}\()"),
        _is_public_handle,
        "@",
    ),
)
"""Secrets first: what several rules find is called what the first of them calls it."""


def private(text: str) -> Iterator[Private]:
    """All that the rules find; what two of them find comes twice."""
    low = folded(text)
    for rule in RULES:
        yield from rule.find(text, low)
