"""Where the person's own mitmproxy listens. Its default is every address of the machine; demur's is loopback, so it says what to do."""

from mitmproxy.options import Options
from mitmproxy.proxy.mode_specs import ProxyMode

from proxy.upstream import is_loopback

_NO_PORT_FOR_CLIENTS = frozenset({"local", "wireguard", "tun"})
"""Modes that take a machine's own traffic, or have keys of their own (mitmproxy 12, "Proxy Modes")."""


def exposed(options: Options) -> str | None:
    """A line for the log where others on the network can use this proxy, and so what it decrypts; None where they cannot."""
    if not options.server or getattr(options, "proxyauth", None) not in (None, "", "any"):
        return None
    modes = [ProxyMode.parse(mode) for mode in options.mode]
    hosts = [mode.listen_host(options.listen_host) for mode in modes if mode.type_name not in _NO_PORT_FOR_CLIENTS]
    host = next((host for host in hosts if not is_loopback(host)), None)
    if host is None:
        return None
    return f"mitmproxy listens on {host or 'every address of this machine'}: start it with --listen-host 127.0.0.1"
