"""``kill -9``: no refusal that a client was told of is lost, and none is kept twice.

Two gateways share a database. Each is killed as soon as its client has read the event that declines, and started again;
what it left in its spool is for whoever comes first. DEMUR_KILLS says how often, both together.
"""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from e2e_process import Api, command, in_thread, up
from proxy.store import Store

KILLS = int(os.environ.get("DEMUR_KILLS", "20"))
"""Read before the fixture that takes DEMUR_* away."""


def test_no_refusal_that_a_client_was_told_of_is_lost_or_doubled_by_a_kill(tmp_path: Path) -> None:
    db = tmp_path / "demur.db"
    with in_thread(Api("refusal_mid")) as api, ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(partial(one_life, api.url, db, n)) for n in range(KILLS)]
        sent = dict(life.result() for life in lives)
    listed = [json.loads(line) for line in command("list", "--all", "--json", "--db", str(db)).splitlines()]
    assert sorted(record["request_id"] for record in listed) == sorted(sent)
    assert len(sent) == KILLS
    assert json.loads(command("db", "verify", "--json", "--db", str(db)))["ok"]
    with Store.open(db) as store:
        assert {record["request_id"]: store.body(record["id"]) for record in listed} == sent
        assert store.losses() == []
        assert sum(n for _, n in store.traffic()) == KILLS


def one_life(upstream: str, db: Path, n: int) -> tuple[str, bytes]:
    """A gateway from its start to its violent end; the request that it saw declined, and its id."""
    body = json.dumps({"model": "claude-opus-5", "stream": True, "messages": [{"role": "user", "content": text(n)}]})
    with up(upstream, db) as gateway:
        there = gateway.said["ANTHROPIC_BASE_URL"].removeprefix("http://")
        client = HTTPConnection(there, timeout=60)
        client.request("POST", "/v1/messages", body, {"content-type": "application/json"})
        answer, seen = client.getresponse(), b""
        while b'"refusal"' not in seen:
            piece = answer.read1(1 << 16)
            assert piece, seen
            seen += piece
        gateway.end(signal.SIGKILL)
        client.close()
    return answer.headers["request-id"], body.encode()


def text(n: int) -> str:
    """Short and long ones, partly the same."""
    return f"{n}: " + "All work and no play. " * (1 + n % 5 * 2000)
