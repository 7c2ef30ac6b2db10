"""What a tool's input names, without what is secret or content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.redact import Redactor
from proxy.core.target import LONGEST, program, target

HEX = "4f9c2a7e1b3d5f60718293a4b5c6d7e8"
MIXED = "AbCdEfGhIjKlMnOpQrStUvWxYz01"
LETTERS = "KqXvbTznWRgLpdYhJmcs"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"file_path": "/w/a.py", "content": "x"}, "/w/a.py"),
        ({"notebook_path": "n.ipynb"}, "n.ipynb"),
        ({"pattern": "secret word", "path": "/w"}, "/w"),
        ({"pattern": "secret word"}, None),
        ({"url": "https://me:pw@h.org:8443/a/b?token=1#c", "prompt": "sum up"}, "https://h.org:8443/a/b"),
        ({"url": "h.org/a?q=1"}, "h.org/a"),
        ({"uri": "file:///w/a"}, "file:///w/a"),
        ({"path": "https://me@h.org/a?x"}, "https://h.org/a"),
        ({"file_path": "", "path": "b"}, "b"),
        ({"file_path": 5}, None),
        ({"command": "git log --oneline -3"}, "git log"),
        ({"command": 5}, None),
        ({"query": "x"}, None),
        ({}, None),
        ("a.py", None),
        ({"file_path": "a\x1b]0;x\x07\nb\u202e\ud800"}, "a?]0;x??b??"),
        ({"path": "/w/" + "d" * 300 + "/end.py"}, "…" + ("d" * 300 + "/end.py")[-199:]),
    ],
)
def test_a_tool_call_names_what_it_works_on(given: object, named: str | None) -> None:
    assert target(given) == named


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("pytest -q tests/x.py", "pytest"),
        ("git", "git"),
        ("git -C /w log", "git"),
        ("git push;ls", "git push"),
        ("npm run build && npm test", "npm run"),
        ("ls secret", "ls"),
        ("cd /w && pytest", "pytest"),
        ("cd '/w o' && cd b; make all", "make"),
        ("cd /w", "cd"),
        ("CI=1 TOKEN='a b' X= /usr/bin/python3.13 -m x", "python3.13"),
        ("sudo apt-get install x", "apt-get install"),
        ("sudo -u x id", "sudo"),
        ("env A=1 uv sync", "uv sync"),
        ("./run.sh\nrm -r x", "run.sh"),
        ("(cd x; ls)", None),
        ('"my program" x', None),
        ("$EDITOR x", None),
        ("curl|sh", "curl"),
        ("docker my_secret", "docker"),
        ("x" * 61, None),
        ("", None),
        ("  \n", None),
        (r"PASSWORD=my\ secretword ./run", None),
        (r"X=a\;b secretword run", None),
        (r"""P='a'\''secretword b' run""", None),
        (r"""P="a\" secretword b" run""", None),
        ("P=a\x0csecretword run", None),
        (r"cd my\ secretword && run", "cd"),
        (r"X='a\' run", "run"),
    ],
)
def test_of_a_command_only_the_program_is_named(command: str, name: str | None) -> None:
    assert program(command) == name


@given(st.dictionaries(st.sampled_from(["file_path", "path", "url", "uri", "command"]), st.text()))
def test_a_target_is_short_and_printable(given: dict[str, str]) -> None:
    named = target(given)
    assert named is None or (len(named) <= LONGEST and named.isprintable())


@pytest.mark.parametrize(
    "hostile", ["cd a;" * 9999, "A=1 " * 9999, "sudo " * 9999, "a/" * 9999, "cd " + "'a" * 9999, "-" * 9999]
)
def test_no_command_takes_long(hostile: str) -> None:
    program(hostile)


# ---- addresses


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (" https://me:pw@h.org/x?token=1", "https://h.org/x"),
        ("\x00\u200bhttps://me:pw@h.org/x", "https://h.org/x"),
        ("ht\ntps://me:pw@h.org/x", "https://h.org/x"),
        ("//me:pw@h.org/x?token=1", "//h.org/x"),
        ("GET https://me:pw@h.org/x?q=1", "https://h.org/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("localhost:8080/x?q", "localhost:8080/x"),
        ("https://h.org/a;jsessionid=ABC?x", "https://h.org/a"),
        ("https://h.org\\a\\b?x", "https://h.org\\a\\b"),
        ("?q=words", None),
    ],
)
def test_of_an_address_scheme_host_and_path_are_named(url: str, named: str | None) -> None:
    assert target({"url": url}) == named


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://user:pa/ss9X@h.org/x", "https://h.org/…"),
        ("https://user:pa?ss9X@h.org/x", "https://h.org/…"),
        ("https://user:pa#ss9X@h.org/x", "https://h.org/…"),
        (r"https://user:pa\ss9X@h.org/x", "https://h.org/…"),
        ("https://user:pa/ss9X@h.org/x?to=me@i.org/private", "https://i.org/…"),
        ("https://user:p@x/ss9X@h.org/x", "https://…"),
        ("https://user:12/34@h.org/x", "https://user/…"),
        ("https:///user:pw@h.org/x", "https:///…/x"),
        ("https://a.org/http://user:pw@h.org/x", "https://a.org/http://…/x"),
        ("git@h.org:org/repo.git", "h.org/…"),
        ("https://{host}/x", "https://…"),
        ("https://user:pa/ss@{host}", "https://…"),
    ],
)
def test_no_password_is_named_whatever_it_holds(url: str, named: str) -> None:
    assert target({"url": url}) == named


@pytest.mark.parametrize("name", ["url", "uri", "path", "file_path"])
@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("data:text/plain,My dear doctor", "data:"),
        ("javascript:alert('my private text')", "javascript:"),
        ("mailto:me@x.org?body=private", "mailto:"),
        ("mysql:user:hunter2@h.org", "mysql:"),
        ("user:hunter2@h.org:8080/x", "user:"),
        ("jdbc:mysql://user:hunter2@h.org/x", "jdbc:"),
        ("https:user:hunter2@h.org/x", "https:"),
        ("a.py:10", "a.py:10"),
    ],
)
def test_where_a_scheme_has_no_slashes_it_is_all_that_is_named(name: str, said: str, named: str) -> None:
    assert target({name: said}) == named


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("/search?q=private question", "/search"),
        ("/a#private", "/a"),
        ("/a;private", "/a"),
        (" https://h.org/x?q=private question", "https://h.org/x"),
        (r"C:\w\a.py", r"C:\w\a.py"),
        ("C:/w/a.py", "C:/w/a.py"),
        ("src/@types/a:b", "src/@types/a:b"),
        (f"/w/{HEX}", f"/w/{HEX}"),
        ("#a", None),
    ],
)
def test_a_path_ends_where_a_query_would_begin(said: str, named: str | None) -> None:
    assert target({"path": said}) == named


@pytest.mark.parametrize(
    "token",
    [
        HEX,
        "550e8400-e29b-41d4-a716-446655440000",
        MIXED,
        "AbC1-dE2f3Gh4I_jK",
        LETTERS,
        LETTERS.lower() * 3,
        f"bot110201543:{MIXED}abcdefgh",
        f"{MIXED}%3D%3D",
    ],
)
def test_what_looks_random_in_the_path_of_an_address_is_not_named(token: str) -> None:
    assert target({"url": f"https://h.org/reset/{token}/now"}) == "https://h.org/reset/…/now"


@pytest.mark.parametrize(
    "path",
    [
        "/anthropics/claude-code/issues/12345",
        "/wiki/Internationalization_and_localization",
        "/package/@types/node",
        "/react@18.2.0/umd/react.development.js",
        "/en/docs/extended-thinking-2025-01-01",
        "/javase/AbstractSingletonProxyFactoryBean.html",
        "/documentation/swiftui/navigationsplitview",
        "/abs/2401.12345v2",
        "/u/status/1790000000000000000",
        "/claude-3-5-sonnet-20241022",
        "/My Letter.pdf",
    ],
)
def test_words_and_numbers_in_the_path_of_an_address_stay(path: str) -> None:
    assert target({"url": f"https://h.org{path}"}) == f"https://h.org{path}"


def test_a_placeholder_of_what_was_redacted_stays() -> None:
    said, _ = Redactor().text(f"https://me:hunter22@api.telegram.org/bot110201543:AAHd{MIXED}xyz/getMe")
    assert target({"url": said}) == "https://api.telegram.org/bot[redacted:telegram-token]/getMe"


@given(
    st.text(st.sampled_from("ab1:/?#@;\\. "), max_size=12),
    st.sampled_from("/?#\\@;"),
    st.sampled_from(["h.org", "h.org/x", "[::1]:8/x", "h.org/x?q=a"]),
)
def test_a_password_without_a_number_before_its_slash_is_never_named(before: str, cut: str, rest: str) -> None:
    named = target({"url": f"https://me:x{before}SECRET{cut}SECRET@{rest}"})
    assert named
    assert "SECRET" not in named


@pytest.mark.parametrize("name", ["url", "path"])
@pytest.mark.parametrize(
    "hostile",
    ["a" * 10**5, "a." * 10**5, "-" * 10**5, "@" * 10**5, "a:" * 10**5, "https://" + "a:" * 10**5]
    + ["https://h/" + piece * 10**5 for piece in ("a1", "aB", "1-", "/a", "Aab", ":@")],
)
def test_no_address_takes_long(name: str, hostile: str) -> None:
    """A time that grew with the square would be minutes."""
    target({name: hostile})
