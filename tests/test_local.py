"""Nothing leaves the machine but the upstream request. Who can connect at all stands in test_packaging; here commands run that must not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from commands import declined, keep, request

ROOT = Path(__file__).parent.parent

GUARD = """
import sys

def guard(event, told):
    here = {"127.0.0.1", "::1", "localhost"}
    if event in FORBIDDEN and where(event, told) not in here:
        raise SystemExit(f"something would leave the machine: {event} {told}")
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn") and list(told[1])[:2] != ["git", "config"]:
        raise SystemExit(f"another program is called: {told}")

def where(event, told):
    if event == "socket.connect":
        return told[1][0] if isinstance(told[1], tuple) else "localhost"
    return told[0]

FORBIDDEN = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto", "socket.sendmsg",
    "http.client.connect", "urllib.Request", "webbrowser.open", "smtplib.connect", "ftplib.connect",
}
sys.addaudithook(guard)
from proxy.cli import main
main(sys.argv[1:])
"""
"""A command in a Python that ends where it would reach anyone, or call another program than ``git config``."""


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARD, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "ANTHROPIC_API_KEY": "sk-ant-api03-" + "k" * 40},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


REPORTS = [["report", "last", "--yes", "--as", form] for form in ("issue", "behavior", "mail", "exhibit", "json")]
OTHERS = [
    ["list"],
    ["show", "last", "--content"],
    ["search", "file"],
    ["stats", "--by", "month", "--plot", "chart.svg"],
    ["label", "last", "--verdict", "false_positive", "--author", "me"],
    ["retry", "--explain", "last"],
    ["export", "--level", "full", "--format", "html", "-o", "page.html"],
    ["import", "transcripts"],
    ["report", "mark", "last", "https://github.com/anthropics/claude-code/issues/1"],
    ["report", "--check", "own.txt"],
    ["doctor", "--offline"],
    ["db", "verify"],
]


@pytest.mark.parametrize("arguments", [*REPORTS, *OTHERS], ids=lambda arguments: " ".join(arguments[:5]))
def test_what_is_written_for_a_person_is_sent_to_nobody(arguments: list[str], tmp_path: Path) -> None:
    db = tmp_path / "demur.db"
    keep(db, declined(request()))
    (tmp_path / "own.txt").write_text("Hello.\n")
    (tmp_path / "transcripts").mkdir()
    end = _run([*arguments, "--db", str(db)], tmp_path)
    assert end.returncode in (0, 1), end.stderr
    assert "Traceback" not in end.stderr
    assert "leave the machine" not in end.stderr
    assert "another program" not in end.stderr


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("import urllib.request; urllib.request.urlopen('http://192.0.2.1:9')", "something would leave the machine"),
        ("import socket; socket.create_connection(('192.0.2.1', 9))", "something would leave the machine"),
        ("import subprocess; subprocess.run(['xdg-open', 'http://192.0.2.1'])", "another program is called"),
    ],
)
def test_the_guard_of_these_tests_stops_what_would_leave(does: str, said: str, tmp_path: Path) -> None:
    code = GUARD.partition("from proxy.cli")[0] + does
    end = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert end.returncode == 1
    assert said in end.stderr


def test_the_demo_reaches_nobody_whatever_proxy_the_settings_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        proxy = f"http://127.0.0.1:{somebody.getsockname()[1]}"
        end = subprocess.run(
            [sys.executable, "-m", "proxy.cli", "demo"],
            cwd=ROOT,
            env=os.environ | {"DEMUR_UPSTREAM_PROXY": proxy, "DEMUR_UPSTREAM_CA": str(tmp_path / "none.pem")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        somebody.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody.accept()
    assert end.returncode == 0, end.stderr
    assert "-> refusal" in end.stdout
