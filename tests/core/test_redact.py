"""Secrets out of text. Every planted secret is made here, from parts, so that no scanner takes this file for a leak."""

import re
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planted import FURTHER
from proxy.core.redact import Redactor
from proxy.core.secrets import RULES

UPPER, LOWER, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
ALNUM = UPPER + LOWER + DIGITS


def made(length: int, alphabet: str = ALNUM, seed: int = 7) -> str:
    """Random letters, with an upper and a lower one and two single digits among the first."""
    body = "".join(Random(seed).choices(alphabet, k=length))
    return ("K4x9" if alphabet == ALNUM else "") + body[4 if alphabet == ALNUM else 0 :]


ONLY_IN_WHAT_LEAVES = ("vault before 1.10", "twilio", "discord bot", "ssh")
"""Of the further makers: without a literal that is rare, or no secret."""
HEX = "abcdef" + DIGITS


def clean(text: str) -> str:
    return Redactor().text(text)[0]


TOKENS = {
    "anthropic api": "sk-" + "ant-api03-" + made(93) + "AA",
    "anthropic oauth": "sk-" + "ant-oat01-" + made(93) + "AA",
    "anthropic refresh": "sk-" + "ant-ort01-" + made(60),
    "anthropic admin": "sk-" + "ant-admin01-" + made(90),
    "openai": "sk-" + made(48),
    "openai project": "sk-" + "proj-" + made(60, ALNUM + "_-"),
    "github classic": "gh" + "p_" + made(36),
    "github app": "gh" + "s_" + made(36),
    "github fine-grained": "github" + "_pat_" + made(22) + "_" + made(59),
    "gitlab": "gl" + "pat-" + made(20),
    "gitlab routable": "gl" + "pat-" + made(27) + ".01.120a0" + made(6),
    "slack bot": "xo" + "xb-123456789012-" + made(24),
    "slack app": "xa" + "pp-1-A0123456789-1234567890123-" + made(40, "abcdef" + DIGITS),
    "aws id": "AK" + "IA" + made(16, UPPER + DIGITS),
    "aws temporary id": "AS" + "IA" + made(16, UPPER + DIGITS),
    "google": "AI" + "za" + made(35),
    "google oauth": "ya" + "29." + made(60),
    "google refresh": "1/" + "/0" + made(40),
    "google client secret": "GOC" + "SPX-" + made(28),
    "stripe": "sk" + "_live_" + made(24),
    "stripe restricted": "rk" + "_test_" + made(24),
    "stripe webhook": "wh" + "sec_" + made(32),
    "npm": "np" + "m_" + made(36),
    "pypi": "py" + "pi-AgEIcHlwaS5vcmc" + made(80),
    "hugging face": "h" + "f_" + made(34),
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0." + made(43),
    **{f"further {name}": token for name, token in FURTHER.items() if name not in ONLY_IN_WHAT_LEAVES},
    "sha512 of a password": "$" + "6$rounds=5000$" + made(16) + "$" + made(86),
    "yescrypt of a password": "$" + "y$j9T$" + made(22) + "$" + made(43),
    "argon2 of a password": "$" + "argon2id$v=19$m=65536,t=3,p=4$" + made(22) + "$" + made(43),
    **{
        f"of {literal}": literal + rest
        for literal, rest in {
            "hv" + "b.": made(90),
            "hv" + "r.": made(90),
            "lin" + "_oauth_": made(64),
            "secr" + "et_": made(43),
            "sq0" + "csp-": made(43),
            "EA" + "AA": made(60),
            "gl" + "c_": "eyJ" + made(60),
            "sntr" + "yu_": made(64),
            "AT" + "CTT3": made(60),
            "pscale" + "_pw_": made(43),
            "fo" + "1_": made(43),
            "LT" + "AI": made(20),
            **{f"shp{kind}" + "_": made(32, HEX) for kind in ("ss", "ca", "pa")},
            **{f"do{kind}" + "_v1_": made(64, HEX) for kind in "or"},
            **{f"dp.{kind}" + ".": made(43) for kind in ("st", "ct", "sa", "scim", "audit")},
        }.items()
    },
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "the key is {} as you see",
        '"{}",',
        "x={};",
        "({})",
        "`{}`",
        "'{}'",
        "line\n{}\nline",
        r"line\n{}\n",
        "say%3D{}",
    ],
)
def test_a_token_known_by_its_shape_goes_wherever_it_stands(token: str, around: str) -> None:
    found, count = Redactor().text(around.format(token))
    assert token[8:] not in found
    assert count == 1
    before, after = around.split("{}")
    assert found.startswith(before)
    assert found.endswith(after)


SECRET = made(24)

PLACES = {
    f"Authorization: Bearer {SECRET}": "Authorization: Bearer [redacted:authorization]",
    "authorization: Basic dXNlcjpwYXNz": "authorization: Basic [redacted:authorization]",
    f'"Authorization": "Bearer {SECRET}"': '"Authorization": "Bearer [redacted:authorization]"',
    f"('authorization', 'Bearer {SECRET}')": "('authorization', 'Bearer [redacted:authorization]')",
    f"Authorization: {SECRET}": "Authorization: [redacted:authorization]",
    f"curl -H 'Authorization: token {SECRET}' https://h": "curl -H 'Authorization: token [redacted:authorization]' https://h",
    f"send Bearer {SECRET} with it": "send Bearer [redacted:bearer] with it",
    f"x-api-key: {SECRET}": "x-api-key: [redacted:api-key]",
    "X-Api-Key: a1b2c3d4": "X-Api-Key: [redacted:api-key]",
    f"private-token: {SECRET}": "private-token: [redacted:token]",
    "Cookie: sid=abc; theme=dark\nHost: h": "Cookie: [redacted:cookie]\nHost: h",
    'Set-Cookie: sid="a b"; Path=/; HttpOnly': "Set-Cookie: [redacted:cookie]",
    '"cookie": "sid=abc; b=c", "x": 1': '"cookie": "[redacted:cookie]", "x": 1',
    "https://joe:hunter@example.com/p": "https://[redacted:url-credentials]@example.com/p",
    "postgres://joe:p@ss@db:5432/x": "postgres://[redacted:url-credentials]@db:5432/x",
    "redis://:abc1@cache": "redis://[redacted:url-credentials]@cache",
    "https://h/a/b?token=abcd1234&x=1#f": "https://h/a/b?token=[redacted:token]&x=1#f",
    "https://h/p?x=1&access_token=abcd1234": "https://h/p?x=1&access_token=[redacted:token]",
    "https://h/p?x=1&amp;key=abcd1234": "https://h/p?x=1&amp;key=[redacted:api-key]",
    "https://h/p?sig=Ab%2Bcdef&se=2": "https://h/p?sig=[redacted:signature]&se=2",
    "https://h/p?Signature=aBcdefgh~&Key-Pair-Id=K": "https://h/p?Signature=[redacted:signature]&Key-Pair-Id=K",
    "https://s3/o?X-Amz-Signature=0123456789abcdef": "https://s3/o?X-Amz-Signature=[redacted:signature]",
    "https://s3/o?X-Amz-Security-Token=FQoGZXIvYXdz": "https://s3/o?X-Amz-Security-Token=[redacted:token]",
    "https://hooks.slack.com/services/T00000000/B00000000/"
    + made(24): "https://hooks.slack.com/services/[redacted:slack-webhook]",
    "https://discord.com/api/webhooks/112233445566778899/"
    + made(68): "https://discord.com/api/webhooks/112233445566778899/[redacted:discord-webhook]",
    "https://discordapp.com/api/v10/webhooks/112233445566778899/"
    + made(68, seed=8)
    + "?wait=1": "https://discordapp.com/api/v10/webhooks/112233445566778899/[redacted:discord-webhook]?wait=1",
    "https://api.telegram.org/bot110201543:"
    + made(35)
    + "/getMe": "https://api.telegram.org/bot[redacted:telegram-token]/getMe",
    "https://api.telegram.org/file/bot110201543%3AAA"
    + made(33)
    + "/x": "https://api.telegram.org/file/bot[redacted:telegram-token]/x",
    "Bot(110201543:AA" + made(33) + ")": "Bot(110201543:[redacted:telegram-token])",
    "//npm.example/:_authToken=550e8400-e29b-41d4-a716-446655440000": "//npm.example/:_authToken=[redacted:npm-token]",
    "aws_secret_access_key = " + made(40, ALNUM + "/+"): "aws_secret_access_key = [redacted:aws-secret-key]",
    '"SecretAccessKey": "/' + made(39, ALNUM) + '"': '"SecretAccessKey": "[redacted:aws-secret-key]"',
}


@pytest.mark.parametrize(("text", "expected"), PLACES.items())
def test_a_secret_known_by_its_place_goes_and_the_place_stays(text: str, expected: str) -> None:
    assert Redactor().text(text) == (expected, 1)


NAMED = {
    "API_KEY=abcdefghijk1": "API_KEY=[redacted:api-key]",
    "export OPENAI_API_KEY=abcdefghijk1": "export OPENAI_API_KEY=[redacted:api-key]",
    "OPENAI_API_KEY=abcdefghijk1 python x.py": "OPENAI_API_KEY=[redacted:api-key] python x.py",
    "  API_KEY: abcdefghijk1": "  API_KEY: [redacted:api-key]",
    '"password": "correct9horse"': '"password": "[redacted:password]"',
    r"{\"password\": \"correct9horse\"}": r"{\"password\": \"[redacted:password]\"}",
    "password: correct9horse": "password: [redacted:password]",
    'passwd = "correct9horse"': 'passwd = "[redacted:password]"',
    "passphrase: correct9horse": "passphrase: [redacted:password]",
    "Server=db;Pwd='correct9horse';": "Server=db;Pwd='[redacted:password]';",
    "client_secret: abcdefghijk1\nx: y": "client_secret: [redacted:secret]\nx: y",
    'os.environ["API_KEY"] = "abcdefghijk1"': 'os.environ["API_KEY"] = "[redacted:api-key]"',
    'api_key: str = "abcdefghijk1"': 'api_key: str = "[redacted:api-key]"',
    '"fallback_credit_token":"fct_1abc"': '"fallback_credit_token":"[redacted:token]"',
    'accessToken: "abcdefghijk1"': 'accessToken: "[redacted:token]"',
    "db --password abcdefghijk1 --host h": "db --password [redacted:password] --host h",
    "db --password=abcdefghijk1 --host h": "db --password=[redacted:password] --host h",
    "token=abc123def456": "token=[redacted:token]",
    "token = abcdef123456": "token = [redacted:token]",
    "token: abcdefgh+jk1": "token: [redacted:token]",
    "SECRET_PROD='abcdefghijk1'": "SECRET_PROD='[redacted:secret]'",
    "AccountKey=abcdefgh1jkl==;Endpoint": "AccountKey=[redacted:api-key];Endpoint",
    'İ "password": "correct9horse" İ': 'İ "password": "[redacted:password]" İ',
}


@pytest.mark.parametrize(("text", "expected"), NAMED.items())
def test_a_named_value_that_looks_random_goes(text: str, expected: str) -> None:
    assert Redactor().text(text) == (expected, 1)


ORDINARY = r"""
token: AuthenticationToken
token: OAuth2AccessToken
password: str
password: str | None = None
def login(user: str, password: SecretStr, key2: bytes) -> AccessToken: ...
password = get_password_from_vault2()
token = self.tokens[index1234567]
self.token = os.environ.get("GITHUB_TOKEN_V2")
const token = await fetchTokenFromServer2();
TOKEN=fetch_token_from_vault2()
TOKEN=self.tokens_of_vault2["a"]
the token abc123def456ghi is none
API_KEY=$OTHER_KEY_1234
API_KEY=${OTHER_KEY_1234}
API_KEY={{ vault.key_12345 }}
"token": "{token_1234567}"
"access_token": "string with words"
"refresh_token": "optional"
"api_key": "your-api-key-12345"
"api_key": "test-api-key-1"
"token": "xxxxxxxx1234"
"secret": "abc1...xyz9"
"password": "***hidden1***"
max_tokens: 128000000000
token_count = 123456789012345
"token": 123456789012345
the token "of my affection 1234567890" is here
commit 3f2a9c1d4e5b6a7f8c9d0e1f2a3b4c5d6e7f8a9b
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
integrity="sha512-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08=="
VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgdHdpY2UgYSBkYXkuIDEyMzQ1Njc4OTA=
"key": "messages-2024-11-24-abc123"
cache_key = "prompt-cache-v1-2025-12"
primary_key: order_12345_line_678
for key, value in items: mapping[key] = value12345678
class="task-skeleton-item disk-usage-2024-report-1234567"
<div class="sk-estimator-doc-link-fitted-element">
Authorization: Bearer $TOKEN
Authorization: Bearer <your token>
Authorization: Bearer YOUR_API_KEY
authorization: AuthorizationPolicy
Bearer authentication is used here
x-api-key: string
cookie: str | None = None
add_option("stickycookie", metavar="FILTER")
postgres://${DB_USER}:${DB_PASS}@db/x
f"http://{user}:{password}@{host}/"
http://localhost:8080/user@example.com
git@github.com:acme/repo.git ssh://git@github.com/acme
https://h/p?key=name&token=value
https://h/p?page_token={next_page}
secret_path: /etc/ssl/private1/key.pem
secret: ./config/secret1.yaml
token_url: "https://auth2.example.com/token"
"token": "https://auth2.example.com/x"
"token": "550e8400-e29b-41d4-a716-446655440000"
"token": "2026-11-24T10:00:00Z"
"token": "claude-opus-4-5-20251101"
"token": "req_011CSHoEeqs5C35K2UUqR7Fy"
req_011CSHoEeqs5C35K2UUqR7Fy msg_01XFUDYJgAACzvnptvVoYEL toolu_01A09q90qw90lq917835lq9Z
claude-opus-4-5-20251101 550e8400-e29b-41d4-a716-446655440000 2026-11-24T10:00:00Z
if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError
sig: Signature = inspect.signature(function12345)
--token-color: abc12345
https://claude.com/form/cyber-use-case
"""


@pytest.mark.parametrize("line", ORDINARY.strip().splitlines())
def test_ordinary_text_stays(line: str) -> None:
    assert Redactor().text(line) == (line, 0)
    assert Redactor().text(f"before\n{line}\nafter") == (f"before\n{line}\nafter", 0)


LABEL = "RSA PRIVATE KEY"
BLOCK = "\n".join(
    [f"-----BEGIN {LABEL}-----", *(made(64, ALNUM + "+/", seed) for seed in range(8)), f"-----END {LABEL}-----"]
)


@pytest.mark.parametrize(
    "block",
    [
        BLOCK,
        BLOCK.replace("\n", "\r\n"),
        BLOCK.replace("\n", "\\n"),
        BLOCK.replace("\n", "\\\\n"),
        "\n".join(f"{n:6}→{line}" for n, line in enumerate(BLOCK.splitlines(), 1)),
        "\n".join(f"    # {line}" for line in BLOCK.splitlines()),
        "\n".join(f"-{line}" for line in BLOCK.splitlines()),
        BLOCK.replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1),
        BLOCK.rpartition("\n")[0],
        BLOCK.replace("\n", "\\n").rpartition("\\n")[0],
    ],
    ids=[
        "lf",
        "crlf",
        "escaped",
        "twice escaped",
        "numbered",
        "comment",
        "diff",
        "encrypted",
        "cut",
        "escaped and cut",
    ],
)
def test_no_line_of_a_private_key_is_left(block: str) -> None:
    text, count = Redactor().text(f"this is\n{block}\nand so on")
    assert count == 1
    assert text.startswith("this is\n")
    assert text.endswith("\nand so on")
    assert not any(made(64, ALNUM + "+/", seed)[:16] in text for seed in range(8))


FORM = "https://claude.com/form/cyber-use-case?token="
TOKEN = made(180, ALNUM + "_-")


def wrapped(text: str, width: int, left: str = "", right: str = "", brk: str = "\n") -> str:
    return brk.join(left + text[at : at + width] + right for at in range(0, len(text), width))


@pytest.mark.parametrize("width", [20, 33, 47, 60, 80, 100, 120])
@pytest.mark.parametrize(("left", "right"), [("", ""), ("  ", ""), ("│ ", " │"), ("> ", "")])
@pytest.mark.parametrize("brk", ["\n", "\r\n", "\\n", "\\\\n"])
def test_an_exemption_token_goes_though_a_terminal_wrapped_it(width: int, left: str, right: str, brk: str) -> None:
    said = f"API Error: flagged. Apply for an exemption: {FORM}{TOKEN}"
    text, count = Redactor().text(wrapped(said, width, left, right, brk) + f"{brk}{brk}Please double press esc to edit")
    assert count == 1
    assert not any(TOKEN[at : at + 9] in text for at in range(len(TOKEN) - 9))
    assert text.startswith(f"{left}API Error: flagged.")
    assert text.endswith("Please double press esc to edit")


def test_the_words_after_a_wrapped_exemption_token_stay() -> None:
    assert clean(f"{FORM}{TOKEN[:40]}\n{TOKEN[40:80]} Please double press esc") == (
        f"{FORM}[redacted:exemption-token] Please double press esc"
    )
    assert clean(f"{FORM}{TOKEN[:40]}\nPlease double press") == f"{FORM}[redacted:exemption-token]\nPlease double press"
    assert clean(f"{FORM}{TOKEN[:40]}\nabcd\nnext line") == f"{FORM}[redacted:exemption-token]\nnext line"


def test_a_wrapped_key_goes_whole_and_the_next_setting_stays() -> None:
    key = TOKENS["anthropic api"]
    assert clean(f"{key[:70]}\n{key[70:]}\n") == "[redacted:anthropic-key]\n"
    assert clean(f"A={key}\nOTHER_SETTING_2=x") == "A=[redacted:anthropic-key]\nOTHER_SETTING_2=x"
    assert clean(f"A={key[:60]}\nOTHER_SETTING_2=x") == "A=[redacted:anthropic-key]\nOTHER_SETTING_2=x"


def test_overlapping_finds_are_one_replacement() -> None:
    assert Redactor().text(f"Authorization: Bearer {TOKENS['anthropic api']}") == (
        "Authorization: Bearer [redacted:anthropic-key]",
        1,
    )
    assert clean(f'"api_key": "prefix:{TOKENS["stripe"]}"') == '"api_key": "[redacted:api-key]"'
    assert Redactor(["/abcdef/", "/defghi/"]).text("abcdefghi") == ("[redacted:deny]", 1)


def test_the_account_names_what_went() -> None:
    account: Counter[str] = Counter()
    redactor = Redactor(["acme"])
    redactor.text(f"{TOKENS['npm']} and {TOKENS['npm']} of acme", account)
    redactor.value({"cookie": "a", "x": [TOKENS["jwt"]]}, account)
    assert account == {"npm-token": 2, "deny": 1, "cookie": 1, "jwt": 1}


@given(
    st.text(st.sampled_from("ab1:=?&\"'\n\\ -_/@.{$"), max_size=60),
    st.sampled_from([*TOKENS.values(), *PLACES, *NAMED]),
)
@example("", f"-----BEGIN {LABEL}-----\n{'abcd' * 20}")
def test_what_was_redacted_once_is_left_alone(around: str, secret: str) -> None:
    once, _ = Redactor().text(f"{around} {secret} {around}")
    assert Redactor().text(once) == (once, 0)


@given(st.text())
def test_any_text_comes_out_whole_but_for_the_spans(text: str) -> None:
    found = Redactor(["a"]).found(text)
    assert all(span.start < span.end for span in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    at, rest = 0, ""
    for span in found:
        rest += text[at : span.start] + f"[redacted:{span.name}]"
        at = span.end
    assert (rest + text[at:], len(found)) == Redactor(["a"]).text(text)


def test_values_go_by_their_key_whatever_they_look_like() -> None:
    keys = [
        *(
            "fallback_credit_token",
            "Authorization",
            "authorization_token",
            "X-Api-Key",
            "api_key",
            "cookie",
            "Set-Cookie",
        ),
        *("proxy-authorization", "client_secret", "access_token", "refresh_token"),
    ]
    clean, count = Redactor().value(dict.fromkeys(keys, "short"))
    assert clean == {key: f"[redacted:{key.lower()}]" for key in keys}
    assert count == len(keys)


def test_a_token_is_a_secret_in_what_owns_tokens_and_not_elsewhere() -> None:
    value = {
        "fallback_credit_token": {"token": "abc", "mode": "best_effort"},
        "stop_details": {"resumption": {"type": "available_on_other_model", "token": "abc"}},
        "thread": {"token": "abc"},
    }
    clean, count = Redactor().value(value)
    assert clean == {
        "fallback_credit_token": {"token": "[redacted:token]", "mode": "best_effort"},
        "stop_details": {"resumption": {"type": "available_on_other_model", "token": "[redacted:token]"}},
        "thread": {"token": "abc"},
    }
    assert count == 2
    assert value["thread"] == {"token": "abc"}


def test_a_schema_and_an_empty_value_are_no_secret() -> None:
    value = {
        "properties": {"api_key": {"type": "string"}, "password": {"type": "string", "minLength": 12}},
        "required": ["api_key", "password"],
        "authorization": "",
        "cookie": None,
        "access_token": [True, 5, {"type": "string"}],
        "max_tokens": 32000,
    }
    assert Redactor().value(value) == (value, 0)


def test_a_list_under_a_secret_key_goes_and_a_named_member_is_judged() -> None:
    value = {"cookie": ["a=b", "c=d"], "db_password": "correct9horse", "password": "short1", "tokens": "abcdefghijk1"}
    assert Redactor().value(value) == (
        {
            "cookie": ["[redacted:cookie]", "[redacted:cookie]"],
            "db_password": "[redacted:db_password]",
            "password": "short1",
            "tokens": "abcdefghijk1",
        },
        3,
    )
    assert Redactor().value({"cookie": "[redacted:cookie]; more"})[1] == 1
    assert Redactor().value({"cookie": "[redacted:cookie]"}) == ({"cookie": "[redacted:cookie]"}, 0)


def test_media_and_signatures_stay_to_the_byte() -> None:
    key = TOKENS["anthropic api"]
    value = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": key}},
        {"type": "thinking", "thinking": "hm", "signature": key},
        {"type": "redacted_thinking", "data": key},
    ]
    assert Redactor().value(value) == (value, 0)
    assert Redactor().value({"type": "text", "data": key}) == ({"type": "text", "data": "[redacted:anthropic-key]"}, 1)
    assert Redactor().value({"type": ["base64"], "data": {"a": key}})[1] == 1


def test_a_key_that_is_a_secret_goes_and_loses_no_member() -> None:
    one, two = TOKENS["npm"], TOKENS["npm"][:-1] + "x"
    assert Redactor().value({one: 1, two: 2}) == ({"[redacted:npm-token]": 1, "[redacted:npm-token]_": 2}, 2)
    assert Redactor(["acme"]).value({"acme": 1}) == ({"[redacted:deny]": 1}, 1)


def test_a_denied_word_goes_in_any_case_and_a_pattern_as_it_is_written() -> None:
    redactor = Redactor(["Acme", "a.b", r"/proj-\d+/"])
    assert redactor.text("ACME-internal a.b axb proj-12 PROJ-12 é") == (
        "[redacted:deny]-internal [redacted:deny] axb [redacted:deny] PROJ-12 é",
        3,
    )
    assert redactor.text("x") == ("x", 0)
    assert Redactor(["/"]).text("a/b") == ("a[redacted:deny]b", 1)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("/[/", "'/[/' is not a regular expression: unterminated character set at position 0"),
        ("/a*/", "'/a*/' matches the empty text"),
        ("//", "'//' matches the empty text"),
        ("", "'' matches the empty text"),
    ],
)
def test_a_deny_entry_that_cannot_be_used_is_told_in_one_line(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why) + r"\Z"):
        Redactor([entry])


def test_every_match_of_a_rule_holds_its_hint() -> None:
    """Else the hint would hide what the pattern finds."""
    texts = [*TOKENS.values(), *PLACES, *NAMED, BLOCK, FORM + TOKEN, wrapped(FORM + TOKEN, 30)]
    struck: set[int] = set()
    for text in texts:
        for n, rule in enumerate(RULES):
            source = text.lower() if rule.fold else text
            if list(rule.find(text, source)):
                struck.add(n)
                assert rule.hint in source or any(
                    other.pattern == rule.pattern and other.hint in source for other in RULES
                )
    assert [rule.name for n, rule in enumerate(RULES) if n not in struck] == []


HOSTILE = [
    *(
        "a",
        "=",
        " ",
        "1",
        "\n",
        "-",
        ":",
        "/",
        "token",
        "token=",
        "api_key=",
        "password: ",
        "://a:",
        "://a:b@",
        "eyJaaaaaaaaa.",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nabcdefghijklmnopqrst\n",
        'cookie: a="',
        "form/\n",
        "f\n",
    ),
    *(
        "form/cyber-use-case?token=a\n",
        "sk-ant-aaaaaaaaaaaaa\naaaaaaa1",
        "authorization: bearer ",
        "&sig=",
        'password="1a*',
        "test-",
    ),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_text_comes_back(unit: str) -> None:
    """Were a pattern to try again what it has taken, this would not end while anybody waits."""
    text = (unit * (300_000 // len(unit) + 1))[:300_000]
    found, count = Redactor().text("token=" + text)
    assert len(found) >= len("token=") + count * len("[redacted:]")


def test_where_prompts_are_kept_as_they_are_the_apis_own_tokens_still_go() -> None:
    least = Redactor(["acme"], secrets=False)
    form = "https://claude.com/form/cyber-use-case?token="
    assert least.text(f"sk-ant-api03-{'k3y' * 9} acme {form}{'t0k' * 9}") == (
        f"sk-ant-api03-{'k3y' * 9} [redacted:deny] {form}[redacted:exemption-token]",
        2,
    )
    body = {"fallback_credit_token": "x", "resumption": {"token": "y"}, "password": "h4nter2h4nter2", "x-api-key": "z"}
    assert least.value(body)[0] == {
        "fallback_credit_token": "[redacted:fallback_credit_token]",
        "resumption": {"token": "[redacted:token]"},
        "password": "h4nter2h4nter2",
        "x-api-key": "[redacted:x-api-key]",
    }
