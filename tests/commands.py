"""Commands, run as a person or a program runs them, and records for them that the core made of a real exchange."""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from answers import REFUSAL
from proxy.cli import main
from proxy.core.exchange import Watcher
from proxy.packed import dump, pack
from proxy.spool import Spool, spool_folder
from proxy.store import Store
from schemas.records import Entry

LISTED = (
    "id at source kind evidence confidence category explanation stage output_tokens ms_to_refusal model answered_by outcome request_id"
    " message_id session_id agent_id role client client_version entrypoint user project branch fingerprint verdict domain tags sources"
).split()
SHOWN = (
    "segments candidates since_turn attempts rephrasings advice incident annotations judgements trials located cost burst"
    " despite_exemption links reports"
).split()
TOOLS = "Bash Edit Glob Grep Read Write".split()
SECRET = "sk-ant-api03-" + "abcdefgh12345678" * 6
ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e\u200b"
posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal, POSIX permissions, POSIX disks")


def request(turns: int = 1, said: str = "Please look at my file.", **fields: Any) -> bytes:
    """A body as Claude Code sends it: ``turns`` calls of a tool lie between what the user said."""
    messages: list[dict[str, Any]] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>The house rules.</system-reminder>"},
                {"type": "text", "text": said},
            ],
        }
    ]
    for n in range(turns):
        call = {"type": "tool_use", "id": f"toolu_{n}", "name": "Read", "input": {"file_path": f"/src/{n}.py"}}
        messages += [
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": f"line {n}"}]},
        ]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8=" * 500}}
    messages += [{"role": "assistant", "content": "I see."}, {"role": "user", "content": [picture]}]
    system = [{"type": "text", "text": "You are Claude Code.\nWorking directory: /home/dev/lab-sheets\n"}]
    tools = [{"name": tool, "description": "It works.", "input_schema": {"type": "object"}} for tool in TOOLS]
    return json.dumps(
        {"model": "claude-opus-5", "stream": True, "system": system, "tools": tools, "messages": messages, **fields}
    ).encode()


def declined(
    body: bytes,
    answer: bytes = REFUSAL,
    *,
    at: float = 1_795_444_562.324,
    request_id: str = "req_1",
    content: bool = True,
) -> Entry:
    """The entry that the gateway keeps of a declined request."""
    watcher = Watcher(source="gateway", now=lambda: at, entropy=os.urandom, content=content)
    headers = (
        (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)"),
        (b"X-Claude-Code-Session-Id", b"11111111-2222-4333-8444-555555555555"),
        (b"Authorization", b"Bearer " + SECRET.encode()),
    )
    exchange = watcher.exchange(b"POST", b"/v1/messages?beta=true", headers)
    assert exchange
    exchange.sent(body)
    exchange.opened(200, ((b"content-type", b"text/event-stream"), (b"request-id", request_id.encode())))
    make = exchange.feed(answer)
    assert make
    return make()


def keep(db: Path, *entries: Entry) -> None:
    with Store.open(db) as store:
        assert store.apply(entries) == 0


def demur(*arguments: object, db: Path | None = None, **environment: str) -> Result:
    place = () if db is None else ("--db", str(db))
    result = CliRunner().invoke(main, [*map(str, arguments), *place], env=environment or None)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(result)]


def fails(result: Result, code: int = 1) -> str:
    """The one line that a failed command says."""
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("demur: ")
    return line


def orphan(db: Path, *entries: Entry) -> Path:
    """The spool of a writer that was killed."""
    folder = spool_folder(db)
    folder.mkdir(mode=0o700, exist_ok=True)
    with Spool.create(folder) as spool:
        for kept in entries:
            spool.append(dump(pack(kept)))
    return spool.path


def on_terminal(columns: int, *arguments: object, **environment: str) -> str:
    """What the command prints on a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    plain = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}}
    child = subprocess.Popen(
        [sys.executable, "-m", "proxy.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=Path(__file__).parent.parent,
        env={**plain, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 1 << 16):
            seen += data
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert child.wait() == 0, seen.decode()
    return seen.decode().replace("\r\n", "\n")


def without_colour(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])
