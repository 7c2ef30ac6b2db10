"""A certificate authority of the tests' own, and a server's certificate by it."""

import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mitmproxy.certs import CertStore


def issue(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """The authority's PEM file, and a server context for these host names or addresses."""
    store = CertStore.from_store(folder, "tests", 2048)
    entry = store.get_cert(names[0], [_name(name) for name in names])
    pem, key = folder / "server.pem", folder / "server.key"
    pem.write_bytes(entry.cert.to_pem())
    key.write_bytes(entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    return folder / "tests-ca-cert.pem", context


def _name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
