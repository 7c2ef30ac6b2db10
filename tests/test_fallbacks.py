"""What an entry of the chain may hold, what is likely a slip in it, and how it is told."""

import re
from pathlib import Path
from typing import Any

import pytest

from proxy import fallbacks
from proxy.settings import SettingsError, load
from schemas.settings import Retry

CHAIN = '[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "claude-opus-4-8"\n'


def warnings(tmp_path: Path, text: str) -> list[str]:
    config = tmp_path / "demur.toml"
    config.write_text(text)
    return load(str(config)).warnings


@pytest.mark.parametrize("name", sorted(set(Retry.__struct_fields__) - {"fallback", "rephrase"}))
def test_a_setting_of_retry_below_an_entry_is_an_error_that_says_where_it_belongs(tmp_path: Path, name: str) -> None:
    said = (
        f"retry.fallback number 1 has {name}, which is a setting of [retry]: move it above the first [[retry.fallback]]"
    )
    with pytest.raises(SettingsError, match=rf"demur\.toml: {re.escape(said)}$"):
        warnings(tmp_path, f"{CHAIN}{name} = 1\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('restate_model = "m"', "has restate_model, which is a setting of [retry.rephrase]: move it there"),
        (
            "drain_s = 5",
            "has drain_s, which is a setting outside of [retry]: move it above the first [table] of the file",
        ),
        ('unset = ["routes"]', "has routes, which is a setting of [retry]"),
    ],
)
def test_other_settings_below_an_entry_are_errors_too(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        warnings(tmp_path, f"{CHAIN}{line}\n")


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("max_token = 8000", "that demur knows; did you mean max_tokens?"),
        ("route = 1", "that demur knows; did you mean routes?"),
        ("reticulate = true", "that demur knows"),
    ],
)
def test_a_field_that_is_not_known_is_sent_with_a_warning(tmp_path: Path, line: str, end: str) -> None:
    (warning,) = warnings(tmp_path, f"{CHAIN}{line}\n")
    key = line.partition(" ")[0]
    assert warning.startswith(
        f"retry.fallback number 1 has {key}, which is sent as it is: no field of the Messages API"
    )
    assert warning.endswith(end)


def test_fields_that_are_known_give_no_warning(tmp_path: Path) -> None:
    patch = 'max_tokens = 9\ntemperature = 1\nspeed = "fast"\noutput_config = { effort = "low" }\nunset = ["top_p"]\n'
    assert warnings(tmp_path, CHAIN + patch) == []


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("claude-opus-48", "; did you mean claude-opus-4-8?"),
        ("cluade-opus-4-8", "; did you mean claude-opus-4-8?"),
        ("Claude-Sonet-5-20260101", "; did you mean claude-sonnet-5?"),
        ("claude-opus-6", ""),
        ("opus", ""),
    ],
)
def test_a_model_that_is_not_known_is_told_where_routes_would_never_permit_it(
    tmp_path: Path, model: str, meant: str
) -> None:
    text = f'[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "{model}"\n'
    (warning,) = warnings(tmp_path, text)
    assert warning.startswith(
        f'{model} is not a model that demur knows: with retry.routes = "vendor" it never takes over'
    )
    assert warning.endswith(f"from one that is{meant}")
    assert warnings(tmp_path, text.replace("true\n", 'true\nroutes = "any"\n', 1)) == []


def test_a_model_that_stands_twice_is_told(tmp_path: Path) -> None:
    again = '[[retry.fallback]]\nmodel = "claude-opus-4-8-20260528[1m]"\n'
    (warning,) = warnings(tmp_path, CHAIN + again)
    assert warning.startswith("retry.fallback names claude-opus-4-8 2 times")


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ({}, "m"),
        ({"max_tokens": 8000}, "m (max_tokens = 8000)"),
        ({"temperature": None, "speed": "fast"}, 'm (without temperature, speed = "fast")'),
        (
            {"output_config": {"effort": "low", "format": None}},
            'm (output_config.effort = "low", without output_config.format)',
        ),
        ({"mcp_servers": [{"authorization_token": "hidden"}]}, "m (mcp_servers = …)"),
        ({"thinking": {"type": "adaptive"}}, "m (thinking = …)"),
        ({"api_key": "hidden"}, "m (api_key = …)"),
        ({"inference_geo": "x" * 41}, "m (inference_geo = …)"),
    ],
)
def test_an_entry_is_told_with_what_it_changes_and_nothing_that_may_be_secret(patch: dict[str, Any], told: str) -> None:
    assert fallbacks.told({"model": "m", **patch}) == told
