"""What Claude Code has printed at the place of an API error, as users reported it from 2025-06 to 2026-11; and what only looks like it.

The texts are the project's own collection: of every version's wording one at least, and of every class of look-alikes.
"""

from typing import NamedTuple

from schemas.labels import Kind


class Text(NamedTuple):
    """An error text, and what it is. ``kind`` None: nothing was declined."""

    name: str
    text: str
    kind: Kind | None = Kind.REFUSAL
    category: str | None = None
    model: str | None = None
    request_id: str | None = None
    status: int | None = None


_AUP = "Claude Code is unable to respond to this request, which appears to violate our Usage Policy (https://www.anthropic.com/legal/aup)."
_ESC = "Please double press esc to edit your last message or start a new session for Claude Code to assist with a different task."
_VIOLATIVE = (
    "This request triggered restrictions on violative cyber content and was blocked under Anthropic's Usage Policy. To request an"
    " adjustment pursuant to our Cyber Verification Program based on how you use Claude, fill out"
    " https://claude.com/form/cyber-use-case?token=abcDEF123456abcDEF123456abcDEF123456"
)
_ID = "Request ID: req_011CRealLooking0001"
_BROAD = (
    "Our intentionally broad safeguards allow us to deliver more capabilities faster, but can sometimes flag legitimate"
)
_AGAIN = "Double press esc to edit your last message, or try a different model with /model."
_NAMED = "req_011CRealLooking0001"

REFUSALS = (
    Text("U1, 2025-06", f"API Error: {_AUP} {_ESC}"),
    Text(
        "U2, 2025-10",
        f"API Error: {_AUP} {_ESC} If you are seeing this refusal repeatedly, try running /model claude-sonnet-4-20250514 to switch models.",
    ),
    Text("U3, 2026-04", f"API Error: {_AUP} {_VIOLATIVE} {_ESC}"),
    Text(
        "U3 that the client cut",
        f"API Error: {_AUP} This request triggered cyber-related safeguards. To learn more about the program or provide feedback, visit o… {_ESC}",
    ),
    Text("U4, 2026-05", f"API Error: {_AUP} {_ESC}\n\n{_ID}", request_id=_NAMED),
    Text("U5, 2026-05", f"API Error: {_AUP} Try rephrasing the request or attempting a different approach."),
    Text(
        "U5 without www",
        "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy (https://anthropic.com/legal/aup)."
        " Try rephrasing the request or attempting a different approach.",
    ),
    Text(
        "U6, 2.1.197",
        f"API Error: {_AUP} This request was declined because it could enable bio harm. Try rephrasing the request in a new session or change"
        f" your model.\n\n{_ID}",
        request_id=_NAMED,
    ),
    Text(
        "U6 for reasoning_extraction",
        f"API Error: {_AUP} This request was blocked as it seems to violate Anthropic's Terms of Service restrictions on reverse engineering or"
        " duplicating model outputs. To learn more, visit https://www.anthropic.com/legal/commercial-terms. Try rephrasing the request in a new"
        f" session or change your model.\n\n{_ID}",
        request_id=_NAMED,
    ),
    Text(
        "U7, 2.1.219",
        "API Error: Opus 4.6 can't help with this. Start a new session to continue.\n\nSend feedback with /feedback or learn more:"
        " https://www.anthropic.com/legal/aup",
        model="claude-opus-4-6",
    ),
    Text(
        "C1, 2026-06",
        "API Error: Opus 4.8 has safety measures that flagged this message for a cybersecurity topic. If your work requires this access, you can"
        f" apply for an exemption:\nhttps://claude.com/form/cyber-use-case?token=abcDEF123456abcDEF\n\n{_ESC}\n\n{_ID}",
        category="cyber",
        model="claude-opus-4-8",
        request_id=_NAMED,
    ),
    Text(
        "C2, 2.1.195",
        "API Error: Opus 4.8's safeguards flagged this message for a cybersecurity topic. If your work requires this access, you can apply for an"
        f" exemption: https://claude.com/form/cyber-use-case\n\n{_ESC}",
        category="cyber",
        model="claude-opus-4-8",
    ),
    Text(
        "C2 of a model that the client does not know",
        "API Error: claude-opus-5's safeguards flagged this message for a cybersecurity topic. If your work requires this access, you can apply for"
        f" an exemption: https://claude.com/form/cyber-use-case\n\nTry rephrasing the request in a new session or change your model.\n\n{_ID}",
        category="cyber",
        model="claude-opus-5",
        request_id=_NAMED,
    ),
    Text(
        "C3, 2.1.203",
        "API Error: Opus 4.7 has safety measures that flagged this message for a cybersecurity topic. To learn about the Cyber Verification Program"
        " and apply for access, visit our help center: https://support.claude.com/en/articles/14604842-real-time-cyber-safeguards-on-claude.\n\n"
        f"If you were not engaging in a cybersecurity topic, please send feedback via /feedback.\n\n{_ID}",
        category="cyber",
        model="claude-opus-4-7",
        request_id=_NAMED,
    ),
    Text(
        "C4, 2.1.219",
        f"API Error: Opus 4.8's safeguards flagged this message. {_BROAD} cybersecurity work. Apply to the Cyber Verification Program to reduce"
        f" these interruptions.\n\n{_ID}",
        model="claude-opus-4-8",
        request_id=_NAMED,
    ),
    Text(
        "C4 with details, 2.1.240",
        f"API Error: Opus 4.8's safeguards flagged this message. {_BROAD} cybersecurity work.\n\nDetails: `[cyber]`\n\n{_ID}",
        category="cyber",
        model="claude-opus-4-8",
        request_id=_NAMED,
    ),
    Text(
        "M1, 2.1.197",
        "API Error: Fable 5's safeguards flagged this message (https://www.anthropic.com/legal/aup). They may flag safe, normal content as well."
        " These measures let us bring you Mythos-level capabilities sooner, and we're working to refine them. Claude Code can't respond to this"
        f" request with Fable 5.\n\nTry rephrasing the request in a new session or change your model.\n\n{_ID}",
        model="claude-fable-5",
        request_id=_NAMED,
    ),
    Text(
        "M2, 2026-08",
        "API Error: Opus 5's safeguards flagged this message (https://www.anthropic.com/legal/aup). This sometimes happens with safe, normal"
        f" conversations. Claude Code can't respond to this message with Opus 5.\n\n{_AGAIN}\n\nDetails: `[reasoning_extraction]`\n\n{_ID}",
        category="reasoning_extraction",
        model="claude-opus-5",
        request_id=_NAMED,
    ),
    Text(
        "M3, 2026-09",
        f"API Error: Opus 5's safeguards flagged this message (https://www.anthropic.com/legal/aup). {_BROAD} coding, cybersecurity, and biology"
        f" tasks. Claude Code can't respond to this message with Opus 5.\n\n{_AGAIN}\n\nDetails: `[cyber]`",
        category="cyber",
        model="claude-opus-5",
    ),
    Text(
        "M4, 2.1.280",
        "API Error: Opus 5.5 (1M context)'s safeguards flagged this message (https://www.anthropic.com/legal/aup). This sometimes happens with safe,"
        f" normal conversations. Claude Code can't respond to this message with Opus 5.5 (1M context).  {_AGAIN}  Details: `[reasoning_extraction]`  {_ID}",
        category="reasoning_extraction",
        model="claude-opus-5-5",
        request_id=_NAMED,
    ),
    Text(
        "M5, 2.1.280",
        "API Error: Opus 5.5's safeguards flagged this session (https://www.anthropic.com/legal/aup). You may be seeing this for the first time on an"
        " Opus model: Opus 5.5 is more capable and has stronger safeguards as a result, which can sometimes flag non-cybersecurity work. Claude Code"
        " can't respond to your last message with Opus 5.5.",
        model="claude-opus-5-5",
    ),
    Text("M7, 2.1.228", "API Error: Sonnet 5's safeguards flagged this message.", model="claude-sonnet-5"),
    Text(
        "with a typographic apostrophe",
        "API Error: Sonnet 5\u2019s safeguards flagged this message.",
        model="claude-sonnet-5",
    ),
    Text(
        "B1 where no line told of a fallback",
        "Fable 5's safety measures flagged this message for cybersecurity or biology topics. They may flag safe, normal content as well.",
        model="claude-fable-5",
    ),
    Text(
        "B2 where no line told of a fallback",
        "This model has measures that flagged something in this session. This sometimes happens with safe, normal conversations.",
    ),
    Text("what the API itself says", f"API Error: {_VIOLATIVE}"),
    Text(
        "what the API itself says, for reasoning_extraction",
        "API Error: This request was blocked as it seems to violate Anthropic's Terms of Service restrictions on reverse engineering or duplicating"
        " model outputs.",
    ),
    Text("behind the SDK's own words", f"Claude Code returned an error result: API Error: {_AUP} {_ESC}"),
    Text("of a compaction", f"Error during compaction: API Error: {_AUP} {_ESC}"),
)

OTHERS = (
    Text("the output filter", "API Error: 400 Output blocked by content filtering policy", Kind.OUTPUT_FILTER),
    Text("in mid-stream", "API Error: Output blocked by content filtering policy", Kind.OUTPUT_FILTER),
    Text(
        "as older versions print it",
        'API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"},'
        '"request_id":"req_011CRealLooking0001"}',
        Kind.OUTPUT_FILTER,
    ),
    Text(
        "an error that names a policy",
        "API Error: 400 This request appears to violate our Usage Policy (https://www.anthropic.com/legal/aup).",
        Kind.POLICY_ERROR,
    ),
    Text(
        "the next wording",
        "API Error: The request was stopped, since it was flagged as harmful by a policy of next year.",
        Kind.UNCLASSIFIED,
    ),
    Text(
        "what the client stopped for a safeguard",
        "Agent aborted: the request was refused by the safety safeguard",
        Kind.UNCLASSIFIED,
    ),
)

LOOK_ALIKES = (
    Text("overloaded", "API Error: 529 Overloaded", None),
    Text(
        "overloaded, and speaking of safety",
        'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded. AI safety is busy"}}',
        None,
    ),
    Text("rate limit", "API Error: Rate limit reached", None),
    Text("rate limit by policy", "API Error: 429 Number of requests violates your rate limit policy", None),
    Text("usage limit", "Claude AI usage limit reached|1760000400", None),
    Text("credit", "Credit balance is too low", None),
    Text(
        "spend limit",
        "API Error: 429 Your organization's spend limit policy stopped this request",
        None,
    ),
    Text("organization", "API Error: 403 This organization has been disabled.", None),
    Text(
        "subscription",
        "Your organization has disabled Claude subscription access for Claude Code · Use an API key by policy",
        None,
    ),
    Text("forbidden", "API Error: 403 Request not allowed", None),
    Text("login", "Please run /login · API Error: 401 Invalid authentication credentials", None),
    Text(
        "third-party usage",
        "API Error: 400 Third-party apps now draw from your extra usage, not your plan limits, for safety. Add more at claude.ai/settings/usage",
        None,
    ),
    Text(
        "permission denied by auto mode",
        "Permission for this action was denied by the Claude Code auto mode classifier. Reason: [Data Exfiltration] it violates a policy.",
        None,
    ),
    Text(
        "auto mode",
        "Agent aborted: auto mode classifier request refused by the safety safeguard in headless mode",
        None,
    ),
    Text("permission", "Claude requested permissions to write to policy.md, but you haven't granted it yet.", None),
    Text("connection", "API Error: Connection refused. Check your internet connection", None),
    Text("connection by its code", "API Error: connect ECONNREFUSED 127.0.0.1:8788", None),
    Text("cut", "API Error: Connection closed mid-response. The response above may be incomplete.", None),
    Text("time-out", "API Error: The operation timed out.", None),
    Text("too long", "API Error: 400 prompt is too long: 208310 tokens > 200000 maximum", None),
    Text("shape", "API Error: 400 messages.1.content.0.text: the policy field is required", None),
    Text("empty content", "API Error: 400 messages: all messages must have non-empty content, or it is refused", None),
    Text("surrogate", "API Error: 400 The request body is not valid JSON: no low surrogate in string", None),
    Text(
        "compacting",
        "Compacting failed · Failed to generate conversation summary - response did not contain valid text content",
        None,
    ),
    Text("thinking", "API Error: 400 Invalid `signature` in `thinking` block: refused", None),
    Text("Codex", "This content can't be shown: it was flagged", None),
    Text("Copilot", "Sorry, the response was filtered by the Responsible AI Service as harmful.", None),
    Text("Azure", "API Error: 400 The response was filtered due to Azure's content management policy.", None),
    Text(
        "Zed",
        "Claude Code refused to respond to this prompt. This can happen when the agent believes the prompt violates its content policy",
        None,
    ),
    Text("ACP", 'The turn ended with stop reason "refusal"', None),
    Text("nothing asked", "No response requested.", None),
    Text("interrupted", "[Request interrupted by user]", None),
    Text("server", "API Error: 500 Internal server error", None),
)
"""None of them is a refusal; and none is even ``unclassified``, which a person would have to look at."""
