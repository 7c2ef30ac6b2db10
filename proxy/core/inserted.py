"""What Claude Code puts into a conversation by itself, and by which words each is known.

Where it stands depends on the version and on the model (all seen on 2.1.197 and 2.1.330, in November 2026):

- Models that take messages of role ``system`` (opus-4-8, opus-5) get the most in one such message behind the prompt, joined by empty
  lines: what hooks printed, files named with ``@``, the kinds of agents, MCP instructions, skills; on 2.1.330 also the environment and,
  at its end, the date. Later turns have such messages of their own, on 2.1.330 one each with the tokens that are left.
- All others (haiku-4-5) get each of these as a text of its own in the user's message, within ``<system-reminder>``. When a
  session is resumed, 2.1.197 puts such texts at the end of the tool result before them, behind an empty line each.
- CLAUDE.md is a ``<system-reminder>`` before the prompt everywhere, under ``# claudeMd`` on 2.1.197, where ``# currentDate`` follows.
- gitStatus ends the system prompt on 2.1.197; on 2.1.330 it is a ``<system-reminder>``.
- A file named with ``@`` is a call and a result in words, "Called the Read tool with the following input: {...}", "Result of calling the
  Read tool:"; two reminders, or one after the other in the system message. Of a PDF there was no document.
- The text of a skill is a text of the user's behind the tool result "Launching skill: ...".

What a tool printed may end in the same words. So from the end of a result only blocks go that begin as the client's own do, few and
short ones: whoever forges such a block hides no more than that in it. A Read numbers its lines, so that no file can. What is not
known, or too long, stays: then a result of old is taken for new once, which is the lesser error.
"""

import re

from schemas.labels import Label

REMINDER = "<system-reminder>"

MARKERS = (
    # 2.1.197: "# claudeMd"; 2.1.330: begins with the sentence; both, for one in a folder below: "Contents of .../CLAUDE.md:"
    (
        Label.MEMORY,
        r"# claudeMd\n|Codebase and user instructions are shown below\.|Contents of [^\n]{1,500}\.md(?: \([^\n]*\))?:\n",
    ),
    # both: "SessionStart:startup hook success: ", "UserPromptSubmit hook success: ", "PostToolUse:Bash hook additional context: ";
    # the others are in the strings of both
    (
        Label.HOOK,
        r"[A-Z]\w{2,40}(?::[^\s:]{1,100})? hook (?:success|additional context|blocking error|feedback|stopped continuation)\b",
    ),
    # both
    (Label.MCP, r"# MCP Server Instructions\n"),
    # 2.1.330: "# Environment", "# gitStatus", "Today's date is"; 2.1.197: "# currentDate" where there is no CLAUDE.md; the
    # change of the date is in the strings of both
    (Label.ENVIRONMENT, r"# (?:Environment|gitStatus|currentDate)\n|Today's date is |The date has changed\."),
)
"""How a line begins in a text of a label. The first that fits is what weighs most for a reader."""
_MARKERS = [(label, re.compile(f"\n(?:{pattern})")) for label, pattern in MARKERS]

BY_CLIENT = frozenset(
    {
        Label.MEMORY, Label.HOOK, Label.MCP, Label.ENVIRONMENT, Label.REMINDER, Label.SYSTEM_MESSAGE, Label.SYSTEM
    }
)  # fmt: skip
"""What a client writes by itself, of which the date of the day says nothing new."""

_USED = re.compile(r"(Called|Result of calling) the (\w{1,100}) tool\b(?: with the following input: (\{[^\n]*\}))?")
_SKILL = re.compile(r"Base directory for this skill: ([^\r\n]+)")
_DATED = (
    re.compile("Today's date is[^\n]*"),
    re.compile(r"2\d{3}-\d\d-\d\d(?:T\d\d:\d\d[\d:.]*Z?)?(?![\d-])"),
    re.compile("<total_tokens>[0-9]+ tokens left</total_tokens>"),
)
_FOLDED, _END = f"\n\n{REMINDER}\n", "</system-reminder>"
# the strings of 2.1.197
_ASIDE = re.compile(
    r"Token usage: |USD budget: |Output tokens |The following (?:skills|deferred tools) are |Some available tools' schemas are "
    r"|The (?:TodoWrite tool has|task tools have)n't been used "
)
MOST, LONGEST = 8, 4000
"""Blocks that may go from the end of a tool result, and characters of each."""


def label(text: str, otherwise: Label) -> Label:
    """What a text by the client is."""
    said = _within(text)
    if _USED.match(said) and otherwise is Label.REMINDER:
        return otherwise
    lines = "\n" + said
    return next((known for known, pattern in _MARKERS if pattern.search(lines)), otherwise)


def used(text: str) -> tuple[str, str | None] | None:
    """The tool that the client used for the user (who named a file with ``@``), and of a call its input, in JSON."""
    found = _USED.match(_within(text))
    return (found[2], found[3]) if found else None


def skill(text: str) -> str | None:
    """The folder of the skill whose text this is."""
    found = _SKILL.match(text)
    return found[1] if found else None


def _within(text: str) -> str:
    return text.removeprefix(REMINDER).lstrip()


def undated(text: str) -> str:
    """Without what changes by itself: dates, and how many tokens are left."""
    for pattern in _DATED:
        text = pattern.sub("", text)
    return text


def unfolded(result: str) -> str:
    """The text of a tool result without the reminders that the client put behind it: see the head of the module."""
    end = len(result)
    for _ in range(MOST):
        at = result.rfind(_FOLDED, max(0, end - LONGEST), end)
        if at < 0 or not result.endswith(_END, at, end) or not _is_own(result, at + len(_FOLDED)):
            break
        end = at
    return result[:end]


def _is_own(text: str, at: int) -> bool:
    """Whether what begins there begins as the client does. An ``@`` file does not count, as it is content."""
    return _ASIDE.match(text, at) is not None or any(pattern.match(text, at - 1) for _, pattern in _MARKERS)
