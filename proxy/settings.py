"""The settings in force, and where each comes from: flag over environment over ``demur.toml`` over default.

The environment names a setting ``DEMUR_LISTEN``, and one in a table ``DEMUR_CAPTURE_CONTENT``; a list is separated by commas.
"""

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from proxy.fallbacks import entry
from proxy.revision import revision
from proxy.values import LISTS, OPEN, checked
from schemas.settings import Settings

OTHERS = frozenset("DEMUR_AUTHOR DEMUR_CONFIG DEMUR_CLAUDE DEMUR_CLAUDE_TAP DEMUR_E2E DEMUR_KILLS DEMUR_PYTHON".split())
"""Variables of ours that are no settings; the last five are those of our own tests and scripts."""


class SettingsError(Exception):
    """A setting cannot be used; the message says which, where it stands, and what is wrong, in one line."""


class InForce(msgspec.Struct, kw_only=True):
    """The settings, with their origins."""

    settings: Settings
    config: Path
    """Where ``demur.toml`` is, or would be."""
    origins: dict[str, str]
    """``capture.content`` -> ``environment``, ``demur.toml`` or ``flag``; what is absent is a default."""
    warnings: list[str] = []
    """What has no effect as it stands."""
    revision: str = ""
    """Of the file that was read."""

    @property
    def db(self) -> Path:
        """The database file."""
        return Path(self.settings.db).expanduser() if self.settings.db else data_folder() / "demur.db"


def config_folder() -> Path:
    """The user's config folder for demur."""
    return _folder("XDG_CONFIG_HOME", ".config", "APPDATA")


def data_folder() -> Path:
    """The user's data folder for demur."""
    return _folder("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")


def load(config: str | None = None, flags: Mapping[str, Any] | None = None) -> InForce:
    """The settings in force. ``flags``: setting -> value, None where not given. Raises ``SettingsError``."""
    named = config or os.environ.get("DEMUR_CONFIG")
    path = Path(named).expanduser() if named else config_folder() / "demur.toml"
    read = revision(path)
    layers = [
        ("demur.toml", _file(path, required=bool(named))),
        ("environment", _environment()),
        ("flag", _given(flags)),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in _flat(layer).items():
            _put(merged, name, value)
            origins[name] = origin
    settings = _settings(merged, path, origins)
    try:
        warnings = checked(settings)
    except ValueError as error:
        raise SettingsError(f"{_source(str(error).split()[0].rstrip(':'), path, origins)}{error}") from error
    warnings += _strange()
    return InForce(settings=settings, config=path, origins=origins, warnings=warnings, revision=read)


def address(listen: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[v6]:PORT`` as a host and a port. Raises ``SettingsError``."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        msg = f"listen address {listen!r} is not HOST:PORT, for example 127.0.0.1:8788"
        raise SettingsError(msg)
    return host.strip("[]") or "127.0.0.1", int(port)


def _folder(variable: str, below_home: str, windows: str) -> Path:
    if (given := os.environ.get(variable)) and Path(given).is_absolute():
        return Path(given) / "demur"
    if sys.platform == "win32" and (roaming := os.environ.get(windows)):
        return Path(roaming) / "demur"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "demur"
    return Path.home() / below_home / "demur"


def _file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if not required:
            return {}
        msg = f"there is no config file {path}"
        raise SettingsError(msg) from error
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise SettingsError(msg) from error
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
        raise SettingsError(msg) from error


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in _names().items():
        if name not in OPEN and (value := os.environ.get(_variable(name))) is not None:
            is_list = field.encode_name in LISTS
            _put(found, name, [part.strip() for part in value.split(",") if part.strip()] if is_list else value)
    return found


def _variable(name: str) -> str:
    return "DEMUR_" + name.replace(".", "_").upper()


def _strange() -> Iterator[str]:
    """Variables that look like ours and are not."""
    ours = {*OTHERS, *(_variable(name) for name in _names() if name not in OPEN)}
    for name in sorted(os.environ):
        if name.startswith("DEMUR_") and name not in ours:
            close = get_close_matches(name, sorted(ours), n=1, cutoff=0.8)
            yield f"{name} is set, and is no variable that demur knows{f'; did you mean {close[0]}?' if close else ''}"


def _names(table: type[msgspec.Struct] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    names = {}
    for field in fields(table):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            names.update(_names(field.type, f"{prefix}{field.name}."))
        else:
            names[prefix + field.name] = field
    return names


def _given(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (flags or {}).items() if value is not None}


def _flat(layer: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in layer.items():
        if isinstance(value, dict) and prefix + name not in OPEN:
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *tables, last = name.split(".")
    for table in tables:
        tree = tree.setdefault(table, {})
    tree[last] = value


def _settings(merged: dict[str, Any], path: Path, origins: Mapping[str, str]) -> Settings:
    retry = merged.get("retry")
    if isinstance(retry, dict) and isinstance(chain := retry.get("fallback"), list):
        retry["fallback"] = [entry(given) for given in chain]
    try:
        settings = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        msg = f"{_where(str(error), path, origins)}: {error}{_meant(str(error))}"
        raise SettingsError(msg) from error
    return settings


def _meant(said: str) -> str:
    """A setting whose name is like the unknown one that msgspec complains of."""
    if said.endswith("`$.retry.fallback`") and "got `object`" in said:
        return "; write [[retry.fallback]]"
    if "Expected `bool" in said:
        return "; write true or false" + (", or a number of minutes" if "int`" in said else "")
    unknown = said.partition("unknown field `")[2].partition("`")[0]
    if not unknown:
        return ""
    table = said.partition(" - at `$.")[2].rstrip("`")
    names = [*_names(), *(name.rpartition(".")[0] for name in _names())]
    close = get_close_matches(f"{table}.{unknown}".lstrip("."), names, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _source(name: str, path: Path, origins: Mapping[str, str]) -> str:
    """The file that a setting stands in, before a complaint about it; nothing where it stands elsewhere."""
    return f"{path}: " if origins.get(name, "demur.toml") == "demur.toml" else ""


def _where(said: str, path: Path, origins: Mapping[str, str]) -> str:
    """Which source a complaint is about, from the path in msgspec's message (`` - at `$.capture.content` ``)."""
    name = said.partition("`$.")[2].partition("`")[0]
    origin = origins.get(name, "demur.toml")
    if origin == "environment":
        return _variable(name)
    return f"--{name.replace('_', '-')}" if origin == "flag" else str(path)
