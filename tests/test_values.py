"""What a setting may be beyond its type."""

import re
from pathlib import Path

import pytest

from proxy.settings import SettingsError, load

RESTATE = '[retry]\nenabled = true\n[retry.rephrase]\nenabled = true\nstrategy = "restate"\nrestate_model = "m"\n'
CHAIN = '[[retry.fallback]]\nmodel = "claude-opus-4-8"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "demur.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[retry]\nwire = "loud"\n', 'retry.wire is \'loud\': it must be "auto", "marked" or "plain"'),
        ('[retry]\nmid_stream = "x"\n', "retry.mid_stream is 'x'"),
        ('[retry]\nroutes = "x"\n', "retry.routes is 'x'"),
        ('[retry]\nhold = "x"\n', "retry.hold is 'x'"),
        ("[retry]\nsticky = -5\n", "retry.sticky is -5: it must be true, false, or a number of minutes"),
        ("[[retry.fallback]]\nmax_tokens = 5\n", "number 1 names no model"),
        ('[[retry.fallback]]\nmodel = ""\n', "number 1 names no model"),
        ("[retry]\nsticky = 99999999999\n", "10080 at most"),
        ("retry = true\n", "Expected `object`, got `bool`"),
        ('[retry]\nenabled = "yes"\n', "write true or false"),
        ('[retry]\nsticky = "x"\n', "write true or false, or a number of minutes"),
        ('[retry.fallback]\nmodel = "x"\n', "write [[retry.fallback]]"),
        ('[[retry.fallback]]\nmodle = "x"\n', "did you mean model for modle?"),
        (f'{CHAIN}unset = ["model"]\n', "names no model, for example"),
        (f'{CHAIN}unset = "temperature"\n', "unset is a list of names"),
        (f"{CHAIN}stream = true\n", "may not change stream"),
        (
            '[retry.rephrase]\nenabled = true\nstrategy = "restate"\nrestate_model = "m"\nrestate_upstream = "ftp://x"\n',
            "restate_upstream is not a URL",
        ),
        (
            '[retry.rephrase]\nenabled = true\nscope_note = "x"\nrestate_key_env = "sk-ant-secret"\n',
            "restate_key_env is no name of an environment variable",
        ),
        *(
            (
                f'[retry.rephrase]\nenabled = true\nstrategy = "restate"\nrestate_model = "m"\nrestate_upstream = "{url}"\n',
                "restate_upstream is not a URL",
            )
            for url in (
                "http://",
                "http://loc alhost",
                "http://h:99999",
                "http://me:key@h",
                "https://h/v1?key=1",
                "http://[",
            )
        ),
        ('[retry.rephrase]\nstrategy = "encode"\n', '"scope-note", "trim" or "restate"'),
        ("[retry.rephrase]\nenabled = true\n", "needs your own statement in retry.rephrase.scope_note"),
        ('[retry.rephrase]\nenabled = true\nstrategy = "restate"\n', "needs retry.rephrase.restate_model"),
    ],
)
def test_what_cannot_be_meant_gets_one_line(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(str(config))
    assert said in str(error.value)
    assert str(config) in str(error.value)
    assert "sk-ant" not in str(error.value)
    assert "\n" not in str(error.value)


def test_what_has_no_effect_is_a_warning(config: Path) -> None:
    config.write_text('[retry]\nenabled = true\ncategories = ["cyber", "reasoning_extraction"]\n')
    ignored, alone = load(str(config)).warnings
    assert "reasoning_extraction, which is never asked again" in ignored
    assert "only the tool guard is in force" in alone


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[retry]\nenabled = true\ncategories = ["cybre"]\n{CHAIN}', "'cybre', which is no category"),
        (f"[retry]\nenabled = true\nhold_s = 300\n{CHAIN}", "retry.hold_s is 300"),
        ('[retry.rephrase]\nenabled = true\nscope_note = "x"\n', "retry.enabled is not true"),
        (
            '[retry]\nenabled = true\n[retry.rephrase]\nenabled = true\nstrategy = "trim"\nscope_note = "x"\n',
            "scope_note is not sent",
        ),
        (f'{RESTATE}restate_key_env = "HOME"\n', "restate_key_env is not used"),
        (f'{RESTATE}restate_upstream = "http://h/v"\nrestate_key_env = "NOT_SET"\n', "is not set: no key is sent"),
        (CHAIN, "retry.enabled is not true"),
        *(
            (f"[retry]\nenabled = true\n{name} = 0\n{CHAIN}", f"retry.{name} is 0: nothing is ever asked again")
            for name in ("max_attempts", "max_per_hour", "hold_s")
        ),
        (
            '[retry]\nenabled = true\n[retry.rephrase]\nenabled = true\nscope_note = "x"\nmax_attempts = 0\n',
            "retry.rephrase.max_attempts is 0: nothing is ever rephrased",
        ),
    ],
)
def test_what_is_likely_a_slip_is_a_warning(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    (warning,) = load(str(config)).warnings
    assert said in warning


def test_where_the_environment_is_at_fault_no_file_is_blamed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("")
    monkeypatch.setenv("DEMUR_RETRY_WIRE", "loud")
    with pytest.raises(SettingsError, match=r"^retry\.wire is 'loud'"):
        load(str(config))


def test_a_part_of_a_table_that_is_none_is_left_out(config: Path) -> None:
    config.write_text(f'{CHAIN}output_config = 5\nunset = ["output_config.effort"]\n')
    assert load(str(config)).settings.retry.fallback[0]["output_config"] == {"effort": None}


def test_what_is_whole_gives_no_warning(config: Path) -> None:
    config.write_text(f"[retry]\nenabled = true\n{CHAIN}")
    assert load(str(config)).warnings == []


def test_an_entry_sets_and_unsets(config: Path) -> None:
    config.write_text(f'{CHAIN}max_tokens = 9\nunset = ["temperature", "output_config.effort"]\n')
    assert load(str(config)).settings.retry.fallback == [
        {"model": "claude-opus-4-8", "max_tokens": 9, "temperature": None, "output_config": {"effort": None}}
    ]


def test_an_entry_that_is_none_is_told(config: Path) -> None:
    config.write_text("[retry]\nfallback = [5]\n")
    with pytest.raises(SettingsError, match=r"retry\.fallback|Expected `object`"):
        load(str(config))


def test_the_environment_names_models_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("")
    monkeypatch.setenv("DEMUR_RETRY_FALLBACK", "claude-opus-4-8, claude-opus-5")
    monkeypatch.setenv("DEMUR_RETRY_STICKY", "30")
    monkeypatch.setenv("DEMUR_RETRY_CATEGORIES", "cyber,none")
    monkeypatch.setenv("DEMUR_RETRY_TOOL_GUARD", "true")
    monkeypatch.setenv("DEMUR_RETRY_REPHRASE_MAX_ATTEMPTS", "2")
    retry = load(str(config)).settings.retry
    assert retry.fallback == [{"model": "claude-opus-4-8"}, {"model": "claude-opus-5"}]
    assert (retry.sticky, retry.tool_guard, retry.rephrase.max_attempts) == (30, True, 2)
    assert retry.categories == ["cyber", "none"]


@pytest.mark.parametrize(("given", "meant"), [("true", True), ("false", False), ("0", 0)])
def test_stickiness_is_a_word_or_a_number(
    config: Path, monkeypatch: pytest.MonkeyPatch, given: str, meant: object
) -> None:
    config.write_text("")
    monkeypatch.setenv("DEMUR_RETRY_STICKY", given)
    assert load(str(config)).settings.retry.sticky == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prices.m]\nout = 5\n", "prices.m has out, which is no kind of tokens; did you mean output?"),
        ("[prices.m]\nzz = 5\n", "known are input, output, cache_read, cache_write"),
        ("[prices.m]\ninput = -1\n", "prices.m.input is -1.0"),
        ("[prices.m]\ninput = inf\n", "prices.m.input is inf"),
        ("[exemption]\napproved_on = 'soon'\n", "exemption.approved_on is 'soon': it must be a date"),
    ],
)
def test_prices_and_dates_that_cannot_be_meant_are_told(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "demur.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(str(config))


def test_an_approval_that_has_not_come_yet_is_warned_of(tmp_path: Path) -> None:
    config = tmp_path / "demur.toml"
    config.write_text("[exemption]\napproved_on = '2999-01-01'\n")
    assert "has not come yet" in load(str(config)).warnings[0]
    config.write_text("[exemption]\napproved_on = '2020-01-01'\n")
    assert load(str(config)).warnings == []
