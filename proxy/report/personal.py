"""What is known of this machine and of who works at it, so that it does not leave: nothing is sent for it, and what fails is left out.

The name and address of git, the name of the account, the home folder, the name of the host, and the credentials of the environment.
"""

import getpass
import os
import platform
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from proxy.core.known import Known
from proxy.core.passwords import looks_chosen

API = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""Variables of the environment that hold secrets of the API."""
CREDENTIALS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY")
"""How the names of variables end that hold a secret, of whatever maker."""
_LEAST = 8
"""Characters of such a secret; a shorter one may be any word."""
_WAIT = 3.0


class Machine(NamedTuple):
    """What a template asks of the machine that a report is made on."""

    system: str
    terminal: str


def known(environment: Mapping[str, str] = os.environ) -> Known:
    """All that is known. ``environment``: where variables are looked for."""
    git = {name: _git(name) for name in ("user.name", "user.email", "github.user")}
    accounts = [_account(), environment.get("USER", ""), environment.get("USERNAME", ""), git["github.user"]]
    home = _home()
    host = socket.gethostname()
    return Known(
        names=_told(git["user.name"]),
        accounts=_told(*accounts, Path(home).name),
        emails=_told(git["user.email"], environment.get("EMAIL", "")),
        homes=_told(home, environment.get("HOME", ""), environment.get("USERPROFILE", "")),
        hosts=_told(host, host.partition(".")[0], environment.get("HOSTNAME", "")),
        secrets=_told(*_credentials(environment)),
    )


def machine(environment: Mapping[str, str] = os.environ) -> Machine:
    """This machine in the words of the templates."""
    return Machine(_system(), _terminal(environment))


def _told(*values: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _credentials(environment: Mapping[str, str]) -> Iterator[str]:
    """The API's, and those of others whose value is no plain word, path or number."""
    for name, value in environment.items():
        told = len(value) >= _LEAST and looks_chosen(value) and not value.startswith("/") and not value.isdecimal()
        if name in API or (told and name.upper().endswith(CREDENTIALS)):
            yield value


def _git(name: str) -> str:
    """A setting of git's, or nothing."""
    with suppress(OSError, subprocess.SubprocessError, UnicodeError):
        asked = ["git", "config", "--get", name]
        return subprocess.run(asked, capture_output=True, check=False, text=True, timeout=_WAIT).stdout.strip()
    return ""


def _account() -> str:
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""


def _home() -> str:
    with suppress(OSError, RuntimeError):
        return str(Path.home())
    return ""


def _system() -> str:
    system = platform.system()
    if system == "Linux":
        with suppress(OSError):
            release = platform.freedesktop_os_release()
            families = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
            return "Ubuntu/Debian Linux" if families & {"ubuntu", "debian"} else "Other Linux"
        return "Other Linux"
    return {"Darwin": "macOS", "Windows": "Windows"}.get(system, "Other")


_TERMINALS = {
    "Apple_Terminal": "Terminal.app (macOS)",
    "WarpTerminal": "Warp",
    "iTerm.app": "iTerm2",
    "vscode": "VS Code integrated terminal",
}


def _terminal(environment: Mapping[str, str]) -> str:
    if environment.get("WT_SESSION"):
        return "Windows Terminal"
    if environment.get("WSL_DISTRO_NAME"):
        return "WSL (Windows Subsystem for Linux)"
    if environment.get("CI"):
        return "Non-interactive/CI environment"
    return _TERMINALS.get(environment.get("TERM_PROGRAM", ""), "Other")
