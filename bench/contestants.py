"""Who is measured, and how each is started. A contestant that is not there, or does not answer, is skipped and said so."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from bench.usage import tree

ROOT = Path(__file__).resolve().parent.parent
NGINX = "/usr/sbin/nginx"
DEMUR = "{python} -m proxy.cli up --listen 127.0.0.1:{port} --upstream {upstream} --db {folder}/demur.db"
MITM = "{bin}/mitmdump -q --listen-host 127.0.0.1 --listen-port {port} --mode reverse:{upstream} --set confdir={folder}"
MITM_DEMUR = MITM + " -s {root}/addons/refusals.py --set demur_db={folder}/demur.db --set demur_hosts=127.0.0.1"
NGINX_CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream api {{ server {address}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off;
    }}
  }}
}}
"""


class AbsentError(Exception):
    """A contestant cannot take part; the message says why."""


class Contestant(Struct, frozen=True):
    """A name, and the command to start it as a template of {port}, {upstream}, {folder}...; an empty one is no proxy."""

    name: str
    command: str = ""
    needs: str = ""
    """A file without which it is skipped."""
    extra: bool = False
    """Takes part only when it is named."""


class Running(Struct):
    """A contestant that answers."""

    port: int
    pids: list[int]
    """Its processes."""


def contestants(demur: str = DEMUR, mitm_demur: str = MITM_DEMUR) -> list[Contestant]:
    """All of them, in the order of the table."""
    return [
        Contestant("direct"),
        Contestant("nginx", NGINX + " -e {folder}/error.log -p {folder} -c {folder}/nginx.conf", NGINX),
        Contestant("raw", "{python} -m bench.raw {port} {upstream}"),
        Contestant("naive", "{python} -m bench.naive {port} {upstream}"),
        Contestant("naive-read", "{python} -m bench.naive {port} {upstream} read", extra=True),
        Contestant("demur", demur),
        Contestant("mitm-trivial", MITM + " -s {root}/bench/trivial.py", "{bin}/mitmdump"),
        Contestant("mitm-demur", mitm_demur, "{root}/addons/refusals.py"),
    ]


@contextlib.contextmanager
def started(contestant: Contestant, upstream_port: int, folder: Path) -> Iterator[Running]:
    """Runs it in `folder`, afresh, and ends it. Raises AbsentError when it is not there or does not come up in 20 seconds."""
    if not contestant.command:
        yield Running(upstream_port, [])
        return
    port = _free_port()
    fill = _filler(port, upstream_port, folder)
    if contestant.needs and not Path(fill(contestant.needs)).exists():
        raise AbsentError(f"{fill(contestant.needs)} is not there")
    (folder / "nginx.conf").write_text(fill(NGINX_CONF))
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            shlex.split(fill(contestant.command)), cwd=ROOT, env=private(folder), stdout=output, stderr=output
        )
        try:
            _wait(process, port, folder / "output")
            yield Running(port, tree(process.pid))
        finally:
            _end(process)


def _filler(port: int, upstream_port: int, folder: Path) -> Callable[[str], str]:
    address = f"127.0.0.1:{upstream_port}"
    values = {
        "port": port,
        "upstream": f"http://{address}",
        "address": address,
        "folder": folder,
        "root": ROOT,
        "python": sys.executable,
        "bin": Path(sys.executable).parent,
        "user": "user root;" if os.geteuid() == 0 else "",
    }
    return lambda template: template.format(**values)


def private(folder: Path) -> dict[str, str]:
    """An environment in which `folder` is the home, and nothing of the person's own settings is left."""
    own = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    settings = {
        key: value for key, value in os.environ.items() if not key.startswith("DEMUR_") and "proxy" not in key.lower()
    }
    return settings | own


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AbsentError(f"it ended with {process.returncode}: {_last_line(output)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AbsentError(f"it did not listen within 20 seconds: {_last_line(output)}")


def _last_line(output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
