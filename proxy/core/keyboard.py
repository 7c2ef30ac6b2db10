# ruff: noqa: RUF001, RUF002 - letters of other scripts
"""Text that was typed on another keyboard layout than its writer thought: ``ghbdtn`` for ``привет``, ``руддщ`` for ``hello``.

Each key gives one letter on each layout, so the text can be read as it was meant. What tells the two readings apart is how
letters follow each other: the pairs in these tables make up more than four fifths of the pairs of a language, and less than half
of those of a jumble. A line was typed on the wrong layout if few of its pairs are usual as it stands, and most are as it may
have been meant; a short line, if words that everybody uses come out. The tables are short lists, made by hand. That
of the Latin script is for several languages at once, so that no German, Polish or Turkish is taken for a jumble.

Greek is left out: its layout follows the sound of the Latin letters, so that both readings look alike.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from unicodedata import normalize

from proxy.core.script import aside

_US = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
_LAYOUTS = {
    "Russian": "ёйцукенгшщзхъфывапролджэячсмитьбю",
    "Ukrainian": "'йцукенгшщзхїфівапролджєячсмитьбю",
    "Hebrew": ";/'קראטוןםפ][שדגכעיחלךף,זסבהנמצתץ",
}
_PUNCTUATION = ",.;'`"
_SHIFTED = str.maketrans('~{}:"<>', "`[];',.")


def _pairs(table: str) -> frozenset[str]:
    """Of rows such as ``а: в д``: the pairs ``ав`` and ``ад``, of ``а: вд`` as well."""
    rows = (row.split(":") for row in table.split())
    return frozenset(first + second for first, seconds in rows for second in seconds)


LATIN = _pairs("""
    a:bcdgiklmnpqrstuvwyz b:aeilorsu c:aehikloqrstuyz d:aeiorstuyz e:abcdefgijklmnoprstuvwxyz f:aefiloru g:aehilnorstuy
    h:aeinortuy i:abcdefgklmnoprstvzx j:aeou k:aeiklnorstuy l:adeiklmostuvy m:abeimopsuy n:acdegiknostuyz o:bcdefgiklmnoprstuvwxyz
    p:aehiloprstuyz q:u r:acdegikmnorstuvwyz s:acehikloprstuwyz t:aehiklnorstuwyz u:abcdegiklmnoprstxz v:aeiory
    w:aehinorsy x:eipt y:aceiklmnosw z:aeiknowyz
""")
"""Of English, German, French, Spanish, Polish, Turkish and others, without accents."""
_RUSSIAN = _pairs("""
    а:бвгджзийклмнпрстхцчшщюя б:аеилоруыя в:аеилнорсуышяз г:адеилору д:аевилнорусыья е:бвгджзийклмнпрстхцчшщюё ж:адеину
    з:авдеиломнуыья и:бвгдезийклмнпрстхцчшюя й:нст к:аеилорстуви л:аеиклосуыьюя м:аеиноуыялпь н:адегиноснтуыья
    о:бвгдежзийклмнпрстхцчшщюя п:аеилорсыуья р:авгдеийкмносштуыья с:авеиклмнопрстуычья т:авеиклнорсуыья у:бвгджзклмнпрстхчшщюе
    ф:аиоруе х:аионв ц:аеиуы ч:аеинтуь ш:аеилкоуь щ:аеиуь ы:вейлмнрстхш ь:ейкнсмтшюяз э:кткло ю:бдтщч я:вдзлмнстхщ ё:мнтрлс
""")
_UKRAINIAN = _pairs("""
    а:бвгджзйклмнпрстхцчшюяєї б:аеилоруія в:аеилнорсуищізл г:адеилоруі д:аевилноруіья е:бвгджзйклмнпрстхцчшю ж:адеинулі
    з:авдеимнуіьяро и:бвгдзйклмнпрстхчшє й:нсто к:аеилортуви л:аеиосуіьюяк м:аеиноуіял н:адеиноснтуіьяє
    о:бвгджзйклмнпрстхцчшює п:аеилоруія р:авгдеикмносштуіяо с:авеиклмнопртуіья т:авеиклнорсуіья у:бвгджзклмнпрстхчшщюєт
    ф:аиорує х:аионв ц:аеиюіья ч:аеинуі ш:аеилкоуіт щ:оеиоу і:бвгдзйклмнрстхшєо ь:кнсмоштія ю:бдтчєв я:вдзкмнстх є:мтюнв ї:хнвмо
""")
_HEBREW = _pairs("""
    א:בדהוחיכלמנספרשתםןז ב:אגהויכלמנעקרשת ג:דהוילמםר ד:אבהויעלמנפקרםש ה:אבגדוזחיכלמנסעפצקרשתם ו:אבגדהזחטיכלמנסעפקרשתםןףץ ז:האומרית
    ח:דהוילמנרשב ט:הוירלא י:אבדגהוחטיכלמנסעפצקרשתםןךז כ:איולמנרשתןה ל:אבהוחיכמנעפקשתךגםט מ:אבגדהוחטיכלנסעפצקרשת נ:אבגהוטיסעפקרשת ס:איופרטהתב
    ע:אבדהויולמנרשתםז פ:איוהנערשתל צ:אהוירעלב ק:אבהויטלןרשתםצ ר:אבגדהוחטיכמנסעפצקשתםךץן ש:אבגהויחילמנערתםךט ת:אבהוחיכלמנפקרשםן
""")
_USUAL = {"Russian": _RUSSIAN, "Ukrainian": _UKRAINIAN, "Hebrew": _HEBREW}
_WORDS = {
    "English": frozenset("""
        the and you for with this that what why how not are was can please hello file test code fix add error function make use
        from when does have has will should all new run tests explain here there now it is in of to we my me thanks yes okay
        write read build check change commit push branch start stop work works going doing help need want show find look
    """.split()),
    "Russian": frozenset("""
        привет что это как почему не на из для при или если чтобы мне все есть нет да где когда можно нужно надо сделай сделать
        добавь исправь почини посмотри напиши объясни проверь запусти найди покажи файл тест тесты код ошибка ошибку функцию
        функция работает пожалуйста спасибо хорошо давай ещё теперь только здесь тут эту этот его она они мой моя
    """.split()),
    "Ukrainian": frozenset("""
        привіт що це як чому не на із для при або якщо щоб мені всі все є немає так де коли можна треба зроби додай виправ
        подивись напиши поясни перевір запусти знайди покажи файл тест тести код помилка помилку функцію функція працює
        будь ласка дякую добре давай ще тепер тільки тут цю цей його вона вони мій моя
    """.split()),
    "Hebrew": frozenset("""
        שלום מה זה את של על לא אני אתה הוא היא יש אין למה איך איפה כל עם אם או גם רק כן בבקשה תודה קובץ הקובץ קוד הקוד בדיקה
        תסתכל תקן תוסיף תכתוב תסביר תבדוק תריץ עכשיו כאן שם לי לך שלי שלך צריך אפשר רוצה עובד הבאג שגיאה פונקציה קורה
    """.split()),
}  # fmt: skip
"""Words that a developer uses at any time: short lines have too few pairs of letters."""

_SHORT = 3
"""Characters of a line that is not looked at."""
_LEAST = 12
"""Pairs of letters that a line has at least where no known word comes out."""
_GIVEN, _MEANT, _APART = 0.5, 0.75, 0.35
"""The shares of usual pairs: at most as it stands, at least as it was meant, and between the two at least."""
_KNOWN, _KNOWN_LETTERS, _GIVEN_KNOWN = 0.3, 5, 0.75
"""Where known words come out: their share of all and their letters at least, and the share of usual pairs as it stands at most."""


class Mismatch(NamedTuple):
    """What was meant, on which layout it was typed, and how sure that is."""

    meant: str
    """A language: ``Russian``, ``Ukrainian``, ``Hebrew``, ``English``."""
    layout: str
    """The layout that was active: ``US``, ``Russian`` ..."""
    confidence: float


class _Way(NamedTuple):
    """One way to have typed wrongly: which characters stand there then, and what each would have been."""

    meant: str
    layout: str
    keys: re.Pattern[str]
    read: dict[int, str]
    given: frozenset[str]
    usual: frozenset[str]
    known_given: frozenset[str]


def _both(name: str) -> Iterator[_Way]:
    theirs, usual = _LAYOUTS[name], _USUAL[name]
    typed = re.compile(f"[{re.escape(_US)}]+")
    letters = re.compile(f"[{''.join(letter for letter in theirs if letter.isalpha())}]+")
    yield _Way(name, "US", typed, dict(zip(map(ord, _US), theirs, strict=True)), LATIN, usual, _WORDS["English"])
    yield _Way("English", name, letters, dict(zip(map(ord, theirs), _US, strict=True)), usual, LATIN, _WORDS[name])


_WAYS = tuple(way for name in _LAYOUTS for way in _both(name))


def mismatch(text: str) -> Mismatch | None:
    """Whether most of it was typed on another layout than its writer thought; None where it was not, or nothing can be said."""
    lines = [line.lower().translate(_SHIFTED) for line in aside(text).splitlines() if len(line) > _SHORT]
    return max(filter(None, (_mistyped(way, lines) for way in _WAYS)), key=lambda found: found.confidence, default=None)


def _mistyped(way: _Way, lines: list[str]) -> Mismatch | None:
    read = [line for line in (_Line(way, line) for line in lines) if line.n]
    wrong = [line for line in read if line.is_wrong()]
    n = sum(line.n for line in wrong)
    if not wrong or n * 2 < sum(line.n for line in read):
        return None
    meant = sum(line.n * line.meant for line in wrong) / n
    return Mismatch(way.meant, way.layout, round(min(0.5 + n / 50, 0.95) * meant, 2))


class _Line:
    """A line in one way: how many pairs of letters it has, which shares are usual, and the words that come out."""

    def __init__(self, way: _Way, line: str) -> None:
        words = [word for word in way.keys.findall(line) if sum(map(str.isalpha, word)) > 1]
        given = [pair for word in words for pair in _follow(word) if pair.isalpha()]
        self.words = [word.translate(way.read).strip(_PUNCTUATION) for word in words]
        meant = [pair for word in self.words for pair in _follow(word)]
        self.n = min(len(given), len(meant))
        self.given, self.meant = _share(given, way.given), _share(meant, way.usual)
        self.known = [word for word in self.words if word in _WORDS[way.meant]]
        self.knew = sum(word.strip(",.") in way.known_given for word in words)

    def is_wrong(self) -> bool:
        if self.meant < _MEANT or self.knew * 3 > len(self.known):
            return False
        if len(self.words) > 1 and self.n >= _LEAST and self.given <= min(_GIVEN, self.meant - _APART):
            return True
        telling = len("".join(set(self.known))) >= _KNOWN_LETTERS and len(self.known) >= _KNOWN * len(self.words)
        return telling and self.given <= _GIVEN_KNOWN


def plausible(text: str) -> tuple[int, float]:
    """How many pairs of Latin letters it has, and which share of them is usual in some language."""
    plain = normalize("NFD", text.lower()).replace("ı", "i")
    pairs = [pair for word in re.findall(r"[a-z]+", re.sub(r"[\u0300-\u036f]", "", plain)) for pair in _follow(word)]
    return len(pairs), _share(pairs, LATIN)


def _share(pairs: list[str], usual: frozenset[str]) -> float:
    return sum(pair in usual for pair in pairs) / max(len(pairs), 1)


def _follow(word: str) -> Iterator[str]:
    """Each two characters that follow each other."""
    return map("".join, pairwise(word))
