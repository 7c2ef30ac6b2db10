"""Which conversation a request belongs to, so that its later turns can go where an earlier one was answered.

A session of Claude Code has several: its own, one for each sub-agent, and its side requests. What stays the same in all turns of one is
the session, the agent, the role, the model that is asked for, and how it began: the first words of the user, without reminders and cache
breakpoints, which the client changes from turn to turn.
"""

from typing import Any

from proxy.core.asker import Asker
from proxy.core.message import parse, table
from proxy.core.segment import key_of, to_json

_REMINDER = "<system-reminder>"


def conversation(who: Asker, body: bytes) -> str | None:
    """Its key, a hash; None where the client names no session: then two conversations cannot be told apart."""
    if not who.session_id:
        return None
    began = _began(parse(body).get("messages"))
    return key_of(to_json([who.session_id, who.agent_id, who.role, who.model, began])) if began else None


def _began(messages: object) -> list[str]:
    """The texts of the first message in which the user says something."""
    for message in messages if isinstance(messages, list) else ():
        if table(message).get("role") == "user" and (said := _said(message.get("content"))):
            return said
    return []


def _said(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    texts = [table(block).get("text") for block in content] if isinstance(content, list) else []
    return [text for text in texts if isinstance(text, str) and text and not text.lstrip().startswith(_REMINDER)]
