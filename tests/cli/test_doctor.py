import json
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from authority import issue
from commands import (
    declined,
    demur,
    fails,
    free_port,
    keep,
    orphan,
    posix,
    request,
)
from entries import disk, entry, fill
from proxy.spool import STARTED, Spool, spool_folder
from schemas.records import Entry


def checked(*arguments: object, db: Path | None = None, **environment: str) -> dict[str, tuple[str, str, str]]:
    """Name -> status, what was found, what to do."""
    result = demur("doctor", "--json", *arguments, db=db, **environment)
    report = json.loads(result.stdout)
    assert list(report) == ["checks", "ok"]
    assert report["ok"] is (result.exit_code == 0)
    assert report["ok"] is not any(check["status"] == "fail" for check in report["checks"])
    for check in report["checks"]:
        assert list(check) == ["name", "status", "found", "todo"]
        assert check["status"] in {"ok", "warn", "fail"}
        assert check["todo"] or check["status"] == "ok", check
    return {check["name"]: (check["status"], check["found"], check["todo"]) for check in report["checks"]}


@contextmanager
def listener(answer: Callable[[socket.socket], None] = lambda _: None) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server that takes one connection, and what came on it after ``answer``."""
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            answer(connection)
            try:
                heard.append(connection.recv(1 << 16))
            except ConnectionError:
                heard.append(b"")

    thread = Thread(target=serve)
    thread.start()
    with server:
        yield server.getsockname()[1], heard
        thread.join()


def test_a_fresh_machine_fails_at_nothing(at_home: Path, db: Path) -> None:
    seen = checked("--offline", db=db)
    assert not [check for check in seen.values() if check[0] == "fail"]
    assert "mitmproxy 1" in seen["versions"][1]
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in seen["versions"][1]
    assert "is not there yet" in seen["database"][1]
    assert seen["gateway"][0] == seen["claude"][0] == "warn"
    assert not db.exists()
    human = demur("doctor", "--offline", db=db)
    assert human.exit_code == 0
    assert human.stdout.splitlines()[-1] == "2 warnings."
    assert "-> start it: `demur up`" in human.stdout


def test_all_is_well_where_it_is(at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claude = at_home / "bin" / "claude"
    claude.parent.mkdir()
    claude.write_text("#!/bin/sh\ntouch was-run\n")
    claude.chmod(0o755)
    keep(db, entry(1))
    with listener() as (gateway, _):
        monkeypatch.setenv("DEMUR_LISTEN", f"127.0.0.1:{gateway}")
        with listener() as (api, _):
            result = demur("doctor", db=db, DEMUR_UPSTREAM=f"http://127.0.0.1:{api}")
    assert result.stdout.splitlines()[-1] == "All is well."
    assert str(claude) in result.stdout
    assert not list(Path.cwd().glob("was-run"))


def test_the_api_is_connected_to_and_not_spoken_to(at_home: Path, db: Path) -> None:
    with listener() as (port, heard):
        seen = checked(db=db, DEMUR_UPSTREAM=f"http://127.0.0.1:{port}")
    assert heard == [b""]
    assert seen["upstream"] == ("ok", f"http://127.0.0.1:{port} accepts connections", "")


def test_a_certificate_that_is_not_trusted_is_told_and_upstream_ca_mends_it(
    at_home: Path, db: Path, tmp_path: Path
) -> None:
    authority, context = issue(tmp_path, "127.0.0.1")

    def greet(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    with listener(lambda connection: greet(connection.dup())) as (port, _):
        seen = checked(db=db, DEMUR_UPSTREAM=f"https://127.0.0.1:{port}")
    assert seen["upstream"][0] == "fail"
    assert "not trusted" in seen["upstream"][1]
    with listener(lambda connection: greet(connection.dup())) as (port, _):
        seen = checked(db=db, DEMUR_UPSTREAM=f"https://127.0.0.1:{port}", DEMUR_UPSTREAM_CA=str(authority))
    assert seen["upstream"][0] == "ok"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "DEMUR_UPSTREAM_PROXY"])
def test_a_proxy_that_shows_its_own_certificate_is_a_warning_that_says_who_needs_its_ca(
    at_home: Path, db: Path, tmp_path: Path, variable: str
) -> None:
    _, context = issue(tmp_path, "api.example.test")

    def intercept(connection: socket.socket) -> None:
        assert connection.recv(1 << 16).startswith(b"CONNECT api.example.test:443 ")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            context.wrap_socket(connection.dup(), server_side=True).close()
        except OSError:
            connection.close()

    with listener(lambda connection: intercept(connection.dup())) as (port, _):
        environment = {variable: f"http://127.0.0.1:{port}", "DEMUR_UPSTREAM": "https://api.example.test"}
        status, found, todo = checked(db=db, NO_PROXY="", no_proxy="", **environment)["upstream"]
    assert status == "warn"
    assert found.startswith(f"the proxy http://127.0.0.1:{port} shows a certificate of its own")
    assert todo.startswith("Claude Code needs the proxy's CA in NODE_EXTRA_CA_CERTS")


def test_a_proxy_that_does_not_answer_is_a_failure(at_home: Path, db: Path) -> None:
    environment = {"DEMUR_UPSTREAM_PROXY": f"http://127.0.0.1:{free_port()}"}
    assert checked(db=db, DEMUR_UPSTREAM="https://api.example.test", **environment)["upstream"][0] == "fail"


def test_an_api_that_cannot_be_reached_is_a_failure_that_offline_leaves_out(at_home: Path, db: Path) -> None:
    upstream = f"http://127.0.0.1:{free_port()}"
    seen = checked(db=db, DEMUR_UPSTREAM=upstream)
    assert seen["upstream"][0] == "fail"
    assert "cannot reach 127.0.0.1" in seen["upstream"][1]
    assert checked("--offline", db=db, DEMUR_UPSTREAM=upstream)["upstream"][0] == "ok"
    assert checked("--offline", db=db, DEMUR_UPSTREAM="nonsense")["upstream"][0] == "fail"
    assert checked("--offline", db=db, DEMUR_UPSTREAM_CA="/none.pem")["upstream"][0] == "fail"


def test_a_name_server_that_does_not_answer_holds_nothing_up(
    at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ended, held_up = Event(), Event(), Event()

    def never(*_: object, **__: object) -> list[object]:
        asked.set()
        if not ended.wait(20):
            held_up.set()
        return []

    monkeypatch.setattr("proxy.cli.reaching.REACH_S", 0.05)
    monkeypatch.setattr("socket.getaddrinfo", never)
    monkeypatch.setattr("proxy.cli.checks.answers", lambda *_: True)
    seen = checked(db=db, DEMUR_UPSTREAM="http://api.test")
    assert asked.is_set()
    assert not held_up.is_set()
    assert "no connection within" in seen["upstream"][1]
    ended.set()


def test_the_settings_that_are_set_are_told_with_where_they_come_from(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    config.write_text(
        'max_body_mb = 8\n[capture]\nredact_secrets = false\n[redact]\ndeny = ["acme", "/(/"]\n[prices.m]\ninput = 5\n'
    )
    seen = checked("--offline", "--config", config, db=db, DEMUR_CAPTURE_CONTENT="none", DEMUR_MITMPROXY_HOSTS="a,b")
    assert seen["config"][1] == f"{config} was read"
    assert seen["prices"][1] == "m, from demur.toml"
    assert seen["max_body_mb"][1] == "8, from demur.toml"
    assert seen["capture.content"][1] == "none, from the environment (DEMUR_CAPTURE_CONTENT)"
    assert seen["mitmproxy.hosts"][1] == "a, b, from the environment (DEMUR_MITMPROXY_HOSTS)"
    assert seen["db"][1] == f"{db}, from the command line"
    assert seen["capture.redact_secrets"][1] == "false, from demur.toml"
    assert seen["secrets"][0] == "warn"
    assert "drain_s" not in seen
    assert seen["redact.deny"][1] == "2 entries, from demur.toml"
    assert seen["redact.deny[2]"] == (
        "fail",
        "it cannot be used",
        "say a word, or a regular expression between slashes",
    )
    assert "acme" not in json.dumps(seen)


def test_settings_that_cannot_be_used_are_a_failure_and_the_rest_is_checked(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    config.write_text("no toml at all")
    seen = checked("--offline", "--config", config, db=db)
    assert seen["config"][0] == "fail"
    assert "is not TOML" in seen["config"][1]
    assert "database" not in seen
    assert seen["versions"][0] == "ok"
    assert "claude" in seen


@pytest.mark.parametrize("listen", ["nonsense", "0.0.0.0:8788"])
def test_an_address_that_cannot_be_listened_on_is_a_failure(at_home: Path, db: Path, listen: str) -> None:
    assert checked("--offline", db=db, DEMUR_LISTEN=listen)["gateway"][0] == "fail"


def test_a_client_that_is_led_to_a_gateway_that_is_not_there_is_a_failure(at_home: Path, db: Path) -> None:
    port = free_port()
    led = {"DEMUR_LISTEN": f"127.0.0.1:{port}", "ANTHROPIC_BASE_URL": f"http://localhost:{port}"}
    assert checked("--offline", db=db, **led)["gateway"][0] == "fail"
    assert checked("--offline", db=db, **led)["ANTHROPIC_BASE_URL"][0] == "fail"
    for elsewhere in ("https://api.example.test", "http://[", "http://127.0.0.1:x"):
        led["ANTHROPIC_BASE_URL"] = elsewhere
        assert checked("--offline", db=db, **led)["gateway"][0] == "warn"
    assert checked("--offline", db=db, ANTHROPIC_BASE_URL="https://api.example.test")["ANTHROPIC_BASE_URL"][0] == "warn"


def test_a_base_url_on_this_machine_is_connected_to(at_home: Path, db: Path) -> None:
    with listener() as (port, heard):
        base = f"http://127.0.0.1:{port}"
        assert checked("--offline", db=db, ANTHROPIC_BASE_URL=base)["ANTHROPIC_BASE_URL"] == ("ok", base, "")
    assert heard == [b""]
    for base in (f"http://localhost:{free_port()}", "http://127.0.0.1:x"):
        status, found, todo = checked("--offline", db=db, ANTHROPIC_BASE_URL=base)["ANTHROPIC_BASE_URL"]
        assert (status, found) == ("fail", f"{base}, where nothing accepts connections")
        assert "start what should listen there" in todo


def test_what_listens_is_told_as_what_is_known(at_home: Path, db: Path) -> None:
    with listener() as (port, _):
        seen = checked("--offline", db=db, DEMUR_LISTEN=f"127.0.0.1:{port}")
    assert seen["gateway"] == ("ok", f"something accepts connections at 127.0.0.1:{port}", "")


def test_what_was_found_stands_in_one_column(at_home: Path, db: Path) -> None:
    environment = {"DEMUR_CAPTURE_REDACT_SECRETS": "false", "NODE_EXTRA_CA_CERTS": "/none.pem"}
    rows = demur("doctor", "--offline", db=db, **environment).stdout.splitlines()[:-2]
    starts = {re.match(r"(?:ok|warn|fail) +\S+ +| +(?=->)", row).end() for row in rows}  # type: ignore[union-attr]
    assert len(starts) == 1
    assert any("capture.redact_secrets" in row for row in rows)


def test_a_word_that_looks_like_a_regular_expression_is_told_and_not_shown(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    config.write_text(
        r"redact.deny = ['acme-\d+', '/acme-\d+/', 'a.c.m.e', 'ac[m]e', 'why?', 'c++', 'a*', '/usr+']" "\n"
    )
    seen = checked("--offline", "--config", config, db=db)
    told = {name for name in seen if name.startswith("redact.deny[")}
    assert told == {f"redact.deny[{n}]" for n in (1, 4, 5, 6, 7, 8)}
    assert seen["redact.deny[1]"][0] == "warn"
    assert "between slashes" in seen["redact.deny[1]"][2]
    assert "acme" not in json.dumps(seen)
    config.write_text("redact.deny = ['acme']\n")
    assert checked("--offline", "--config", config, db=db)["redact.deny"][1] == "1 entry, from demur.toml"


def test_credentials_are_never_printed(at_home: Path, db: Path) -> None:
    hidden = "hunter2hunter2"
    environment = {
        "ANTHROPIC_BASE_URL": f"https://me:{hidden}@example.test/x",
        "HTTPS_PROXY": f"http://me:{hidden}/x@127.0.0.1:1",
        "DEMUR_UPSTREAM": f"https://me:{hidden}@example.test",
        "DEMUR_UPSTREAM_PROXY": f"http://me:{hidden}@127.0.0.1:{free_port()}",
    }
    for arguments in (["doctor"], ["doctor", "--json"]):
        result = demur(*arguments, db=db, **environment)
        assert result.exit_code == 1
        assert hidden not in result.output
        assert "example.test" in result.output
        assert "127.0.0.1:1" in result.output
    environment["HTTPS_PROXY"] = f"me:{hidden}@127.0.0.1:1"
    assert hidden not in demur("doctor", db=db, **environment).output


def test_the_certificates_that_a_client_needs_are_looked_for(at_home: Path, db: Path) -> None:
    through = {"HTTPS_PROXY": "http://127.0.0.1:8789"}
    assert checked("--offline", db=db, **through)["HTTPS_PROXY"][0] == "warn"
    assert checked("--offline", db=db, HTTPS_PROXY="http://[")["HTTPS_PROXY"][0] == "ok"
    ca = at_home / "home" / ".mitmproxy" / "mitmproxy-ca-cert.pem"
    seen = checked("--offline", db=db, NODE_EXTRA_CA_CERTS=str(ca), **through)
    assert seen["NODE_EXTRA_CA_CERTS"][0] == "warn"
    assert seen["HTTPS_PROXY"][0] == "ok"
    assert "not there yet" in seen["certificate"][1]
    ca.parent.mkdir(parents=True)
    ca.write_text("")
    seen = checked("--offline", db=db, NODE_EXTRA_CA_CERTS=str(ca), **through)
    assert seen["NODE_EXTRA_CA_CERTS"][0] == "ok"
    assert seen["certificate"][1] == str(ca)


def test_a_bundle_without_the_certificate_of_the_proxy_on_this_machine_is_told(at_home: Path, db: Path) -> None:
    def pem(body: str) -> str:
        return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"

    ca, bundle = at_home / "home" / ".mitmproxy" / "mitmproxy-ca-cert.pem", at_home / "bundle.pem"
    ca.parent.mkdir(parents=True)
    ca.write_text(pem("b3Vy\ncw=="))
    bundle.write_text(pem("b3RoZXI="))
    given = {"NODE_EXTRA_CA_CERTS": str(bundle)}
    through = {"HTTPS_PROXY": "http://127.0.0.1:8789", **given}
    status, found, todo = checked("--offline", db=db, **through)["NODE_EXTRA_CA_CERTS"]
    assert (status, found) == ("warn", f"{bundle}, without the certificate of {ca}")
    assert f"set NODE_EXTRA_CA_CERTS={ca}" in todo
    assert checked("--offline", db=db, **given)["NODE_EXTRA_CA_CERTS"][0] == "ok"
    elsewhere = {"HTTPS_PROXY": "http://proxy.test:3128", **given}
    assert checked("--offline", db=db, **elsewhere)["NODE_EXTRA_CA_CERTS"][0] == "ok"
    bundle.write_text(pem("b3RoZXI=") + pem("b3Vycw=="))
    assert checked("--offline", db=db, **through)["NODE_EXTRA_CA_CERTS"][0] == "ok"


def test_the_store_is_looked_at_and_not_changed(at_home: Path, db: Path) -> None:
    keep(db, entry(1), Entry(lost=2))
    left = orphan(db, entry(2))
    before = db.read_bytes()
    seen = checked("--offline", db=db)
    assert seen["database"][0] == seen["writing"][0] == "ok"
    assert " kB" in seen["database"][1]
    assert seen["spools"][0] == "warn"
    assert seen["losses"][0] == "warn"
    assert left.exists()
    assert db.read_bytes() == before


@posix
def test_files_that_are_open_to_others_are_told(at_home: Path, db: Path) -> None:
    keep(db, entry(1))
    db.chmod(0o644)
    assert checked("--offline", db=db)["privacy"][0] == "warn"


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_may_write_to_is_told(at_home: Path, db: Path, mode: int) -> None:
    folder = at_home / "shared"
    folder.mkdir()
    folder.chmod(mode)
    keep(folder / "demur.db", entry(1))
    status, found, todo = checked("--offline", db=folder / "demur.db")["privacy"]
    assert status == "warn"
    assert str(folder) in found
    assert todo.startswith(f"chmod go-w {folder}")
    for well in (0o755, 0o1777):  # in a sticky folder nobody replaces the files of others
        folder.chmod(well)
        assert checked("--offline", db=folder / "demur.db")["privacy"][0] == "ok"


def broken(db: Path, how: str) -> None:
    if how == "folder":
        db.mkdir()
    elif how == "text":
        db.write_text("this is no database at all, but a text of some length\n" * 100)
    elif how == "other":
        with closing(sqlite3.connect(db)) as other:
            other.execute("create table x (a)")
    elif how == "newer":
        keep(db)
        with closing(sqlite3.connect(db, isolation_level=None)) as other:
            other.execute("update _sqlite_migrations set name = 'm999_later' where name like 'm001%'")
    else:
        keep(db, declined(request(turns=30)))
        content = bytearray(db.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        db.write_bytes(content)


@pytest.mark.parametrize("how", ["folder", "text", "other", "newer", "damaged"])
def test_a_broken_database_is_told_by_every_command_without_a_traceback(at_home: Path, db: Path, how: str) -> None:
    broken(db, how)
    assert str(db) in fails(demur("list", db=db))
    assert str(db) in fails(demur("show", "last", db=db))
    status, found, todo = checked("--offline", db=db)["database"]
    assert status == "fail"
    assert str(db) in found
    assert todo
    assert str(db) in fails(demur("db", "vacuum", db=db))


def test_a_locked_database_is_told_by_doctor(at_home: Path, db: Path) -> None:
    keep(db, entry(1))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        seen = checked("--offline", db=db)
    assert seen["database"][0] == "ok"
    assert seen["writing"] == ("fail", f"{db} is locked by another process", "try again, or end that process")


@posix
def test_a_full_disk_is_told_by_doctor(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        keep(folder / "demur.db", entry(1))
        fill(folder)
        seen = checked("--offline", db=folder / "demur.db")
    assert (seen["space"][0], seen["space"][2]) == ("fail", "free some space, or name another place with --db")


def test_a_place_where_no_database_can_be_made_is_told(
    at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.write_text("")
    seen = checked("--offline", db=db / "demur.db")
    assert "is no folder" in seen["writing"][1]
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written to" in checked("--offline", db=db.parent / "sub" / "demur.db")["writing"][1]


def test_a_check_that_fails_itself_is_a_failure_and_not_a_traceback(
    at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: object) -> Iterator[Any]:
        raise PermissionError(13, "Permission denied", "/secret/demur.db")

    monkeypatch.setattr("proxy.cli.checks.health", forbidden)
    monkeypatch.setattr("shutil.which", lambda _: 1 / 0)
    seen = checked("--offline", db=db)
    assert seen["database"][1] == "/secret/demur.db cannot be looked at: Permission denied"
    assert seen["claude"][1] == "cannot be checked: ZeroDivisionError: division by zero"


def test_a_package_that_is_missing_or_old_is_a_failure(
    at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cli.checks.PACKAGES", ("mitmproxy", "no-such-package"))
    assert checked("--offline", db=db)["versions"][0] == "fail"
    monkeypatch.setattr("proxy.cli.checks.PACKAGES", ("mitmproxy",))
    monkeypatch.setattr("proxy.cli.checks.OLDEST_MITMPROXY", (999, 0))
    assert checked("--offline", db=db)["versions"][0] == "fail"


def test_a_folder_that_may_not_be_looked_into_is_told_in_one_line(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("proxy.cli.database.Path.stat", forbidden)
    assert "check the permissions" in fails(demur("list", db=db))


CHAIN = '[[retry.fallback]]\nmodel = "claude-opus-4-8"\n[[retry.fallback]]\nmodel = "claude-opus-4-6"\n'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", "off: nothing is asked again; tool guard off"),
        ("[retry]\ntool_guard = true\n", "off: nothing is asked again; tool guard on"),
        (
            f"[retry]\nenabled = true\n{CHAIN}",
            "on: claude-opus-4-8, then claude-opus-4-6; wire auto; sticky for 60 minutes; tool guard on; routes vendor",
        ),
        (
            f'[retry]\nenabled = true\nsticky = 1\ntool_guard = false\nwire = "plain"\nroutes = "any"\n{CHAIN}',
            "on: claude-opus-4-8, then claude-opus-4-6; wire plain; sticky for 1 minute; tool guard off; routes any",
        ),
        (
            f"[retry]\nenabled = true\nsticky = false\n{CHAIN}",
            "on: claude-opus-4-8, then claude-opus-4-6; wire auto; not sticky; tool guard on; routes vendor",
        ),
        (
            '[retry]\nenabled = true\n[retry.rephrase]\nenabled = true\nstrategy = "trim"\n',
            "on: no fallback; rephrasing by trim; wire auto; not sticky; tool guard on; routes vendor",
        ),
    ],
    ids=lambda text: str(len(text)),
)
def test_what_retry_is_set_to_is_told_in_one_line(at_home: Path, db: Path, settings: str, told: str) -> None:
    config = at_home / "demur.toml"
    config.write_text(settings)
    assert checked("--offline", "--config", config, db=db)["retry"] == (
        "ok",
        f"{told}; as of the next start of demur",
        "",
    )


def test_what_an_entry_changes_is_told_with_its_model(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    config.write_text(f'[retry]\nenabled = true\n{CHAIN}max_tokens = 8000\nunset = ["temperature"]\n')
    seen = checked("--offline", "--config", config, db=db)
    told = "claude-opus-4-6 (max_tokens = 8000, without temperature)"
    assert f"claude-opus-4-8, then {told};" in seen["retry"][1]
    assert seen["retry.fallback"][1] == f"claude-opus-4-8, {told}, from demur.toml"


@pytest.mark.parametrize("when", ["before", "after"])
def test_settings_that_are_newer_than_the_demur_that_runs_are_told(at_home: Path, db: Path, when: str) -> None:
    config, folder = at_home / "demur.toml", spool_folder(db)
    config.write_text(f"[retry]\nenabled = true\n{CHAIN}")
    folder.mkdir(mode=0o700)
    with Spool.create(folder):
        os.utime(config, ns=(0, (STARTED + (1000 if when == "after" else -1000)) * 1_000_000))
        seen = checked("--offline", "--config", config, db=db)
        stands = seen["retry"][1].endswith("; as of the next start of demur")
        assert stands is (when == "after")
        assert ("running" in seen) is stands
        if stands:
            status, found, todo = seen["running"]
            assert status == "warn"
            assert found.startswith(f"{config} was changed after a demur had begun that still runs (since 20")
            assert todo.startswith("start that one again to use it")
    assert "running" not in checked("--offline", "--config", config, db=db)


def test_without_a_file_no_demur_that_runs_is_older(at_home: Path, db: Path) -> None:
    spool_folder(db).mkdir(mode=0o700)
    with Spool.create(spool_folder(db)):
        seen = checked("--offline", db=db)
    assert "running" not in seen
    assert seen["retry"][1] == "off: nothing is asked again; tool guard off"


def test_a_store_that_cannot_be_looked_at_hides_nothing_of_retry(
    at_home: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("proxy.cli.checks.health", forbidden)
    seen = checked("--offline", db=db)
    assert seen["database"][0] == "fail"
    assert seen["retry"][1].endswith("; as of the next start of demur")


def test_a_misspelt_variable_is_a_warning(at_home: Path, db: Path) -> None:
    status, found, _ = checked("--offline", db=db, DEMUR_RETRY_ENABLE="true")["settings"]
    assert status == "warn"
    assert found.endswith("did you mean DEMUR_RETRY_ENABLED?")


def test_what_has_no_effect_is_a_warning(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    config.write_text("[retry]\nenabled = true\n")
    status, found, todo = checked("--offline", "--config", config, db=db)["settings"]
    assert (status, todo) == ("warn", "change it, or leave it if that is meant")
    assert found.startswith("retry.enabled is true, but there is no [[retry.fallback]]")


def test_settings_of_retry_are_told_without_what_will_be_said_in_a_prompt(at_home: Path, db: Path) -> None:
    config = at_home / "demur.toml"
    rephrase = (
        '[retry.rephrase]\nenabled = true\nscope_note = "Our own shop."\nrestate_upstream = "http://127.0.0.1:1"\n'
    )
    config.write_text(f"[retry]\nenabled = true\nsticky = 5\n{CHAIN}{rephrase}")
    seen = checked("--offline", "--config", config, db=db)
    assert seen["retry.fallback"][1] == "claude-opus-4-8, claude-opus-4-6, from demur.toml"
    assert seen["retry.sticky"][1] == "5, from demur.toml"
    assert seen["retry.rephrase.scope_note"][1] == "13 characters, from demur.toml"
    assert seen["retry.rephrase.restate_upstream"][1] == "http://127.0.0.1:1, from demur.toml"
    assert "Our own shop" not in json.dumps(seen)
    rows = demur("doctor", "--offline", "--config", config, db=db).stdout.splitlines()[:-2]
    starts = {re.match(r"(?:ok|warn|fail) +\S+ +| +(?=->)", row).end() for row in rows}  # type: ignore[union-attr]
    assert len(starts) == 1
