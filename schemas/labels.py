"""The vocabularies. A category is not among them: it is an open set and is kept as the API said it."""

from enum import StrEnum


class Kind(StrEnum):
    """By which mechanism a request was declined."""

    REFUSAL = "refusal"
    """The structured one: ``stop_reason == "refusal"``."""
    POLICY_ERROR = "policy_error"
    """An error body that names a usage policy or a safeguard."""
    OUTPUT_FILTER = "output_filter"
    """``400 Output blocked by content filtering policy``: another mechanism than a refusal."""
    SOFT_REFUSAL = "soft_refusal"
    """The model's own words. Off by default."""
    UNCLASSIFIED = "unclassified"
    """Smells of a refusal and fits no rule: for a person to look at."""


class Stage(StrEnum):
    """When the request was declined."""

    BEFORE_OUTPUT = "before_output"
    """No content block had been sent."""
    MID_STREAM = "mid_stream"
    """Some content block (thinking counts) had been sent."""


class Outcome(StrEnum):
    """How the request ended for the person who asked."""

    REFUSED = "refused"
    RECOVERED_BY_DEMUR = "recovered_by_demur"
    RECOVERED_BY_API = "recovered_by_api"
    RECOVERED_BY_CLIENT = "recovered_by_client"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """How a Messages request ended, for the traffic counts: the denominator of every rate."""

    ANSWERED = "answered"
    REFUSED = "refused"
    RECOVERED_BY_DEMUR = "recovered_by_demur"
    RECOVERED_BY_API = "recovered_by_api"
    RECOVERED_BY_CLIENT = "recovered_by_client"
    OUTPUT_FILTER = "output_filter"
    POLICY_ERROR = "policy_error"
    UNCLASSIFIED = "unclassified"
    ERROR = "error"
    """An HTTP error or an ``error`` event that no rule takes for a refusal."""
    CUT = "cut"
    """The stream ended before the message did, or the client left."""
    UNREADABLE = "unreadable"
    """Passed on, but demur could not read it (unknown encoding, a decompression bomb, not JSON)."""


class Role(StrEnum):
    """What the client wanted the request for."""

    MAIN = "main"
    SUBAGENT = "subagent"
    COMPACTION = "compaction"
    TITLE = "title"
    CLASSIFIER = "classifier"
    COUNT_TOKENS = "count_tokens"
    OTHER = "other"


class Strategy(StrEnum):
    """How demur asked again."""

    FALLBACK = "fallback"
    """The same request on another model."""
    STICKY = "sticky"
    """A later turn of a conversation that another model had answered."""
    PRIMARY = "primary"
    """As the client asked it, of its own model, after the one that the conversation had stayed on declined."""
    SCOPE_NOTE = "scope-note"
    """With its owner's own statement added."""
    TRIM = "trim"
    """With a part left out, and that said in its place."""
    RESTATE = "restate"
    """With the last user text put more plainly by a named model."""


REPHRASED = frozenset({Strategy.SCOPE_NOTE, Strategy.TRIM, Strategy.RESTATE})
"""Strategies that change the last turn."""


class Ruling(StrEnum):
    """Which rule decided whether a declined request was asked again. The first that applies is recorded."""

    RECOVERED = "recovered"
    """It was, and was answered."""
    EXHAUSTED = "exhausted"
    """It was, and every model declined or failed."""
    OFF = "off"
    """Retry is not turned on."""
    NO_CHAIN = "no_chain"
    """No fallback and no rephrasing is configured."""
    SURFACE = "surface"
    """Not a plain Messages request (count_tokens, batches, Bedrock, Vertex)."""
    UNREADABLE = "unreadable"
    """The request or the answer could not be read."""
    FALLBACKS = "fallbacks"
    """The request asks the API itself to fall back."""
    API_FALLBACK = "api_fallback"
    """The API itself had fallen back already."""
    THREAD = "thread"
    """The request carries no history, so no other model can take it."""
    CREDIT_TOKEN = "credit_token"  # noqa: S105 - a name
    """The client is redeeming a fallback credit: it is falling back itself."""
    CLIENT_HOP = "client_hop"
    """The request is the client's own fallback."""
    MIDDLEWARE = "middleware"
    """The client has the SDK's fallback middleware."""
    OWN_CLIENT = "own_client"
    """This client falls back by itself for this model."""
    KIND = "kind"
    """Only a structured refusal is asked again."""
    REASONING_EXTRACTION = "reasoning_extraction"
    """Never, whatever the settings say."""
    CATEGORY = "category"
    """The category is not listed in ``retry.categories``."""
    JUDGED_CORRECT = "judged_correct"
    """A person judged a refusal of the same content correct."""
    STORE = "store"
    """What persons judged could not be read."""
    MAX_PER_HOUR = "max_per_hour"
    MAX_ATTEMPTS = "max_attempts"
    ROUTES = "routes"
    """No model of the chain is permitted for this model and category."""
    UNFIT = "unfit"
    """No model of the chain can take this request."""
    UNREPHRASED = "unrephrased"
    """It could not be rephrased, or the rephrasing did not pass; the attempts, or the log, say why."""
    TOOL = "tool"
    """A tool call had begun on the client's side."""
    MID_STREAM = "mid_stream"
    """Output had been sent, and a splice would not be safe."""
    HOLD = "hold"
    """The response had been held back for as long as allowed."""
    LEFT = "left"
    """The client had left."""
    FAILED = "failed"
    """demur itself failed; the refusal was passed on."""


class Verdict(StrEnum):
    """A person's judgement."""

    UNKNOWN = "unknown"
    FALSE_POSITIVE = "false_positive"
    CORRECT = "correct"
    UNSURE = "unsure"


class Source(StrEnum):
    """Who saw it. Importers add the names of other tools' captures."""

    GATEWAY = "gateway"
    MITMPROXY = "mitmproxy"
    FLOW = "flow"


class Label(StrEnum):
    """What a segment of a request body is. From structure first, known markers second, ``other`` when unsure."""

    ATTRIBUTION = "attribution"
    """Claude Code's ``x-anthropic-billing-header`` block."""
    SYSTEM = "system"
    """A part of the system prompt."""
    SYSTEM_MESSAGE = "system_message"
    """A message of role ``system`` inside ``messages``."""
    REMINDER = "reminder"
    """A ``<system-reminder>`` that the client put into a user turn."""
    MEMORY = "memory"
    """CLAUDE.md, and what else the client calls memory."""
    HOOK = "hook"
    """What a hook of the user printed."""
    ENVIRONMENT = "environment"
    """What the client tells of the machine: working directory, git status, date."""
    MCP = "mcp"
    """The instructions of MCP servers."""
    TOOL = "tool"
    """The definition of one tool."""
    USER_TEXT = "user_text"
    ASSISTANT_TEXT = "assistant_text"
    THINKING = "thinking"
    TOOL_USE = "tool_use"
    TOOL_RESULT = "tool_result"
    MEDIA = "media"
    """An image or a document."""
    FALLBACK = "fallback"
    """A seam that an earlier fallback left in the history."""
    OTHER = "other"


class History(StrEnum):
    """What a declined request is, beside the last one of its session and agent that was accepted."""

    FIRST = "first"
    """The first turn: nothing of it had been accepted."""
    GROWN = "grown"
    """The same conversation, with something added."""
    SAME = "same"
    """The same conversation, with nothing added."""
    EDITED = "edited"
    """The same conversation, with earlier messages changed or taken out."""
    COMPACTED = "compacted"
    """Another history, which begins with a summary of the old one."""
    CLEARED = "cleared"
    """A new conversation in the same session (``/clear``)."""
    RESUMED = "resumed"
    """A conversation that was accepted under the name of another session."""
    UNSEEN = "unseen"
    """A conversation under way of which demur saw nothing before."""


class Domain(StrEnum):
    """Fields of work, for a person to choose from and for demur to suggest. Any other word may be used."""

    GENERAL_DEVELOPMENT = "general_development"
    SECURITY = "security"
    LIFE_SCIENCE = "life_science"
    CHEMISTRY = "chemistry"
    MEDICINE = "medicine"
    AI_ML = "ai_ml"
    INFRASTRUCTURE = "infrastructure"
    EDUCATION = "education"
    DATA = "data"
    LANGUAGE = "language"
    OTHER = "other"


class Purpose(StrEnum):
    """Why a person had demur send a stored request again."""

    REPLAY = "replay"
    LOCATE = "locate"
