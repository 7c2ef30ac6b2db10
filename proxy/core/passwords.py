"""The table of secrets that are known only by what stands before them: passwords, pairs of a user and a password, values in addresses and on command lines."""

import re

from proxy.core.rule import Rule

_TELLING = (
    r"(?:[\w.-]*(?:token|secret|passw\w*|pwd|api[_-]?key|signature|credential|policy|ticket|session|auth)[\w.-]*"
    r"|key|sig|sign|code|jwt|otp|sid|hmac|nonce|key-pair-id|x-(?:amz|goog)-[\w-]+)"
)
_WORD = r"(?:pass(?:word|wort|wd|phrase)|kennwort|wachtwoord|mot de passe|contraseña|senha)"
_SHORT = r"(?:pass(?<![a-z]pass)|pwd(?<![a-z]pwd)|pw(?<![a-z]pw)|psk(?<![a-z]psk))"
_WORDS = ("pass", "kennwort", "wachtwoord", "contrase", "senha")
_VALUE = r"(?:(?<=\")[^\"\\\r\n]{4,128}(?=\")|(?<=')[^'\\\r\n]{4,128}(?=')|[^\s\"'`,;)<>]{4,})"


def _is_placeholder(value: str) -> bool:
    """Or a variable, a type, a row of dots."""
    return bool(re.match(r"[\[<${*]|\.\.\.|\w+\]$|[A-Z_]+$", value))


def _is_named_elsewhere(value: str) -> bool:
    """Or a path, which ``PWD`` names."""
    return _is_placeholder(value) or value.startswith(("/", "~"))


def _is_number(value: str) -> bool:
    """Or the numbers of a user and a group."""
    return _is_placeholder(value) or value.replace(":", "").isdecimal()


def looks_chosen(value: str) -> bool:
    """Whether a value in a place for secrets is more than a word: it has a digit, a mark, or a capital within, or is very long."""
    return not value.isalpha() or value[1:].lower() != value[1:] or len(value) > 20


def _is_term(value: str) -> bool:
    """A word, or the name of an algorithm, of a field, of a version: eight characters with a letter and a digit are none."""
    return len(value) < 8 or not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value)


def _is_word(value: str) -> bool:
    """Or several, of ordinary length, with marks between them."""
    return not re.search(r"\d", value) and all(
        part[1:] == part[1:].lower() and len(part) <= 20 for part in re.split(r"[-_./+~=]", value)
    )


PASSWORDS = (
    Rule(
        "SECRET",
        "what a bearer bears",
        re.compile(r"\b[Bb]earer[ \t:]{1,4}[\"'`]?(?P<s>(?=[\w.~+/=-]{16})[\w.~+/-]++={0,2})"),
        _is_word,
        "earer",
    ),
    Rule(
        "SECRET",
        "a password in a connection string",
        re.compile(
            r"(?:postgres(?:ql)?|mysql|mariadb|rediss?|mongodb|amqps?|mssql|sqlserver|clickhouse|ldaps?|smtps?|ftps?|sftp|ssh)(?:\+\w{1,16})?"
            r"://(?P<s>[^\s:@/\"'`<>]{0,64}:[^\s\"'`<>]{1,256})@(?=[\w.\[-])"
        ),
        _is_placeholder,
        "://",
    ),
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
            r"(?: (?:is|are|was|with|as|for [\w.-]+))?[ \t:=]{1,4}[\"'`(]?(?P<s>[\w.@+-]{1,64} ?[/:] ?[^\s\"'`,;)]{3,})"
        ),
        _is_placeholder,
        words=("cred", "log", "user", "auth"),
    ),
    Rule(
        "SECRET",
        "a password",
        re.compile(rf"(?:{_WORD}|{_SHORT})\b[\"'`]?[ \t]?[:=][ \t]?[\"'`]?(?P<s>{_VALUE})"),
        _is_named_elsewhere,
        words=(*_WORDS, "pwd", "pw", "psk"),
    ),
    Rule(
        "SECRET",
        "a password",
        re.compile(r"\b(?:password|passwd|passphrase|pw)[ \t](?:is|was)[ \t][\"'`]?(?P<s>[^\s\"'`,;)<>]{4,})"),
        lambda value: not looks_chosen(value),
        words=("pass", "pw"),
    ),
    Rule(
        "SECRET",
        "a password",
        re.compile(rf"{_WORD}[ \t]{{1,4}}[\"'`]?(?P<s>[^\s\"'`,;)<>/]{{4,}})"),
        _is_term,
        words=_WORDS,
    ),
    Rule(
        "SECRET",
        "a password on a command line",
        re.compile(r"(?<![\w-])--?(?:password|passphrase|passwd|pass|pwd)[ =][\"']?(?P<s>[^\s\"'`<>-][^\s\"'`<>]{3,})"),
        _is_placeholder,
        "-",
    ),
    Rule(
        "SECRET",
        "a password on a command line",
        re.compile(r"\b(?:mysql|mariadb)[\w-]{0,16}\b[^\n|;]{0,200}? -p[\"']?(?P<s>[^\s\"'`<>]{4,})"),
        _is_placeholder,
        " -p",
    ),
    Rule("SECRET", "a password", re.compile(r"(?<=sshpass -p)[ ]?[\"']?(?P<s>[^\s\"']{3,})"), None, "sshpass"),
    Rule(
        "SECRET",
        "a user's name and password",
        re.compile(r"(?<![\w-])(?:-u|--user|--proxy-user)[ =]?[\"']?(?P<s>[\w.@+-]{1,64}:[^\s\"'`;]{3,})"),
        _is_number,
        "-u",
    ),
    Rule(
        "SECRET",
        "a cookie",
        re.compile(r"(?<![\w-])(?:-b|--cookie)[ =]?[\"'](?P<s>[^\"'\n=]{1,64}=[^\"'\n]{4,})"),
        _is_placeholder,
        "-",
    ),
    Rule("SECRET", "a password", re.compile(r":5432:[\w*-]{1,64}:[\w.*-]{1,64}:(?P<s>[^\s\"'`:]{4,})"), None, ":5432:"),
    Rule(
        "SECRET",
        "a user's name and password",
        re.compile(r"(?<![\w-])_?auth[\"']?[ \t]?[=:][ \t]?[\"']?(?P<s>[A-Za-z0-9+/]{12,}={0,2})(?![\w+/=.(-])"),
        lambda value: not looks_chosen(value[1:]),
        "auth",
    ),
    Rule(
        "SECRET",
        "a key of a cluster",
        re.compile(r"(?<=-data:)[ \t]{1,4}(?P<s>[A-Za-z0-9+/]{40,}={0,2})"),
        None,
        "-data:",
    ),
)
