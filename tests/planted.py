"""Secrets and private things of every kind, made from parts so that no scanner takes this file for a leak, and the ways in which they stand in texts."""

import json
import re
from collections.abc import Callable
from random import Random
from urllib.parse import quote

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def made(length: int, alphabet: str = ALNUM, seed: int = 11) -> str:
    return "K4x9" + "".join(Random(seed).choices(alphabet, k=length - 4))


SECRETS = {
    "anthropic api": "sk-" + "ant-api03-" + made(93) + "AA",
    "anthropic oauth": "sk-" + "ant-oat01-" + made(93) + "AA",
    "openai": "sk-" + "proj-" + made(48),
    "github": "gh" + "p_" + made(36),
    "gitlab": "gl" + "pat-" + made(20),
    "slack": "xo" + "xb-123456789012-" + made(24),
    "aws": "AK" + "IA" + made(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789").upper(),
    "google": "AI" + "za" + made(35),
    "stripe": "sk" + "_live_" + made(24),
    "npm": "np" + "m_" + made(36),
    "hugging face": "h" + "f_" + made(34),
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0." + made(43),
}
"""Known by their shape wherever they stand."""
PRIVATE = {
    "e-mail": "mara.quill@corp-mail.example.de",
    "home path": "/home/mquill/lab-notes/run7.csv",
    "mac path": "/Users/mquill/lab-notes/run7.csv",
    "windows path": "C:\\Users\\mquill\\lab-notes\\run7.csv",
    "dashed path": "-home-mquill-lab-notes",
    "uuid": "7d9f1c52-6a0b-4e7d-9c31-0f2b8a6d5e44",
    "internal host": "build7.quill-lab.internal",
    "private address": "192.168.17.203",
    "public address": "81.169.145.66",
    "ipv6": "2a01:4f8:c17:b0f::2",
    "repository": "git@git.quill-lab.example:mara/secret-notes.git",
}
"""Known by their shape too."""
PLACES = {
    "query": ("https://claude.com/form/cyber-use-case?token={}", made(40)),
    "signed": ("https://cdn.quill.example/a?Expires=1&Signature={}&Key-Pair-Id=KABC1234DEFG", made(60)),
    "connection string": ("postgres://mara:{}@db7/prod", made(16)),
    "pair": ("the lab user/password is admin/{}", made(10)),
    "password": ("password: {}", made(14)),
    "header": ("Authorization: Bearer {}", made(40)),
    "cookie": ("Cookie: sid={}; a=b", made(24)),
    "azure": ("AccountKey={}", made(64) + "=="),
}
"""Known by what stands before them."""
IDS = ("req_011CXaBcDeFgHiJkLmNoPqRs", "req_vrtx_011CYzZyYxXwWvVuUtT", "msg_01XyZaBcDeFgHiJkLmNoPqRs")
FACTS = ("2026-11-23T14:36:02.324Z", "claude-opus-5", "2.1.330", "cyber")
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(made(64, seed=n) for n in range(8))
    + "\n-----END RSA PRIVATE KEY-----"
)


def wrapped(text: str, width: int, indent: str = "") -> str:
    """As a terminal cuts it."""
    return f"\n{indent}".join(text[n : n + width] for n in range(0, len(text), width))


def boxed(text: str, width: int) -> str:
    return "\n".join(f"│ {text[n : n + width]:<{width}} │" for n in range(0, len(text), width))


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda text: json.dumps({"a": json.dumps({"b": [text]})}),
    "in a URL": lambda text: "https://example.com/?q=" + quote(text, safe=""),
    "with every letter escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "in a fence": lambda text: f"```\n{text}\n```",
    "in brackets": lambda text: f"({text})",
}


def bare(text: str) -> str:
    """Without escapes, spaces and borders: in this nothing of a secret may be left."""
    for _ in range(3):
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(r"%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(r"\\[nrt]", "\n", text).replace('\\"', '"').replace("\\/", "/").replace("\\\\", "\\")
    return re.sub(r"[\s│|]+", "", text)


def left(secret: str, text: str, size: int = 12) -> str | None:
    """A piece of it that is in a text."""
    small, whole = bare(text), bare(secret)
    size = min(size, len(whole))
    return next((whole[n : n + size] for n in range(len(whole) - size + 1) if whole[n : n + size] in small), None)
