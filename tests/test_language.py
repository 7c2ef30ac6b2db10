# ruff: noqa: RUF001 - letters of other scripts
"""The optional extra that tells languages apart."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import language
from proxy.language import detector

pytest.importorskip("py3langid")

SAID = {
    "en": "Please refactor this function so that it returns a list",
    "de": "Bitte schau dir meine Datei an und behebe den Fehler",
    "fr": "Regarde mon fichier et corrige le test qui échoue",
    "ru": "Посмотри мой файл и исправь ошибку в тесте",
    "pl": "Popraw proszę ten test jednostkowy",
    "tr": "Lütfen bu testi düzelt ve dosyayı kaydet",
    "hu": "Kérlek javítsd ki ezt a tesztet",
}


@pytest.mark.parametrize("name", SAID)
def test_the_languages_that_people_complained_in_are_told_apart(name: str) -> None:
    detect = detector()
    assert detect
    found = detect(SAID[name])
    assert found
    assert found[0] == name
    assert 0.5 <= found[1] <= 1


def test_where_it_is_unsure_it_says_nothing() -> None:
    detect = detector()
    assert detect
    assert detect("") is None
    assert detect("asdf qwer zxcv hjkl uiop nmbv") is None
    assert detect("1234 5678") is None


def test_it_is_loaded_when_the_first_text_comes() -> None:
    code = (
        "import sys; from proxy.language import detector; d = detector(); assert 'py3langid' not in sys.modules, 'early'; "
        "assert 'numpy' not in sys.modules; d('Please look at my file'); assert 'py3langid' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_there_is_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "find_spec", lambda name: None)
    assert detector() is None


def test_a_detector_that_cannot_be_loaded_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ImportError("numpy is of another machine")

    monkeypatch.setattr(language, "_load", broken)
    detect = detector()
    assert detect
    assert detect("Please look at my file") is None


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    detect = DETECT
    assert detect
    found = detect(text + "\ud83d")
    assert found is None or (found[0].isalpha() and found[1] <= 1)


DETECT = detector()
