"""The captures of the wire that can be read, each by its own module."""

from proxy.importers.claude_tap import ClaudeTap
from proxy.importers.claude_trace import ClaudeTrace
from proxy.importers.flow import FlowFile
from proxy.importers.har import HarFile
from proxy.importers.inspect_log import InspectLog
from proxy.importers.litellm import LiteLlm
from proxy.importers.llm_interceptor import LlmInterceptor
from proxy.importers.otel import OtelLogs
from proxy.importers.own import OwnRecords
from proxy.importers.raw import RawAnswer
from proxy.importers.source import Source

SOURCES: tuple[Source, ...] = (
    OwnRecords(),
    FlowFile(),
    HarFile(),
    ClaudeTap(),
    ClaudeTrace(),
    LlmInterceptor(),
    LiteLlm(),
    OtelLogs(),
    InspectLog(),
    RawAnswer(),
)
"""No two of them claim the same file."""
