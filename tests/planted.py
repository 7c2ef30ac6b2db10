"""Secrets and private things of every kind, made from parts so that no scanner takes this file for a leak, and the ways in which they stand in texts."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from random import Random
from urllib.parse import quote

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


_SEEDS = count(100)


def made(length: int, alphabet: str = ALNUM, seed: int | None = None) -> str:
    """Each of its own: of a secret that was found every piece goes, also from one that would not be found by itself."""
    drawn = Random(next(_SEEDS) if seed is None else seed)
    return "K4x9" + "".join(drawn.choices(alphabet, k=length - 4))


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


OPENSSH = PEM.replace("RSA", "OPENSSH")


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


@lru_cache(maxsize=8)
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


HEX = "0123456789abcdef"
FURTHER = {
    "github fine-grained": "github" + "_pat_" + made(22) + "_" + made(59),
    "gitlab runner": "gl" + "rt-" + made(20),
    "slack app": "xa" + "pp-1-A012ABCDE-1234567890123-" + made(40, HEX),
    "pypi": "py" + "pi-AgEIcHlwaS5vcmc" + made(80),
    "telegram": "123456789:" + "AA" + made(33),
    "discord bot": "MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GaBcDe." + made(38),
    "sendgrid": "S" + "G." + made(22) + "." + made(43, seed=4),
    "twilio": "S" + "K" + made(36, HEX)[4:],
    "databricks": "da" + "pi" + made(36, HEX)[4:] + "-2",
    "vault": "hv" + "s.CAESI" + made(90),
    "vault before 1.10": "s." + made(24),
    "linear": "lin" + "_api_" + made(40),
    "notion": "nt" + "n_" + made(46),
    "figma": "fi" + "gd_" + made(40),
    "doppler": "dp" + ".pt." + made(43),
    "square": "sq0" + "atp-" + made(22),
    "new relic": "NR" + "AK-" + made(27).upper(),
    "grafana": "gl" + "sa_" + made(32) + "_1a2b3c4d",
    "groq": "gs" + "k_" + made(52),
    "replicate": "r" + "8_" + made(37),
    "perplexity": "pp" + "lx-" + made(48),
    "xai": "xa" + "i-" + made(80),
    "docker": "dckr" + "_pat_" + made(27),
    "terraform": made(14) + ".atlas" + "v1." + made(60),
    "sentry": "sntr" + "ys_eyJ" + made(80),
    "postman": "PM" + "AK-" + made(28, HEX)[4:] + "-" + made(38, HEX)[4:],
    "atlassian": "ATA" + "TT3xFfGF0" + made(150),
    "bitbucket": "AT" + "BB" + made(32),
    "azure": "abc8" + "Q~" + made(34),
    "age": "AGE-SECRET" + "-KEY-1" + made(58).upper(),
    "planetscale": "pscale" + "_tkn_" + made(43),
    "fly": "fm" + "2_" + made(100),
    "netlify": "nf" + "p_" + made(40),
    "supabase": "sb" + "p_" + made(44, HEX)[4:],
    "shopify": "shp" + "at_" + made(36, HEX)[4:],
    "digitalocean": "do" + "p_v1_" + made(68, HEX)[4:],
    "rubygems": "ruby" + "gems_" + made(52, HEX)[4:],
    "cloudflare": "v1" + ".0-" + made(28, HEX)[4:] + "-" + made(150, HEX)[4:],
    "jwe": "ey" + "JhbGciOiJkaXIifQ.." + made(16) + "." + made(40) + "." + made(22),
    "bcrypt": "$2" + "b$12$" + made(53),
    "ssh": "AAAA" + "C3NzaC1lZDI1NTE5AAAAI" + made(43),
}
"""Of further makers: what leaves is searched for them."""
FURTHER_PLACES = {
    "aws secret": ("AWS_SECRET_ACCESS_KEY={}", made(40)),
    "aws session": ("AWS_SESSION_TOKEN={}", "IQoJb3JpZ2luX2Vj" + made(200)),
    "gcp": ('"private_key": "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"', made(64)),
    "azure sas": ("https://x.blob.core.windows.net/c?sv=2020-08-04&sp=rl&sig={}", quote(made(43) + "=")),
    "mysql": ("mysql://root:{}@127.0.0.1:3306/x", "Som#mer24x"),
    "postgres": ("postgresql+asyncpg://mara:{}@db/x", "p@ss/w0rd#1?long"),
    "redis": ("redis://:{}@cache:6379/0", made(20)),
    "mongo": ("mongodb+srv://mara:{}@cluster0.x.mongodb.net/db", made(12)),
    "amqp": ("amqp://guest:{}@mq/vh", made(9)),
    "mssql": ("Server=tcp:db;User ID=mara;Password={};Encrypt=True", made(12)),
    "basic": ("Authorization: Basic {}", "bWFyYTpodW50ZXIyMg=="),
    "curl": ("curl --user mara:{} https://x", "hunter22"),
    "curl quoted": ('curl -u "mara:{}" https://x', "hunter22"),
    "curl cookie": ("curl -b 'sessionid={}'", made(32)),
    "spaces": ('export DB_PASSWORD="{}"', "correct horse battery"),
    "short name": ("DB_PASS={}", made(10)),
    "joined name": ("PGPASSWORD={} psql", "sommerwind"),
    "German": ("Kennwort: {}", "Sommer2024!"),
    "French": ("mot de passe : {}", "Ete2024!x"),
    "without a mark": ("machine git.quill.io login mara password {}", "Sommer2024!"),
    "flag": ("--password {}", "sommerwind"),
    "mysql flag": ("mysql -u mara -p{} db", "Sommer2024"),
    "pgpass": ("db.quill.io:5432:prod:mara:{}", "Sommer2024!"),
    "docker": ('{{"auths":{{"reg.quill.io":{{"auth":"{}"}}}}}}', "bWFyYTpodW50ZXIyMjIy"),
    "npm": ("_auth={}", "bWFyYTpodW50ZXIyMjIy"),
    "kubernetes": ("client-key-data: {}", made(120)),
    "wifi": ("psk={}", "sommerwind9"),
}
"""Known by what stands before them, in what leaves."""
