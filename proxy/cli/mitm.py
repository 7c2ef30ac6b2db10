"""``demur mitm``: mitmproxy with the add-on, for clients that are led to it by HTTPS_PROXY.

mitmdump runs in this process and loads the add-on as a script, so that this command and ``mitmdump -s`` are the same thing. A proxy that
is set in the environment is chained.
"""

import logging
import os
import socket
import ssl
import sys
import tempfile
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from threading import Thread
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import click

from proxy.cli.inforce import stance
from proxy.cli.options import Failed, config_option, db_option, one_line_errors, warn
from proxy.settings import InForce, address, load
from schemas.settings import Settings

LISTEN = "127.0.0.1:8789"


@click.command()
@click.option(
    "--listen", metavar="HOST:PORT", default=LISTEN, help=f"Where to listen; port 0 takes a free one.  [{LISTEN}]"
)
@click.option("--upstream", metavar="URL", help="Where what is asked of the observed hosts is sent instead.")
@db_option
@config_option
@click.option("--with-parent", is_flag=True, hidden=True, help="End when stdin does.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- MITMPROXY OPTIONS]")
@one_line_errors
def mitm(
    listen: str, upstream: str | None, db: str | None, config: str | None, with_parent: bool, options: tuple[str, ...]
) -> None:
    """Run mitmproxy with demur's add-on until interrupted, for clients with HTTPS_PROXY.

    It prints one line with the variables for the client once it accepts connections. Only the API's hosts are decrypted; all others are
    tunnelled untouched. A proxy that is set in the environment is chained.

    Example: demur mitm -- -w session.flow
    """
    from proxy import logs

    logs.configure()
    in_force = load(config, {"upstream": upstream, "db": db})
    _check(in_force, *address(listen))
    if config:
        os.environ["DEMUR_CONFIG"] = str(in_force.config)
    for warning in () if with_parent else in_force.warnings:
        warn(warning)
    with _trusted(in_force.settings.upstream_ca) as trusted:
        arguments = [*_arguments(in_force, *address(listen)), *trusted, *options, "-s", _script()]
        _run(
            arguments,
            _Ready(sys.stdout, "" if with_parent else stance(in_force.settings.retry)),
            with_parent=with_parent,
        )


def _check(in_force: InForce, host: str, port: int) -> None:
    """Raises one of our own errors for what mitmproxy would find too late, or tell in too many lines."""
    from proxy.capture import watcher
    from proxy.upstream import is_loopback, origin

    watcher(in_force.settings, "mitmproxy")
    origin(in_force.settings.upstream)
    if not is_loopback(host):
        raise Failed(f"{host} is not a loopback address: demur has no authentication yet; use 127.0.0.1")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = error.strerror or error
        raise Failed(f"cannot listen on {host}:{port}: {why}; choose another with --listen") from error


def _arguments(in_force: InForce, host: str, port: int) -> list[str]:
    sets = ["termlog_verbosity=warn", "flow_detail=0", f"demur_db={in_force.db}"]
    named = in_force.settings.upstream if "upstream" in in_force.origins else None
    if named:
        sets.append(f"demur_upstream={named}")
    found = _proxy(in_force.settings, elsewhere=named is not None)
    mode = _chained(found, host, port) if found else []
    return [
        *("--listen-host", host, "--listen-port", str(port), *mode),
        *(word for one in sets for word in ("--set", one)),
    ]


def _script() -> str:
    """Where the add-on is. It is loaded last, so that it taps the streams of the user's own scripts, not they its."""
    script = find_spec("addons.refusals")
    assert script
    assert script.origin
    return script.origin


def _proxy(settings: Settings, *, elsewhere: bool) -> str:
    """The URL of the proxy to chain, or nothing. NO_PROXY counts where all that we observe is in it and goes where it was meant to."""
    if settings.upstream_proxy:
        return settings.upstream_proxy
    proxies = urllib.request.getproxies_environment()
    bypassed = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not elsewhere and all(bypassed(host, proxies) for host in settings.mitmproxy.hosts):
        return ""
    return proxies.get("https") or proxies.get("all") or ""


def _chained(url: str, host: str, port: int) -> list[str]:
    from proxy.upstream import is_loopback

    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        there = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        there = 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or not there:
        raise Failed(
            "the proxy in upstream_proxy, HTTPS_PROXY or ALL_PROXY is not http[s]://host[:port]: set another, or none"
        )
    if there == port and is_loopback(parts.hostname):
        raise Failed(
            f"HTTPS_PROXY already leads to {host}:{port}, to demur itself: unset it, or choose another with --listen"
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    mode = ["--mode", f"upstream:{parts.scheme}://{name}:{there}"]
    if parts.username:
        mode += ["--set", f"upstream_auth={unquote(parts.username)}:{unquote(parts.password or '')}"]
    return mode


@contextmanager
def _trusted(ca: str) -> Iterator[list[str]]:
    """What makes mitmproxy trust the authorities of a file beside those that it and the system trust anyway."""
    if not ca:
        yield []
        return
    import certifi

    try:
        ssl.create_default_context(cafile=ca)
        own = Path(ca).read_text("latin-1")
    except OSError as error:
        raise Failed(f"cannot read certificates from {ca}: {error.strerror or error}") from error
    system = [ssl.DER_cert_to_PEM_cert(der) for der in ssl.create_default_context().get_ca_certs(binary_form=True)]
    with tempfile.TemporaryDirectory(prefix="demur-") as folder:
        bundle = Path(folder) / "ca.pem"
        bundle.write_text("\n".join([own, certifi.contents(), *system]), "latin-1")
        yield ["--set", f"ssl_verify_upstream_trusted_ca={bundle}"]


def _run(arguments: list[str], ready: "_Ready", *, with_parent: bool) -> None:
    """mitmdump, to its end. What it prints goes to stderr."""
    from mitmproxy.options import Options
    from mitmproxy.tools import cmdline
    from mitmproxy.tools.dump import DumpMaster
    from mitmproxy.tools.main import run

    class Master(DumpMaster):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            self.addons.add(ready)  # type: ignore[no-untyped-call]
            if with_parent:
                Thread(target=_wait_for_parent, args=(self,), daemon=True).start()

    with redirect_stdout(sys.stderr):
        run(Master, cmdline.mitmdump, arguments, _filtered)


def _filtered(args: Namespace) -> dict[str, str]:
    """What mitmdump makes of its positional arguments. By now all options are known: raises ``Failed`` for a listener that is open to others."""
    from mitmproxy import ctx
    from mitmproxy.proxy.mode_specs import ProxyMode

    from proxy.upstream import is_loopback

    for spec in ctx.options.mode:
        host = ProxyMode.parse(spec).listen_host(ctx.options.listen_host)
        if not is_loopback(host):
            raise Failed(f"{host or 'that'} is not a loopback address: demur has no authentication yet")
    words = " ".join(args.filter_args or ())
    return dict.fromkeys(("save_stream_filter", "readfile_filter", "dumper_filter"), words) if words else {}


def _wait_for_parent(master: Any) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    master.shutdown()


class _Ready:
    """An add-on that prints the one line, with what a person should know beside it, and sees to it that the end is quiet."""

    def __init__(self, out: IO[str], beside: str) -> None:
        self._out, self._beside = out, beside

    def running(self) -> None:
        from mitmproxy import ctx
        from mitmproxy.addons.proxyserver import Proxyserver
        from mitmproxy.proxy.mode_specs import ReverseMode

        server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
        assert isinstance(server, Proxyserver)
        words = []
        for instance in server.servers:
            name = "ANTHROPIC_BASE_URL" if isinstance(instance.mode, ReverseMode) else "HTTPS_PROXY"
            for host, port, *_ in instance.listen_addrs[:1]:
                words.append(f"{name}=http://[{host}]:{port}" if ":" in host else f"{name}=http://{host}:{port}")
        ca = Path(ctx.options.confdir).expanduser() / "mitmproxy-ca-cert.pem"
        click.echo(" ".join(["demur is ready:", *words, f"NODE_EXTRA_CA_CERTS={quote(str(ca))}"]), file=self._out)
        self._out.flush()
        if self._beside:
            click.echo(f"demur: {self._beside}", err=True)

    def done(self) -> None:
        logging.getLogger(
            "asyncio"
        ).disabled = True  # Python 3.12 before .3 shows a traceback for each connection that is cut
