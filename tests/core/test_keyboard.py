# ruff: noqa: RUF001 - letters of other scripts
"""Text on the wrong keyboard layout, and all that must not be taken for it."""

import base64
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.keyboard import Mismatch, mismatch, plausible

US = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
RUSSIAN = "ёйцукенгшщзхъфывапролджэячсмитьбю"
UKRAINIAN = "'йцукенгшщзхїфівапролджєячсмитьбю"
HEBREW = ";/'קראטוןםפ][שדגכעיחלךף,זסבהנמצתץ"


def typed(text: str, meant: str, active: str) -> str:
    """What comes out if a text for one layout is typed while another is active."""
    return text.lower().translate(str.maketrans(meant, active))


def found(text: str) -> tuple[str, str] | None:
    result = mismatch(text)
    assert result is None or 0 < result.confidence < 1
    return result and (result.meant, result.layout)


SAID_IN_RUSSIAN = [
    "привет",
    "Почини тест",
    "посмотри мой файл и исправь ошибку в тесте",
    "Почему не работает сборка проекта? Добавь, пожалуйста, проверку на пустое значение",
    "найди где вызывается эта функция и перепиши её без рекурсии",
]
SAID_IN_ENGLISH = [
    "hello",
    "please look at my file and fix the bug",
    "why does the build fail",
    "Add a test for the empty value",
    "commit and push the branch",
]
PLAIN = {
    "German": "Bitte schau dir meine Datei an und behebe den Fehler im Test, der gestern noch funktioniert hat.",
    "French": "Regarde mon fichier et corrige l'erreur dans le test, s'il te plaît. Je ne comprends pas pourquoi.",
    "Polish": "Proszę popraw ten test jednostkowy i wyjaśnij, dlaczego wcześniej przechodził na starszych przeglądarkach.",
    "Turkish": "Lütfen bu testi düzelt ve dosyayı kaydet. Kullanıcılar giriş yaptıktan sonra boş bir sayfa görüyor.",
    "Hungarian": "Kérlek javítsd ki ezt a tesztet, és magyarázd el, miért nem működik.",
    "Finnish": "Korjaa tämä testi ja selitä, miksi se ei toimi kirjautumisen jälkeen.",
    "Vietnamese": "Hãy sửa bài kiểm tra này và giải thích tại sao nó không chạy.",
    "Welsh": "Trwsiwch y prawf hwn ac esboniwch pam nad yw'n gweithio.",
    "Pinyin": "qing bang wo xiu gai zhe ge wen jian, wo bu zhi dao wei shen me ce shi shi bai le",
    "Bulgarian": "Моля, поправи този тест и обясни защо не работи след последната промяна",
    "Serbian": "Молим те, исправи овај тест и објасни зашто не ради",
    "Greek": "Παρακαλώ διόρθωσε αυτό το τεστ και εξήγησε γιατί δεν δουλεύει",
    "Greeklish": "se parakalw diorthwse auto to test kai pes mou giati den doulevei",
    "identifiers": "qwerty asdfgh zxcvbn kubectl grpc mtls nginx pytest tb_next sys.argv ctx pkg fn",
    "code": "for k, v in cfg.items():\n    tb = tb.tb_next\n    buf[-1] = (buf[-1][0], c)\n    if (hwnd) { kb(); }",
    "hexadecimal": "deadbeef cafebabe 7f454c46 0fb3e0000fb3f",
    "mashed keys": "asdfasdfjklöasdf",
    "regular expression": r"^(?:[a-z]+|[^;']{2,})$",
    "nothing": "",
    "Chinese": "请帮我看看这个文件",
}  # fmt: skip


@pytest.mark.parametrize("text", SAID_IN_RUSSIAN)
def test_russian_on_a_us_layout_is_found_and_not_in_its_own(text: str) -> None:
    assert found(typed(text, RUSSIAN, US)) == ("Russian", "US")
    assert found(text) is None


@pytest.mark.parametrize("text", SAID_IN_ENGLISH)
@pytest.mark.parametrize(("name", "layout"), [("Russian", RUSSIAN), ("Ukrainian", UKRAINIAN), ("Hebrew", HEBREW)])
def test_english_on_another_layout_is_found_and_not_in_its_own(text: str, name: str, layout: str) -> None:
    meant, active = found(typed(text, US, layout)) or ("", "")
    assert meant == "English"
    # the Russian and the Ukrainian layout differ in four keys: a text without these is of either
    assert active in ({name} if name == "Hebrew" else {"Russian", "Ukrainian"})
    assert found(text) is None


@pytest.mark.parametrize("text", ["привіт", "чому не працює збірка проєкту", "додай перевірку на порожнє значення"])
def test_ukrainian_on_a_us_layout_is_found(text: str) -> None:
    assert found(typed(text, UKRAINIAN, US)) == ("Ukrainian", "US")
    assert found(text) is None


@pytest.mark.parametrize("text", ["תסתכל על הקובץ שלי ותקן את הבאג", "תוסיף בדיקה לערך ריק בבקשה", "מה קורה כאן"])
def test_hebrew_on_a_us_layout_is_found(text: str) -> None:
    assert found(typed(text, HEBREW, US)) == ("Hebrew", "US")
    assert found(text) is None


def test_capital_letters_are_keys_too() -> None:
    assert found("GHBDTN") == ("Russian", "US")
    assert found("{JHJIJ? E;T KEXIT? XNJ 'NJ"[:10] + " xnj 'nj nfrjt") == ("Russian", "US")


@pytest.mark.parametrize("name", PLAIN)
def test_what_was_typed_on_its_own_layout_is_left_alone(name: str) -> None:
    assert found(PLAIN[name]) is None


@pytest.mark.parametrize("text", SAID_IN_RUSSIAN[2:])
def test_wrong_text_between_code_is_found_and_a_wrong_line_in_a_long_text_is_not(text: str) -> None:
    wrong = typed(text, RUSSIAN, US)
    assert found(f"{wrong}\n```\nprint('the quick brown fox jumps over the lazy dog')\n```") == ("Russian", "US")
    assert found(f"{wrong}\n" + "\n".join(SAID_IN_ENGLISH * 3)) is None


def test_noise_is_no_layout() -> None:
    dice = random.Random(7)
    texts = [base64.b64encode(dice.randbytes(dice.choice([20, 60, 600]))).decode() for _ in range(200)]
    texts += ["".join(dice.choices(string.ascii_lowercase, k=40)) for _ in range(200)]
    assert sum(found(text) is not None for text in texts) == 0


def test_a_longer_text_is_surer() -> None:
    short, long = (mismatch(typed(text, RUSSIAN, US)) for text in (SAID_IN_RUSSIAN[0], SAID_IN_RUSSIAN[3]))
    assert short == Mismatch("Russian", "US", 0.6)
    assert long
    assert long.confidence > 0.8


def test_pairs_of_letters_tell_words_from_a_jumble() -> None:
    n, usual = plausible("Bitte schau dir meine Datei an, ąę")
    assert (n, usual > 0.9) == (20, True)
    assert plausible("xqzvk wplfj qnbzt hgwrk")[1] < 0.4
    assert plausible("") == (0, 0.0)


@given(st.text(alphabet=st.sampled_from(US + RUSSIAN + HEBREW + ' \n{}:"<>~`ABCЖ1')) | st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    found(text)
    plausible(text)
