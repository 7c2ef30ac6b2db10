"""The settings in force: flag over environment over file over default, and one clear line for what cannot be used."""

import re
import sys
from pathlib import Path

import pytest

from proxy import settings
from proxy.settings import SettingsError, address, config_folder, data_folder, load


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "demur.toml"


def test_without_anything_the_defaults_hold() -> None:
    in_force = load()
    assert in_force.settings.listen == "127.0.0.1:8788"
    assert in_force.settings.upstream == "https://api.anthropic.com"
    assert in_force.settings.mitmproxy.hosts == ["api.anthropic.com"]
    assert in_force.db == data_folder() / "demur.db"
    assert in_force.config == config_folder() / "demur.toml"
    assert in_force.origins == {}


def test_a_flag_outweighs_the_environment_which_outweighs_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(
        'listen = "127.0.0.1:1"\nupstream = "http://file"\ndb = "~/file.db"\n[capture]\ncontent = "none"\n'
    )
    monkeypatch.setenv("DEMUR_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("DEMUR_UPSTREAM", "http://environment")
    in_force = load(str(config), {"listen": "127.0.0.1:3", "upstream": None})
    assert in_force.settings.listen == "127.0.0.1:3"
    assert in_force.settings.upstream == "http://environment"
    assert in_force.settings.capture.content == "none"
    assert in_force.db == Path.home() / "file.db"
    assert in_force.origins == {
        "listen": "flag",
        "upstream": "environment",
        "db": "demur.toml",
        "capture.content": "demur.toml",
    }


def test_the_environment_reaches_into_tables_and_lists(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("")
    monkeypatch.setenv("DEMUR_CONFIG", str(config))
    monkeypatch.setenv("DEMUR_CAPTURE_RETENTION_DAYS", "7")
    monkeypatch.setenv("DEMUR_CAPTURE_REDACT_SECRETS", "false")
    monkeypatch.setenv("DEMUR_MITMPROXY_HOSTS", "a.example, b.example,")
    in_force = load()
    assert in_force.config == config
    assert in_force.settings.capture.retention_days == 7
    assert in_force.settings.capture.redact_secrets is False
    assert in_force.settings.mitmproxy.hosts == ["a.example", "b.example"]


def test_prices_and_an_exemption_are_their_owners(config: Path) -> None:
    config.write_text(
        "[prices.'us.anthropic.claude-opus-5']\ninput = 5\ncache_write = 6.25\n[exemption]\napproved_on = '2026-10-01'\n"
    )
    settings = load(str(config)).settings
    assert settings.prices == {"us.anthropic.claude-opus-5": {"input": 5.0, "cache_write": 6.25}}
    assert settings.exemption.approved_on == "2026-10-01"
    assert load(str(config)).origins["prices"] == "demur.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen = ", "demur.toml is not TOML"),
        ("lisen = 'x'", "demur.toml: Object contains unknown field `lisen`"),
        ("[capture]\nkontent = 'x'", "demur.toml: Object contains unknown field `kontent`"),
        ("[capture]\ncontent = 'all'", "capture.content is 'all'"),
        ("[capture]\nretention_days = 'x'", "demur.toml: Expected `int`, got `str` - at `$.capture.retention_days`"),
        ("max_body_mb = 0", "Expected `int` >= 1"),
        ("[capture]\nretention_days = -1", "Expected `int` >= 0 - at `$.capture.retention_days`"),
        ("capture = 3", "demur.toml: Expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(str(config))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_source_of_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUR_MAX_BODY_MB", "much")
    with pytest.raises(SettingsError, match=r"^DEMUR_MAX_BODY_MB: Expected `int`"):
        load()
    monkeypatch.delenv("DEMUR_MAX_BODY_MB")
    with pytest.raises(SettingsError, match=r"^--drain-s: Expected `int`"):
        load(None, {"drain_s": "long"})


def test_a_named_file_must_be_there_and_readable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no config file"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"cannot read .*: Is a directory"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:8788", "::1", 8788),
        ("localhost:80", "localhost", 80),
        (":9", "127.0.0.1", 9),
    ],
)
def test_an_address_is_a_host_and_a_port(listen: str, host: str, port: int) -> None:
    assert address(listen) == (host, port)


@pytest.mark.parametrize("listen", ["", "8788", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1"])
def test_what_is_no_address_is_told(listen: str) -> None:
    with pytest.raises(SettingsError, match="is not HOST:PORT"):
        address(listen)


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".config/demur"), ("darwin", "Library/Application Support/demur"), ("win32", "R/demur")],
)
def test_each_system_has_its_place(platform: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("APPDATA", str(Path.home() / "R"))
    monkeypatch.setattr(settings, "sys", type("system", (), {"platform": platform}))
    assert config_folder() == Path.home() / folder
    assert sys.platform


def test_a_misspelt_setting_gets_a_suggestion(config: Path) -> None:
    config.write_text("[retry]\nenabld = true\n")
    with pytest.raises(SettingsError, match=r"unknown field `enabld`.*did you mean retry\.enabled\?"):
        load(str(config))
    config.write_text("zzz = 1\n")
    with pytest.raises(SettingsError, match=r"unknown field `zzz`$"):
        load(str(config))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEMUR_RETRY_ENABLE", "; did you mean DEMUR_RETRY_ENABLED?"),
        ("DEMUR_UPSTRAEM", "; did you mean DEMUR_UPSTREAM?"),
        ("DEMUR_CONFG", "; did you mean DEMUR_CONFIG?"),
        ("DEMUR_PRICES", ""),
        ("DEMUR_WHATEVER", ""),
    ],
)
def test_a_variable_that_only_looks_like_ours_is_a_warning(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "sk-hidden")
    assert load().warnings == [f"{name} is set, and is no variable that demur knows{meant}"]


def test_every_variable_that_is_read_here_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    read = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()"(DEMUR_[A-Z0-9_]+)|\$\{(DEMUR_[A-Z0-9_]+)""")
    root = Path(__file__).parent.parent
    files = [
        *(root / "script").iterdir(),
        *(file for name in ("proxy", "tests") for file in (root / name).rglob("*.py")),
    ]
    texts = [file.read_text("utf-8") for file in files if file.is_file()]
    names = {one or other for text in texts for one, other in read.findall(text)}
    assert {"DEMUR_AUTHOR", "DEMUR_PYTHON"} < names
    values = {"DEMUR_CONFIG": "/dev/null", "DEMUR_MAX_BODY_MB": "8", "DEMUR_UPSTREAM": "http://h"}
    for name in names:
        monkeypatch.setenv(name, values.get(name, "1"))
    assert load().warnings == []


def test_the_revision_is_that_of_what_was_read(config: Path) -> None:
    config.write_text("")
    read = load(str(config)).revision
    assert read == load(str(config)).revision != ""
    config.write_text("drain_s = 1\n")
    assert load(str(config)).revision not in {read, ""}
    assert load().revision == ""
