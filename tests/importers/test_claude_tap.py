"""What claude-tap recorded, in each form; and the real one beside a real mitmdump, where it can be had."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import captured
from captured import Json, counted, entries, read, refusals, troubles
from e2e_process import Api, in_thread
from mitmproxies import MITMDUMP, running
from proxy.core.redact import Redactor
from proxy.importers.captures import SOURCES
from proxy.importers.claude_tap import ClaudeTap
from proxy.importers.flow import FlowFile
from proxy.importers.source import HEAD, Origin, Source
from proxy.store import Store

NAMED = os.environ.get("DEMUR_CLAUDE_TAP")
TESTED = "0.1.146"
PLAYS = ("answer", "refusal category=cyber", "refusal_mid category=bio", "overloaded")
TAP = ClaudeTap()


def condensed(record: Json, blobs: dict[str, Any]) -> Json:
    """A record whose messages and tools are references, as claude-tap stores those of 512 bytes and more."""

    def reference(value: Any) -> Json:
        name = "sha256:" + sha256(json.dumps(value).encode()).hexdigest()
        blobs[name] = value
        return {"__claude_tap_blob_ref__": {"version": 1, "kind": "json", "hash": name, "bytes": 1}}

    body = record["request"]["body"]
    body = body | {"tools": reference(body["tools"]), "messages": [reference(one) for one in body["messages"]]}
    short = record | {"request": record["request"] | {"body": body}}
    return {"__claude_tap_compact_record__": {"version": 1, "encoding": "json-blob-ref", "refs": []}, "record": short}


def bundle() -> bytes:
    blobs: dict[str, Any] = {}
    records = [condensed(record, blobs) for record in captured.tap_records()]
    held = {name: {"kind": "json", "bytes": 1, "payload": value} for name, value in blobs.items()}
    about = {"version": 1, "encoding": "json-blob-ref", "record_count": len(records), "blob_count": len(held)}
    return json.dumps({"__claude_tap_compact_trace__": about, "records": records, "blobs": held}).encode()


def database(path: Path, *, without_blobs: bool = False) -> Path:
    blobs: dict[str, Any] = {}
    records = [condensed(record, blobs) for record in captured.tap_records()]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("""
            CREATE TABLE sessions (id TEXT PRIMARY KEY, started_at TEXT NOT NULL);
            CREATE TABLE records (session_id TEXT NOT NULL, record_index INTEGER NOT NULL, payload_json TEXT NOT NULL);
            CREATE TABLE proxy_logs (session_id TEXT, line_no INTEGER, message TEXT);
            CREATE TABLE record_blobs (session_id TEXT, hash TEXT, kind TEXT, payload_json TEXT);
        """)
        connection.execute("insert into sessions values ('s', '2026')")
        rows = [("s", n, json.dumps(record)) for n, record in enumerate(records)]
        connection.executemany("insert into records values (?, ?, ?)", rows)
        held = [] if without_blobs else [("s", name, "json", json.dumps(value)) for name, value in blobs.items()]
        connection.executemany("insert into record_blobs values (?, ?, ?, ?)", held)
    return path


def claimants(head: bytes) -> list[str]:
    return [source.name for source in SOURCES if source.claims(head, Origin("x", Redactor()))]


def read_file(source: Source, path: Path) -> list[Any]:
    with path.open("rb") as file:
        return list(source.read(file, Origin(str(path), Redactor())))


@pytest.mark.parametrize("streams", [False, True])
def test_its_records_say_the_same_with_and_without_the_events_of_their_streams(streams: bool) -> None:
    found = read(TAP, captured.lines(captured.tap_records(streams=streams)))
    assert [one.request_id for one in refusals(found)] == ["req_2", "req_4"]
    assert refusals(found)[0].evidence == ("message_delta.stop_reason" if streams else "message.stop_reason")


def test_the_compact_export_is_read_with_its_blobs() -> None:
    data = bundle()
    found = read(TAP, data)
    assert claimants(data[:HEAD]) == ["claude-tap"]
    assert [one.request_id for one in refusals(found)] == ["req_2", "req_4"]
    assert "PLANTED" in captured.everything(found)


def test_the_json_export_tells_what_it_still_has() -> None:
    entries = [
        {
            "turn": record["turn"], "timestamp": record["timestamp"], "duration_ms": 5, "model": "claude-opus-5",
            "messages": record["request"]["body"]["messages"],
            "response": {name: record["response"]["body"][name] for name in ("content", "usage", "stop_reason")},
        }
        for record in captured.tap_records()
    ]  # fmt: skip
    data = json.dumps(entries, indent=2).encode()
    found = read(TAP, data)
    assert claimants(data[:HEAD]) == ["claude-tap"]
    assert [(one.request_id, one.category) for one in refusals(found)] == [(None, None), (None, "bio")]


def test_its_database_is_read_where_it_lies_and_out_of_a_pipe(tmp_path: Path) -> None:
    path = database(tmp_path / "traces.sqlite3")
    data = path.read_bytes()
    assert claimants(data[:HEAD]) == ["claude-tap"]
    for found in (read_file(TAP, path), list(TAP.read(io.BytesIO(data), Origin("-", Redactor())))):
        assert [one.request_id for one in refusals(found)] == ["req_2", "req_4"]
        assert troubles(found) == []


def test_no_file_is_left_beside_a_database_and_what_stands_in_its_journal_is_read(tmp_path: Path) -> None:
    path = database(tmp_path / "traces.sqlite3")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
    assert len(refusals(read_file(TAP, path))) == 2
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("delete from records where record_index = 1")
        connection.commit()
        assert len(refusals(read_file(TAP, path))) == 1


def test_a_record_whose_parts_are_gone_is_told_of(tmp_path: Path) -> None:
    found = read_file(TAP, database(tmp_path / "traces.sqlite3", without_blobs=True))
    assert [one.why for one in troubles(found)] == ["a part of a record is missing"] * 4


def test_a_damaged_database_is_told_of() -> None:
    found = read(TAP, b"SQLite format 3\0" + b"\1" * 5000)
    assert [one.why for one in troubles(found)] == ["a database that cannot be read (DatabaseError)"]


def test_a_record_without_a_time_is_told_of_and_what_it_failed_to_ask_is_counted_as_cut() -> None:
    bad, good = captured.tap_records()[:2]
    bad["timestamp"] = None
    good["response"] = {"status": 502, "headers": {}, "body": None, "error": "no upstream"}
    found = read(TAP, captured.lines([bad, good]))
    assert [(one.line, one.why) for one in troubles(found)] == [(1, "a record without a time")]
    assert counted(found) == {"error": 1}


@pytest.fixture(scope="module")
def claude_tap(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The real one: as DEMUR_CLAUDE_TAP names it, as it is installed, or out of an environment of its own."""
    if found := NAMED or shutil.which("claude-tap"):
        return found
    folder = tmp_path_factory.mktemp("claude-tap")
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin/pip"), "install", "-q", f"claude-tap=={TESTED}"],
    )
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=180)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"claude-tap cannot be installed here ({type(error).__name__})")
    return str(folder / "bin/claude-tap")


@contextmanager
def tapping(program: str, upstream: str, data: Path, *options: str) -> Iterator[str]:
    """Its URL. It is ended as by Ctrl+C."""
    command = [
        program,
        "--tap-no-launch",
        "--tap-no-live",
        "--tap-no-open",
        "--tap-host",
        "127.0.0.1",
        "--tap-target",
        upstream,
    ]
    env = os.environ | {"XDG_DATA_HOME": str(data), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout
            line = next(line for line in process.stdout if "listening on" in line)
            found = re.search(r"http://[\d.]+:\d+", line)
            assert found, line
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def ask(url: str, play: str) -> None:
    messages = [{"role": "user", "content": f"{play} " * 200}]
    body = json.dumps({"model": "claude-opus-5", "max_tokens": 5, "stream": True, "messages": messages}).encode()
    head = {"content-type": "application/json", "x-pretend": play, "x-api-key": captured.KEY}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/messages", body, head), timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()


async def _record(claude_tap: str, folder: Path, api: Api, *options: str) -> None:
    """The same session through claude-tap and mitmdump."""
    arguments = ["--mode", f"reverse:{api.url}", "--set", "listen_host=127.0.0.1", "--set", "listen_port=0"]
    async with running(MITMDUMP, *arguments, "-w", str(folder / "flows")) as mitmdump:

        def play() -> None:
            with tapping(claude_tap, mitmdump.url, folder, *options) as url:
                for one in PLAYS:
                    ask(url, one)

        await asyncio.to_thread(play)


@pytest.mark.parametrize("options", [(), ("--tap-store-stream-events",)])
def test_the_real_one_and_a_real_mitmdump_are_two_witnesses_of_one_record(
    claude_tap: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with in_thread(Api()) as api:
        asyncio.run(_record(claude_tap, tmp_path, api, *options))
    places: dict[Source, Path] = {FlowFile(): tmp_path / "flows", TAP: tmp_path / "claude-tap" / "traces.sqlite3"}
    told = [one.request_id for one in api.told[1:3]]
    with Store.open(tmp_path / "demur.db") as store:
        for source, path in places.items():
            assert claimants(path.read_bytes()[:HEAD]) == [source.name]
            found = read_file(source, path)
            assert troubles(found) == []
            assert [(one.request_id, one.kind, one.category) for one in refusals(found)] == [
                (told[0], "refusal", "cyber"),
                (told[1], "refusal", "bio"),
            ]
            assert counted(found) == {"answered": 1, "refused": 2, "error": 1}
            assert captured.KEY not in captured.everything(found)
            store.apply(entries(found))
        assert [(one.request_id, one.sources) for one in reversed(store.refusals())] == [
            (name, ["flow", "claude-tap"]) for name in told
        ]
