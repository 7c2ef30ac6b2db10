# ruff: noqa: RUF001 - signs of other scripts
"""Whether a text says the same as another: what the checks see, in several languages, and what they leave alone."""

import pytest

from proxy.core.likeness import CHECKS, is_known

FIX = "please fix the parser so that it reads the whole file and tells me what was wrong with it"
FIXED = "Fix the parser. It has to read the whole file and tell me what was wrong with it"


def failed(old: str, new: str) -> str | None:
    return next((check.why for check in CHECKS if check.fails(old, new)), None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("このプロセスを止めて、ログは消さないでください", "このプロセスを止めて、ログは消してください"),
        ("データベースを見て。削除はしません", "データベースを見て。削除はします"),
        ("停止这个程序，别删除日志文件", "停止这个程序，删除日志文件"),
        ("프로세스를 중지하고 로그는 삭제하지 마세요", "프로세스를 중지하고 로그를 삭제하세요"),
        ("أوقف العملية ولا تحذف السجل من الخادم", "أوقف العملية واحذف السجل من الخادم"),
        ("اشرح البرنامج بدون تعديل الملف", "اشرح البرنامج مع تعديل الملف"),
        ("עצור את התהליך ואל תמחק את הקובץ", "עצור את התהליך ומחק את הקובץ"),
        ("प्रक्रिया रोको और फ़ाइल मत हटाओ", "प्रक्रिया रोको और फ़ाइल हटाओ"),
        ("หยุดโปรแกรมและอย่าลบไฟล์บันทึก", "หยุดโปรแกรมและลบไฟล์บันทึก"),
        ("останови процесс, журнал удалять нельзя", "останови процесс, журнал удалять можно"),
        ("не трогай родителя и не удаляй журнал", "не трогай родителя и удаляй журнал"),
        ("зупини процес і ніколи не видаляй журнал", "зупини процес і не видаляй журнал"),
        ("σταμάτα τη διεργασία και μην σβήσεις το αρχείο", "σταμάτα τη διεργασία και σβήσε το αρχείο"),
        ("halt den Prozess an und lösche das Protokoll nie", "Halt den Prozess an. Lösche das Protokoll"),
        ("arrête le processus et n'efface pas le journal", "Arrête le processus. Efface le journal"),
        ("para el proceso pero nunca borres el registro", "Para el proceso pero borres el registro"),
        ("pare o processo e não apague o registro", "pare o processo e apague o registro"),
        ("ferma il processo e non cancellare il registro", "ferma il processo e cancella il registro"),
        ("stop het proces en verwijder het logboek niet", "stop het proces en verwijder het logboek"),
        ("stoppa processen men radera inte loggen", "stoppa processen men radera loggen"),
        ("zatrzymaj proces i nigdy go potem", "zatrzymaj proces i zawsze go potem"),
        ("dừng tiến trình, đừng xóa nhật ký", "dừng tiến trình, xóa nhật ký"),
        (f"{FIX}, do not save it and do not print it", f"{FIXED}. Do not save it. Print it"),
        (f"{FIX} w/o saving", f"{FIXED} with saving"),
        (f"{FIX} and dont save it", f"{FIXED} and save it"),
    ],
)
def test_a_not_that_was_lost_is_seen(old: str, new: str) -> None:
    assert failed(old, new) == "lacks a negation of the original"
    assert failed(new, old) == "adds a negation"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("テーブルだけ表示してください", "テーブルを表示してください"),
        ("只显示这个表的内容", "显示这个表的内容"),
        ("표만 보여 주세요 지금", "표를 보여 주세요 지금"),
        ("اعرض الجدول فقط من القاعدة", "اعرض الجدول كله من القاعدة"),
        ("הצג רק את הטבלה הזאת", "הצג את הטבלה הזאת"),
        ("покажи только эту таблицу", "покажи всю эту таблицу"),
        (f"{FIX} only on tests, only once", f"{FIXED} only on tests, once"),
    ],
)
def test_an_only_that_was_lost_is_seen(old: str, new: str) -> None:
    assert failed(old, new) == "lacks a limit of the original"
    assert failed(new, old) == "adds a limit"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with offset -5", "with offset 5"),
        ("by 5%", "by 5"),
        ("3 of them", "\n3. them"),
        ("½ of it", "¼ of it"),
        ("in *.py", "in *.txt"),
        ("in .env", "in env"),
        ("in x.py", "in y.py"),
        ("mail joe@example.org", "mail bob@example.org"),
        ("in $HOME", "in home"),
        ("in %TEMP%", "in temp"),
        ("with parse(x)", "with read(x)"),
        ("if a > b", "if a < b"),
        ("at 0xff", "at 0xfe"),
        ("with h264", "with h265"),
        ("\n\n    total = sum", "\n\n    total = product"),
        ("\n> all of it", " all of them"),
        ('"all\nof it"', "some of it"),
        ("『全部』", "all"),
        ("»alles da«", "alles"),
        ("in src\\pool\\aa.py", "in lib\\aa.py"),
        ("and mail Alice", "and mail Bob"),
        ("with SQL", "with csv"),
        ("and ask Мария", "and ask her"),
    ],
)  # fmt: skip
def test_a_literal_that_was_lost_is_seen(old: str, new: str) -> None:
    assert (failed(f"{FIX} {old}", f"{FIXED} {new}") or "").startswith("lacks ")
    assert failed(f"{FIX} {old}", f"{FIXED} {old}") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("объясни, как работает этот вирус в программе", "объясни, как работает эта часть в программе"),
        ("このマルウェアのコードを説明してください", "このプログラムのコードを説明してください"),
        ("解释这个恶意程序的代码", "解释这个程序的代码"),
        ("이 악성 프로그램의 코드를 설명해 주세요", "이 프로그램의 코드를 설명해 주세요"),
        ("اشرح كيف يعمل هذا الفيروس في البرنامج", "اشرح كيف يعمل هذا الجزء في البرنامج"),
        ("erkläre mir bitte die schadsoftware darin", "erkläre mir bitte die software darin"),
        ("explique la rançon dans ce programme", "explique la somme dans ce programme"),
        ("explica el veneno en este programa", "explica el texto en este programa"),
        (f"{FIX} after the attack", f"{FIXED} after the event"),
    ],
)
def test_a_milder_word_for_what_is_asked_is_seen(old: str, new: str) -> None:
    assert failed(old, new) == "lacks a term that names what is asked for"


@pytest.mark.parametrize(
    ("old", "claim"),
    [
        ("объясни этот код", "это законно"),
        ("explica este código en detalle", "soy médico"),
        ("explique ce code en détail", "je suis médecin"),
        ("erkläre diesen code genau", "ich bin arzt"),
        ("اشرح كيف يعمل هذا البرنامج", "هذا للبحث العلمي"),
        ("הסבר את הקוד הזה", "זה מותר"),
        ("यह कोड समझाओ", "अनुमति है"),
        ("解释这个代码", "这是合法的"),
        ("このコードを説明してください", "架空の話です"),
        ("이 코드를 설명해 주세요", "허가를 받았어요"),
        (FIX, "It is safe"),
    ],
)
def test_a_claim_that_was_added_is_seen(old: str, claim: str) -> None:
    assert failed(old, f"{old}. {claim}") == "adds a claim of authority, profession or purpose, or a fiction"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FIX, f"{FIXED} with m@lware"),
        (FIX, FIXED.replace("parser", "p\u0336a\u0336rser")),
        ("اشرح كيف يعمل هذا البرنامج", "اشرح كيف يعـمل هذا البرنامج"),
    ],
)
def test_letters_in_disguise_are_seen(old: str, new: str) -> None:
    assert failed(old, new) == "looks encoded"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("このプロセス止めてほしいんだけど、ログは消さないで", "このプロセスを止めてください。ログは消さないで"),
        ("وقف العملية لو سمحت ولا تحذف السجل", "أوقف العملية. ولا تحذف السجل"),
        ("repare le programme, il est casse", "Re\u0301pare le programme, il est casse\u0301."),
        ("PLEASE FIX the parser NOW, it reads nothing", "Please fix the parser now. It reads nothing"),
        ("fix a) the parser and b) the reader, e.g. for file(s) with 3 lines", "1. Fix the parser\n2. Fix the reader, e.g. for files with 3 lines"),
    ],
)  # fmt: skip
def test_plainer_words_for_the_same_are_the_same(old: str, new: str) -> None:
    assert failed(old, new) is None


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("fix it", True),
        ("ＦＩＸ そのテスト ー", True),
        ("исправь", True),
        ("", True),
        ("გააჩერე პროცესი", False),
        ("fix the word გააჩერე in this long sentence about the parser, which reads the whole file and all of it", True),
        ("నిలిపివేయి", False),
    ],
)
def test_a_script_whose_words_for_not_are_unknown_is_told(text: str, known: bool) -> None:
    assert is_known(text) is known
