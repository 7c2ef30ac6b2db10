"""Who asked: what the head and the body of a Messages request tell of its sender.

It runs for every request, so the body is decoded in part: the big members stay raw, and a system prompt or the last
message is only opened where a fact may stand in it. What is missing or odd is None; nothing here raises.

The role is taken from structure first (the path, the hint header, the agent's id), then from markers: the words with which a
known client begins its side requests. The markers are those of Claude Code; each was found in the strings of 2.1.197.
"""

import re
from collections.abc import Iterator
from itertools import chain

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import asdict

from proxy.core.headers import Headers
from proxy.core.redact import Redactor
from proxy.core.surface import Surface, locate
from schemas.labels import Role

KEPT = frozenset(
    "user-agent anthropic-beta anthropic-version x-app content-type content-encoding"
    " x-claude-code-session-id x-claude-code-agent-id x-claude-code-parent-agent-id x-claude-code-request-class"
    " x-stainless-os x-stainless-arch x-stainless-lang x-stainless-package-version x-stainless-runtime"
    " x-stainless-runtime-version x-stainless-retry-count x-stainless-helper x-client-request-id"
    " x-cc-original-request-id x-is-refusal-fallback".split()
)
"""The request headers that may be stored, in lower case; beside them only those that begin with ``x-cc-fallback-``."""

HINTS = {
    "main": Role.MAIN,
    "subagent": Role.SUBAGENT,
    "workflow": Role.SUBAGENT,
    "compaction": Role.COMPACTION,
}
"""``x-claude-code-request-class`` (clients from 2.1.273 on, opt-in). ``auxiliary`` says only that it is none of these."""

MARKERS = (
    # querySource "compact"; its prompt may follow an order to call no tools: see _ORDER
    (Role.COMPACTION, "system", "You are a helpful AI assistant tasked with summarizing conversations"),
    (Role.COMPACTION, "user", "Your task is to create a detailed summary of "),
    # "generate_session_title", "rename_generate_name" (alone or as a fork of the session), "teleport_generate_title", "feedback"
    (Role.TITLE, "system", "Generate a concise, sentence-case title"),
    (Role.TITLE, "system", "Generate a short kebab-case name (2-4 words)"),
    (Role.TITLE, "user", "Generate a short kebab-case name (2-4 words)"),
    (Role.TITLE, "user", "You are coming up with a succinct title and git branch name"),
    (Role.TITLE, "system", "Generate a concise, technical issue title"),
    # older than 2.1.197, no longer in its strings
    (Role.TITLE, "system", "Analyze if this message indicates a new conversation topic"),
    # "auto_mode" and "auto_mode_critique"
    (Role.CLASSIFIER, "system", "You are a security monitor for autonomous AI coding agents"),
    (Role.CLASSIFIER, "system", "You are an expert reviewer of auto mode classifier rules"),
    # "web_search_tool", "permission_explainer" and "context_tip_classifier" have tools and are no turn of the session;
    # "tool_use_summary_generation" carries the session's first system block
    (Role.OTHER, "system", "You are an assistant for performing a web search tool use"),
    (Role.OTHER, "system", "Analyze shell commands and explain what they do"),
    (Role.OTHER, "system", "You are watching someone use Claude Code"),
    (Role.OTHER, "system", "Write a short summary label describing what these tool calls accomplished"),
)
"""With what a system block, or the last text of the user, begins in a request of a role."""
_MARKED = {place: tuple(marker for _, at, marker in MARKERS if at == place) for place in ("system", "user")}

_ORDER = re.compile(
    r"\s*CRITICAL: Respond with TEXT ONLY(?s:.{0,1000}?)\n(?=Your task is to create a detailed summary of )"
)
_CLAUDE_CODE = (
    "You are Claude Code, Anthropic's official CLI",
    "You are a Claude agent, built on Anthropic's Claude Agent SDK",
)
_CLASS = b"x-claude-code-request-class"
_ATTRIBUTION = "x-anthropic-billing-header"
_AGENT = re.compile(r"([^\s/(]+(?:/[A-Za-z]+)?)(?:[/ ]v?(\d[\w.+-]*))?(?: \([^(),]*, ?([\w.-]+))?")
_SESSION = re.compile(r"_session_([0-9a-fA-F-]{36})\Z")
_DIRECTORY = re.compile(
    r"orking directory: (?:(?<=\bPrimary working directory: )|(?<=\bWorking directory: ))([^\r\n]+)"
)
_EARLY = 6
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LONGEST = 200
_SECRETS = Redactor()


class Asker(Struct, frozen=True, kw_only=True):
    """What is known of the sender; the fields are those of ``schemas.records.Refusal``."""

    model: str | None = None
    streamed: bool | None = None
    session_id: str | None = None
    agent_id: str | None = None
    role: Role = Role.OTHER
    client: str | None = None
    client_version: str | None = None
    entrypoint: str | None = None
    project: str | None = None
    user: str | None = None


def asker(target: bytes, headers: Headers, body: bytes) -> Asker:
    """The facts about a request on one of the surfaces; ``body`` is decompressed."""
    fields = {name.lower(): value.decode("latin-1") for name, value in headers}
    at, _, path_model = locate(target) or (None, b"", None)
    read = _read(body)
    sent = read or _Body()
    prompt = _prompt(sent)
    client, version, entrypoint = _client(fields.get(b"user-agent", ""))
    attribution = next((text for text in prompt if text.startswith(_ATTRIBUTION)), "")
    agent_id = _plain(fields.get(b"x-claude-code-agent-id"))
    role = _certain_role(at, fields, attribution, agent_id) or _marked_role(prompt, sent)
    return Asker(
        model=_plain(path_model or _decode(_STRING, sent.model)),
        streamed=_streamed(at, read),
        session_id=_plain(fields.get(b"x-claude-code-session-id")) or _session(sent),
        agent_id=agent_id,
        role=role or _main_or_other(prompt, sent, client, fields.get(_CLASS)),
        client=client,
        client_version=version,
        entrypoint=_plain(_value(attribution, "cc_entrypoint")) or entrypoint,
        project=_project(prompt, sent),
    )


def kept_headers(headers: Headers, redactor: Redactor = _SECRETS) -> dict[str, str]:
    """The headers of the allow list, names in lower case, several of one name joined by commas, secrets taken out."""
    kept: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name in KEPT or name.startswith("x-cc-fallback-"):
            text, _ = redactor.text(value.decode("latin-1"))
            kept[name] = f"{kept[name]}, {text}" if name in kept else text
    return kept


class _Members(Struct):
    model: Raw = Raw()
    stream: Raw = Raw()
    system: Raw = Raw()
    tools: Raw = Raw()
    metadata: Raw = Raw()


class _Body(_Members):
    messages: list[Raw] = []


class _Block(Struct):
    type: str = ""
    text: str = ""


class _Message(Struct):
    role: str = ""
    content: str | list[Raw] = ""


class _Metadata(Struct):
    user_id: str = ""


class _UserId(Struct):
    session_id: str = ""


_BODY, _MESSAGE, _METADATA, _USER_ID = map(Decoder, (_Body, _Message, _Metadata, _UserId))
_STRING, _BOOL, _ODD = Decoder(str), Decoder(bool), Decoder(_Members)
_BLOCK, _PROMPT = Decoder(_Block), Decoder(str | list[_Block])


def _decode[T](decoder: "Decoder[T]", data: bytes | str | Raw | None) -> T | None:
    """``data`` as what ``decoder`` reads; None where it is missing or something else."""
    try:
        return decoder.decode(data) if data else None
    except (MsgspecError, UnicodeError, RecursionError):
        return None


def _read(body: bytes) -> _Body | None:
    """The members that matter. msgspec refuses a lone surrogate, which clients send when they cut a text in an emoji."""
    return _members(body) or _members(_SURROGATE.sub(rb"\\ufffd", body))


def _members(body: bytes) -> _Body | None:
    read: _Body | None = _decode(_BODY, body)
    if read is not None:
        return read
    odd = _decode(_ODD, body)
    return _Body(**asdict(odd)) if odd else None


def _plain(text: str | None) -> str | None:
    """A name or an id, as it is; None where it is none: empty, too long, or with what cannot be printed."""
    return text if text and len(text) <= _LONGEST and text.isprintable() else None


def _value(attribution: str, key: str) -> str | None:
    """A value of Claude Code's attribution block: ``x-anthropic-billing-header: cc_version=…; cc_entrypoint=cli;``."""
    parts = (part.strip().partition("=") for part in attribution.partition(":")[2].split(";"))
    return next((value for name, _, value in parts if name == key), None)


def _client(agent: str) -> tuple[str | None, str | None, str | None]:
    """Name, version and, of Claude Code, entrypoint: ``claude-cli/2.1.197 (external, sdk-cli)``, ``Anthropic/Python 2.12``."""
    found = _AGENT.match(agent)
    if not found:
        return None, None, None
    name, version, entrypoint = found.groups()
    return _plain(name), _plain(version), _plain(entrypoint) if name == "claude-cli" else None


def _streamed(surface: Surface | None, read: _Body | None) -> bool | None:
    if surface in (Surface.BEDROCK_STREAM, Surface.VERTEX_STREAM):
        return True
    if read is None or surface is Surface.BATCH_RESULTS:
        return None
    return _decode(_BOOL, read.stream) if read.stream else False


def _session(sent: _Body) -> str | None:
    """From ``metadata.user_id``: JSON since 2.1, before that ``user_…_account_…_session_UUID``."""
    metadata = _decode(_METADATA, sent.metadata)
    if metadata is None:
        return None
    if user := _decode(_USER_ID, metadata.user_id):
        return _plain(user.session_id)
    found = _SESSION.search(metadata.user_id)
    return found[1] if found else None


def _prompt(sent: _Body) -> list[str]:
    """The texts of the system prompt."""
    prompt = _decode(_PROMPT, sent.system)
    return [prompt] if isinstance(prompt, str) else [block.text for block in prompt or ()]


def _project(prompt: list[str], sent: _Body) -> str | None:
    """The last part of the first working directory that the prompt names, or a message of role ``system`` (2.1.330 does)."""
    named = (text for text in chain(prompt, _added(sent)) if "orking directory: " in text)
    found = next((line for text in named if (line := _DIRECTORY.search(text))), None)
    return _plain(re.split(r"[/\\]", found[1].rstrip("/\\ "))[-1]) if found else None


def _added(sent: _Body) -> Iterator[str]:
    """The texts of system messages near the beginning of the conversation."""
    for raw in sent.messages[:_EARLY]:
        message = _decode(_MESSAGE, raw)
        if message and message.role == "system":
            yield from [message.content] if isinstance(message.content, str) else map(_block_text, message.content)


def _certain_role(
    surface: Surface | None, fields: dict[bytes, str], attribution: str, agent_id: str | None
) -> Role | None:
    if surface is Surface.COUNT_TOKENS:
        return Role.COUNT_TOKENS
    if hint := HINTS.get(fields.get(_CLASS, "")):
        return hint
    return Role.SUBAGENT if agent_id or _value(attribution, "cc_is_subagent") == "true" else None


def _marked_role(prompt: list[str], sent: _Body) -> Role | None:
    heads = {"system": [text.lstrip()[:_LONGEST] for text in prompt], "user": _asked(sent)}
    if not any(text.startswith(_MARKED[place]) for place, texts in heads.items() for text in texts):
        return None
    return next(role for role, place, marker in MARKERS if any(text.startswith(marker) for text in heads[place]))


def _asked(sent: _Body) -> list[str]:
    """How the user's last text begins, without an order to call no tools before it."""
    for raw in reversed(sent.messages):
        message = _decode(_MESSAGE, raw)
        if message and message.role == "user":
            content = message.content
            blocks = [content] if isinstance(content, str) else map(_block_text, reversed(content))
            heads = (text[:2000].lstrip() for text in blocks if not text.startswith("<system-reminder>"))
            head = next(filter(None, heads), "")
            order = _ORDER.match(head)
            return [head[order.end() :] if order else head]
    return []


def _block_text(raw: Raw) -> str:
    block = _decode(_BLOCK, raw)
    return block.text if block and block.type == "text" else ""


def _main_or_other(prompt: list[str], sent: _Body, client: str | None, hint: str | None) -> Role:
    tools = memoryview(sent.tools)[:64].tobytes().translate(None, b" \t\r\n")
    ours = client == "claude-cli" and any(text.startswith(_CLAUDE_CODE) for text in prompt)
    return Role.MAIN if hint != "auxiliary" and (ours or tools.startswith(b"[{")) else Role.OTHER
