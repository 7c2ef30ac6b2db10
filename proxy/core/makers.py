"""The table of tokens of further makers, each by the literal that it begins with, or by its parts.

``proxy.core.secrets`` knows those that a coding session meets every day, and takes those of ``LITERALS`` from here: it is asked of all that is stored.
``MAKERS`` is asked only of what leaves, where time does not matter and one token too many does.
"""

import re

from proxy.core.rule import Rule

LITERALS = (
    ("SendGrid", "SG.", r"[\w-]{16,}+\.[\w-]{16,}+"),
    ("Databricks", "dapi", r"[0-9a-f]{32}(?:-\d)?(?![0-9A-Za-z])"),
    *(("Vault", literal, r"[\w-]{20,}+") for literal in ("hvs.", "hvb.", "hvr.")),
    *(("Linear", literal, r"[A-Za-z0-9]{32,}+") for literal in ("lin_api_", "lin_oauth_")),
    *(("Notion", literal, r"[A-Za-z0-9]{40,}+") for literal in ("ntn_", "secret_")),
    ("Figma", "figd_", r"[\w-]{32,}+"),
    *(("Doppler", f"dp.{kind}.", r"[\w.-]{32,}+") for kind in ("pt", "st", "ct", "sa", "scim", "audit")),
    *(("Square", literal, r"[\w-]{20,}+") for literal in ("sq0atp-", "sq0csp-")),
    ("Square", "EAAA", r"(?=[A-Za-z]*\d)[\w-]{50,}+"),
    ("New Relic", "NRAK-", r"[A-Z0-9]{24,}+"),
    ("Grafana", "glsa_", r"\w{32,}+"),
    ("Grafana", "glc_", r"eyJ[\w+/=-]{32,}+"),
    ("Groq", "gsk_", r"[A-Za-z0-9]{40,}+"),
    ("Replicate", "r8_", r"[A-Za-z0-9]{32,}+"),
    ("Perplexity", "pplx-", r"[A-Za-z0-9]{40,}+"),
    ("xAI", "xai-", r"[A-Za-z0-9]{40,}+"),
    ("Docker", "dckr_pat_", r"[\w-]{20,}+"),
    *(("Sentry", literal, r"[\w+/=-]{40,}+") for literal in ("sntrys_", "sntryu_")),
    ("Postman", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    *(("Atlassian", literal, r"[\w=-]{20,}+") for literal in ("ATATT3", "ATCTT3", "ATBB")),
    ("age", "AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}+"),
    *(("PlanetScale", literal, r"[\w.-]{32,}+") for literal in ("pscale_tkn_", "pscale_pw_")),
    *(("Fly", literal, r"[\w+/=-]{32,}+") for literal in ("fo1_", "fm2_")),
    ("Netlify", "nfp_", r"[A-Za-z0-9]{36,}+"),
    ("Supabase", "sbp_", r"[0-9a-f]{40,}+"),
    *(("Shopify", literal, r"[0-9a-fA-F]{32,}+") for literal in ("shpat_", "shpss_", "shpca_", "shppa_")),
    *(("DigitalOcean", literal, r"v1_[0-9a-f]{64}") for literal in ("dop_", "doo_", "dor_")),
    ("RubyGems", "rubygems_", r"[0-9a-f]{48}"),
    ("Cloudflare", "v1.0-", r"[0-9a-f]{24}-[0-9a-f]++"),
    ("Alibaba", "LTAI", r"[A-Za-z0-9]{16,}+"),
)
"""Maker, literal, and what follows it: at least ``hints.LONG`` characters of a word, where the literal ends as those of ``hints.ENDS``."""
_TOO_COMMON = (
    ("Vault", "s.", r"(?=[A-Za-z]*\d)[A-Za-z0-9]{24}(?!\w)"),
    *(("Twilio", literal, r"[0-9a-f]{32}(?![0-9A-Za-z])") for literal in ("AC", "SK")),
)
"""The same of literals that stand in every other text, or before what may be no secret."""


def _by_literal(maker: str, literal: str, rest: str) -> Rule:
    it = re.escape(literal)
    pattern = rf"{it}(?<![A-Za-z0-9]{it}){rest}"
    return Rule("SECRET", f"a secret ({maker})", re.compile(pattern, re.ASCII), None, literal)


MAKERS = (
    *(_by_literal(*row) for row in (*LITERALS, *_TOO_COMMON)),
    Rule(
        "SECRET",
        "a secret (Discord)",
        re.compile(r"(?<![\w-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}", re.ASCII),
        None,
        ".",
    ),
    Rule(
        "SECRET",
        "a secret (Terraform)",
        re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w-]{50,}", re.ASCII),
        None,
        ".atlasv1.",
    ),
    Rule("SECRET", "a secret (Azure)", re.compile(r"(?<![\w.~-])[\w.~-]{3}\dQ~[\w.~-]{31,}", re.ASCII), None, "Q~"),
    Rule(
        "SECRET",
        "a secret (JWE)",
        re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{8,}\.[\w-]*\.[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}", re.ASCII),
        None,
        "eyJ",
    ),
    Rule(
        "SECRET",
        "the hash of a password",
        re.compile(r"\$(?:apr1|[1256y]|2[abxy]|argon2(?:id?|d)|scrypt|pbkdf2-sha\d+)\$[\w./$=,+-]{16,}", re.ASCII),
        None,
        "$",
    ),
    Rule("ID", "a public key", re.compile(r"(?<![\w+/])AAAA[BCE][\w+/]{40,}={0,3}", re.ASCII), None, "AAAA"),
)
