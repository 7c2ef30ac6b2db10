"""The fixed answers: secrets, headers, models, one batch."""

from proxy.pretend.reply import Json

EXEMPTION_TOKEN = "PRETENDexemptionTOKEN0123456789abcdefABCDEF"  # noqa: S105  pretend
CREDIT_TOKEN = "fct_PRETENDcreditTOKEN0123456789abcdefABCDEF"  # noqa: S105  pretend
CLAIM_TOKEN = "fct_PRETENDclaimTOKEN0123456789abcdefABCDEF"  # noqa: S105  pretend
"""A credit token whose bearer may also continue what was written before the refusal."""
COOKIES = (
    "__cf_bm=PRETENDcookieONE0123456789; path=/; HttpOnly; Secure; SameSite=None",
    "_cfuvid=PRETENDcookieTWO0123456789; path=/; HttpOnly; Secure; SameSite=None",
)
SECRETS = (EXEMPTION_TOKEN, CREDIT_TOKEN, CLAIM_TOKEN, "PRETENDcookieONE0123456789", "PRETENDcookieTWO0123456789")
"""What the pretend API gives away and nobody may keep."""

EXPLANATIONS = {
    "cyber": (
        "This request triggered restrictions on violative cyber content and was blocked under Anthropic's Usage "
        "Policy. To request an adjustment pursuant to our Cyber Verification Program based on how you use Claude, fill out "
        f"https://claude.com/form/cyber-use-case?token={EXEMPTION_TOKEN}"
    ),
    "reasoning_extraction": (
        "This request was blocked as it seems to violate Anthropic's Terms of Service restrictions on reverse "
        "engineering or duplicating model outputs. To learn more, visit https://www.anthropic.com/legal/commercial-terms."
    ),
}
"""By category, as they were reported; samples, the wording is not stable."""

HEADERS = (
    ("Cache-Control", "no-cache"),
    ("Server", "cloudflare"),
    ("CF-RAY", "9f00000000000000-AMS"),
    ("cf-cache-status", "DYNAMIC"),
    ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("X-Robots-Tag", "none"),
    *(("Set-Cookie", cookie) for cookie in COOKIES),
)
"""What the API's answers carry beside their request id; ``Set-Cookie`` twice."""

MODELS = {
    "claude-fable-5": ["claude-opus-4-8", "claude-opus-5"],
    "claude-opus-5": ["claude-opus-4-8"],
    "claude-opus-4-8": [],
    "claude-sonnet-5": [],
}
"""Model -> ``allowed_fallback_models``."""


def explanation(category: str | None) -> str | None:
    """The usual text of a category; None for none."""
    if category is None:
        return None
    return EXPLANATIONS.get(category, f"This request was declined because it could enable {category} harm.")


def model_info(model: str) -> Json:
    """One entry of the Models API."""
    return {
        "type": "model",
        "id": model,
        "display_name": model.removeprefix("claude-").replace("-", " ").title(),
        "created_at": "2026-06-09T00:00:00Z",
        "allowed_fallback_models": MODELS.get(model, []),
    }


def model_list() -> Json:
    """The first and only page of the Models API."""
    data = [model_info(model) for model in MODELS]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}


def batch(batch_id: str, results_url: str) -> Json:
    """A message batch that has ended."""
    counts = {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": counts,
        "created_at": "2026-11-20T08:00:00Z",
        "expires_at": "2026-11-21T08:00:00Z",
        "ended_at": "2026-11-20T08:05:00Z",
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": results_url,
    }
