"""What leaves is scrubbed. What is planted stands in ``planted``."""

import json
import re
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import (
    FACTS,
    FORMS,
    FURTHER,
    FURTHER_PLACES,
    IDS,
    OPENSSH,
    PEM,
    PLACES,
    PRIVATE,
    SECRETS,
    boxed,
    left,
    made,
    wrapped,
)
from proxy.core.known import Known
from proxy.core.leak import leaks
from proxy.core.scrub import PLACEHOLDER, Scrubber, scrub

OWNER = Known(
    names=("Mara Quill",),
    accounts=("mquill", "root"),
    emails=("mara@quill.io",),
    homes=("/home/mquill", "/"),
    hosts=("thinkbox-7", "localhost"),
    projects=("lab-notes", "app"),
    ids=("session-of-mara", "x"),
    secrets=("local-proxy-key-0815", "abc"),
)
ALL = {**SECRETS, **PRIVATE}


def clean(text: str, **more: Any) -> str:
    """Scrubbed; and once more, which changes nothing."""
    once = scrub(text, OWNER, **more)
    assert scrub(once.text, OWNER, **more) == (once.text, [])
    return once.text


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("planted", ALL.values(), ids=ALL)
def test_what_is_private_goes_in_whatever_form_it_stands(planted: str, form: Any) -> None:
    assert left(planted, clean(f"before {form(planted)} after")) is None


@pytest.mark.parametrize("width", [7, 13, 20, 31, 64])
@pytest.mark.parametrize("planted", SECRETS.values(), ids=SECRETS)
def test_a_secret_that_a_terminal_cut_goes_whole(planted: str, width: int) -> None:
    for cut in (
        wrapped(planted, width),
        wrapped(planted, width, "    "),
        boxed(planted, width),
        json.dumps(wrapped(planted, width)),
    ):
        assert left(planted, clean(f"see\n{cut}\nand go on")) is None
        assert left(planted, clean(cut)) is None


@pytest.mark.parametrize("token", FURTHER.values(), ids=FURTHER)
def test_a_token_of_any_usual_maker_goes(token: str) -> None:
    for form in (token, json.dumps({"a": json.dumps([token])}), f"KEY={token};", wrapped(token, 31, "  ")):
        assert left(token, clean(f"before {form} after")) is None, form


@pytest.mark.parametrize("token", (SECRETS | FURTHER).values(), ids=SECRETS | FURTHER)
def test_no_token_is_left_of_which_a_terminal_made_lines_of_any_width(token: str) -> None:
    for width in range(11, len(token)):
        for indent, after in (("", ""), ("  ", "\nand go on")):
            assert left(token, scrub(f"key:\n{indent}{wrapped(token, width, indent)}{after}").text) is None, width


@pytest.mark.parametrize(("place", "secret"), FURTHER_PLACES.values(), ids=FURTHER_PLACES)
def test_a_password_goes_wherever_people_write_one(place: str, secret: str) -> None:
    text = place.format(secret)
    for form in (text, json.dumps(text), f"```\n$ {text}\n```"):
        assert left(secret, clean(form)) is None, form


@pytest.mark.parametrize(("place", "secret"), PLACES.values(), ids=PLACES)
def test_a_secret_known_by_its_place_goes_also_cut_or_escaped(place: str, secret: str) -> None:
    text = place.format(secret)
    for form in (
        text,
        json.dumps(text),
        json.dumps({"x": json.dumps(text)}),
        place.format(wrapped(secret, 9)),
        boxed(text, 44),
    ):
        assert left(secret, clean(form)) is None, form


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        OPENSSH,
        json.dumps(PEM),
        json.dumps(json.dumps(OPENSSH)),
        boxed(PEM.replace("\n", ""), 70),
        PEM.replace("\n", "\n    "),
    ],
)
def test_a_private_key_goes_however_it_is_laid_out(text: str) -> None:
    found = clean(f"the key:\n{text}\nends")
    assert left(PEM[40:200], found) is None
    assert "ends" in found


@given(
    st.lists(
        st.sampled_from([*ALL.values(), PEM, *(place.format(secret) for place, secret in PLACES.values())]),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.sampled_from(IDS + FACTS[:3]), min_size=1, max_size=4),
    st.sampled_from([*FORMS.values()]),
    st.integers(9, 70),
    st.booleans(),
)
def test_nothing_planted_is_left_and_every_id_survives(
    secrets: list[str], facts: list[str], form: Any, width: int, box: bool
) -> None:
    parts = []
    for n, secret in enumerate(secrets):
        cut = boxed(secret, width) if box else wrapped(secret, width, "  ")
        parts += [form(secret), facts[n % len(facts)], cut if secret in SECRETS.values() else secret, "and then"]
    parts += facts
    found = clean("\n".join(parts))
    for secret in secrets:
        hidden = next((kept for place, kept in PLACES.values() if place.format(kept) == secret), secret)
        assert left(hidden[40:400] if hidden == PEM else hidden, found) is None
    for fact in facts:
        assert found.count(fact) >= parts.count(fact)


@given(st.sampled_from([*SECRETS.values(), *PRIVATE.values()]), st.data())
def test_what_is_split_over_two_blocks_goes_from_both(secret: str, data: Any) -> None:
    at = data.draw(st.integers(1, len(secret) - 1))
    texts = [f"so it begins {secret[:at]}", f"{secret[at:]} and goes on", IDS[0]]
    blocks = [{"type": "text", "text": text} for text in texts]
    once = Scrubber(OWNER).texts(texts)
    assert len(once) == 3
    assert once[2] == IDS[0]
    for found in ("".join(once), json.dumps(Scrubber(OWNER).value({"content": blocks}))):
        if secret in SECRETS.values():
            assert left(secret, found) is None


def test_one_value_has_one_placeholder_and_the_account_tells_no_secret() -> None:
    scrubber = Scrubber(OWNER)
    text = "a@corp.example.de, b@corp.example.de, A@corp.example.de; a%40corp.example.de"
    assert scrubber.text(text) == "<EMAIL-1>, <EMAIL-2>, <EMAIL-1>; <EMAIL-1>"
    assert scrubber.text("b@corp.example.de at 10.0.0.7") == "<EMAIL-2> at <IP-1>"
    assert [(one.placeholder, one.why, one.times) for one in scrubber.replaced] == [
        ("<EMAIL-1>", "an e-mail address", 3),
        ("<EMAIL-2>", "an e-mail address", 2),
        ("<IP-1>", "a network address", 1),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mara Quill and Quill, Mara and mara.quill", "<NAME-1> and <NAME-1> and <NAME-1>"),
        ("MARA said quill", "<NAME-1> said <NAME-1>"),
        ("ma\n  ra@qui\nll.io", "<EMAIL-1>"),
        ("log in as mquill on thinkbox-7", "log in as <NAME-1> on <HOST-1>"),
        ("log in as mqu\n   ill", "log in as <NAME-1>"),
        ("the root of localhost", "the root of localhost"),
        ("marathon, quilling", "marathon, quilling"),
        ("~/.claude/projects/-home-mquill-lab-notes/a.jsonl", "~/.claude/projects/<PATH-1>/a.jsonl"),
        ("%2Fhome%2Fmquill%2Fx", "<PATH-1>"),
        ("/home/mqu\n│ ill/x", "<PATH-1>"),
        ("/home/mquill/My Documents/tax.pdf is it", "<PATH-1> is it"),
        ("in lab-notes, session-of-mara", "in <PROJECT-1>, <ID-1>"),
        ("the app works", "the app works"),
        ("thanks @other_q and @anthropic-ai", "thanks <HANDLE-1> and @anthropic-ai"),
        ("see https://github.com/mara/notes/issues/3", "see https://github.com/<REPO-1>/issues/3"),
        ("see https://github.com/anthropics/claude-code/issues/3", "see https://github.com/anthropics/claude-code/issues/3"),
        ("http://buildbox:8080/x?page=2", "http://<HOST-1>:8080/x?page=2"),
        ("127.0.0.1 and ::1 at 14:36:02, std::vector", "127.0.0.1 and ::1 at 14:36:02, std::vector"),
        ("mac 00:1b:44:11:3a:b7", "mac <IP-1>"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        ("org_01AbCdEfGh1234567", "<ID-1>"),
        ("\\\\server\\share\\x", "<PATH-1>"),
        ("curl -u joe:hunter2x https://example.com", "curl -u <SECRET-1> https://example.com"),
        ("sshpass -p 'hunter2x' ssh", "sshpass -p '<SECRET-1>' ssh"),
        ("the password is wrong, the password is hunter2x", "the password is wrong, the password is <SECRET-1>"),
        ("?token=$TOKEN&key=<key>", "?token=$TOKEN&key=<key>"),
        ("usersafety@anthropic.com", "usersafety@anthropic.com"),
        ("local-proxy-key-0815, proxy-key-0815, abc", "<SECRET-1>, <SECRET-1>, abc"),
        ("\\u006dara@corp.example.de", "<EMAIL-1>"),
        ("caf%C3%A9 50% off", "caf%C3%A9 50% off"),
        ("one\\ttwo\\rthree", "one\\ttwo\\rthree"),
    ],
)  # fmt: skip
def test_what_is_known_goes_and_what_is_public_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"10.20.30.40{SECRETS['anthropic api']}", "<IP-1><SECRET-1>"),
        ("host_10.20.30.40x, v10.20.30.40, 999.1.1.1", "host_<IP-1>x, v10.20.30.40, 999.1.1.1"),
        ("::ffff:10.20.30.40, fe80::1ff:fe23:4567:890a%eth0, [2001:db8::1]:443", "<IP-1>, <IP-2>, [<IP-3>]:443"),
        ("see C:\\Users\\Otto Maier\\x.py and go on", "see <PATH-1> and go on"),
        ("see D:\\kunden\\acme\\x.txt and go on", "see <PATH-1> and go on"),
        ("\\\\wsl$\\Ubuntu\\home\\otto, /c/Users/otto/x, /export/home/otto/x", "<PATH-1>, <PATH-2>, <PATH-3>"),
        ("/Users/otto maier/Docs/x, ~otto/y, -Volumes-Data-acme", "<PATH-1>, <PATH-2>, <PATH-3>"),
        ("~/.claude/projects/-opt-acme-secret/a.jsonl", "~/.claude/projects/<PATH-1>/a.jsonl"),
        ("Author: Otto Ö. Maier <otto@acme.de>", "Author: <NAME-1> <<EMAIL-1>>"),
        ("Co-Authored-By: Claude Opus 5 <noreply@anthropic.com>", "Co-Authored-By: Claude Opus 5 <noreply@anthropic.com>"),
        ("ssh otto@buildbox7, react@next", "ssh <HOST-1>, react@next"),
        ("git.acme.ai, ottopc.fritz.box, ip-10-20-30-40", "<HOST-1>, <HOST-2>, <HOST-3>"),
        ("https://otto.github.io/x", "https://<HOST-1>/x"),
        ("https://gitlab.com/acme/team/hidden/-/issues", "https://gitlab.com/<REPO-1>/-/issues"),
        ("https://api.github.com/repos/otto/hidden", "https://api.github.com/repos/<REPO-1>"),
        ("https://github.com/anthropics-not/x", "https://github.com/<REPO-1>"),
        ("https://docs.google.com/document/d/1AbCdEfGhIjKlMnOpQrStUv/edit", "https://docs.google.com/document/d/<ID-1>/edit"),
        ("arn:aws:iam::123456789012:user/otto", "arn:aws:iam::<ID-1>"),
        ("docker run -u 1000:1000; PWD=/src/x, password=$PW", "docker run -u 1000:1000; PWD=/src/x, password=$PW"),
        ("password hashing, the password field, password sha256", "password hashing, the password field, password sha256"),
        ("commit e5cfa36d1f0b7a2c9d8e4f6a1b3c5d7e9f0a1b2c", "commit e5cfa36d1f0b7a2c9d8e4f6a1b3c5d7e9f0a1b2c"),
        ('@app.route("/x") @otto', '@app.route("/x") <HANDLE-1>'),
        ("author: none, auth: abcdefghijklmnop", "author: none, auth: abcdefghijklmnop"),
    ],
)  # fmt: skip
def test_the_nearest_cases_are_told_apart(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("Zoë Müller", "ZOË MÜLLER", "zoë müller", "Zoe Mueller", "Zoe Muller", "Müller, Zoë"),
        *(normalize("NFD", "Zoë Müller"), quote("Zoë Müller"), json.dumps("Zoë Müller")),
        *("/Users/Zoë Müller/x", normalize("NFD", "/Users/Zoë Müller/x"), "-Users-Zo--M-ller-x", "-Users-Zoe--Mu-ller-x"),
    ],
)  # fmt: skip
def test_a_name_with_marks_goes_however_it_is_spelt(text: str) -> None:
    owner = Known(names=("Zoë Müller",), homes=("/Users/Zoë Müller",))
    assert re.sub(r"<(?:NAME|PATH)-\d>|%20|[\W]", "", scrub(f"({text})", owner).text) == ""


def test_a_word_of_the_owners_list_goes_in_either_spelling_and_with_its_marks() -> None:
    deny = ["Café (C++) [x]*"]
    assert scrub("in CAFÉ (c++) [X]* and " + normalize("NFD", "café (c++) [x]*"), deny=deny).text == (
        "in <DENIED-1> and <DENIED-1>"
    )


@pytest.mark.parametrize("sign", ["\x1b[01;31m", "\x1b[m\x1b[K", "\u200b", "\xad", "\u202e"])
def test_what_a_terminal_does_not_show_hides_nothing(sign: str) -> None:
    token = SECRETS["github"]
    for text in (token[:9] + sign + token[9:], json.dumps(token[:9] + sign + token[9:])):
        assert left(token, clean(text).replace(sign, "")) is None


def test_a_key_of_fixed_length_goes_though_a_word_follows_its_cut() -> None:
    key = SECRETS["aws"]
    assert clean(f"{key[:11]}\n{key[11:]}\nand go on") == "<SECRET-1>\nand go on"


@pytest.mark.parametrize(
    "unit", ["10.", "1.", "10.20.30.40 ", "a@a.", "/home/a ", "://a", "a1\n", "C:\\", "password ", "A b "]
)
def test_a_hostile_text_comes_back(unit: str) -> None:
    """Were a pattern to try again what it has taken, or each find compared with every other, this would not end while anybody waits."""
    text = (unit * (60_000 // len(unit) + 1))[:60_000]
    assert scrub(text, OWNER).text


def test_many_secrets_are_looked_for_together() -> None:
    text = "\n".join(f"password: {made(16, seed=n)}" for n in range(1500))
    found = scrub(text, OWNER)
    assert "K4x9" not in found.text
    assert found.replaced[-1].placeholder == "<SECRET-1500>"


def test_pieces_of_two_secrets_that_touch_are_told_apart() -> None:
    scrubber = Scrubber(Known(secrets=("abcdef123456", "uvwxyz987654")))
    assert scrubber.text("abcdef123456uvwxyz987654") == "<SECRET-1><SECRET-2>"


def test_prose_and_code_stay_as_they_are() -> None:
    text = """The request was declined in the middle of the answer; the model had said
nothing yet. See /model and /config, then run:

    def total(rows: list[Row]) -> int:
        return sum(row.n for row in rows)   # a[1:2], x::y, 1.2.3

| field | values |
| --- | --- |
| stage | before_output, mid_stream |
"""
    assert scrub(text, OWNER) == (text, [])


def test_ids_survive_within_what_goes() -> None:
    found = clean(f"/home/mquill/{IDS[0]}/x and https://h.example.de/?token={IDS[1]}")
    assert IDS[0] in found
    assert IDS[1] in found
    assert "mquill" not in found


def test_an_id_behind_a_cut_token_is_not_taken_for_its_rest() -> None:
    found = clean(f"{SECRETS['github']}\n{IDS[0]}\n{SECRETS['github'][:20]}\n{FACTS[0]}\n{FACTS[1]}")
    assert all(fact in found for fact in (IDS[0], *FACTS[:2]))


def test_lines_that_are_whole_by_themselves_are_not_joined() -> None:
    assert clean("/home/a/x1.py\n/home/b/x2.py\na1@corp.example.de\nb1@corp.example.de") == (
        "<PATH-1>\n<PATH-2>\n<EMAIL-1>\n<EMAIL-2>"
    )


@pytest.mark.parametrize(
    "behind",
    [
        "https://claude.com/form and so on",
        "AWS says that it is fine.",
        "Thanks",
        "src/main.c has more",
        "next: look at it",
        "- a list",
    ],
)
@pytest.mark.parametrize("token", [SECRETS["github"], SECRETS["slack"], SECRETS["hugging face"]])
def test_a_whole_token_at_the_end_of_a_line_takes_nothing_of_the_next(token: str, behind: str) -> None:
    before = "It was some longer line of prose that says what this is about, so no terminal cut the one below."
    assert clean(f"{before}\nkey {token}\n{behind}\n") == f"{before}\nkey <SECRET-1>\n{behind}\n"


@pytest.mark.parametrize(
    ("head", "rest"),
    [("xo" + "xb-123456789012-K4x9klmnopqrs", "tuvwxabcdef"), ("gh" + "p_" + made(24), "Abcdefghijkl")],
)
def test_a_token_of_any_length_that_was_cut_goes_though_its_rest_looks_like_a_word(head: str, rest: str) -> None:
    for text in (
        f"see\n{head}\n{rest}\nand go on",
        f"{'x' * len(head)}\n{head}\n{rest}",
        f"│ {head} │\n│ {rest:<{len(head)}} │",
    ):
        assert rest not in clean(text), text


@pytest.mark.parametrize("name", ["aws", "telegram", "twilio", "postman"])
@pytest.mark.parametrize("width", [9, 15, 33, 63])
def test_a_cut_token_goes_whole_whatever_stands_around_it(name: str, width: int) -> None:
    token = ALL.get(name) or FURTHER[name]
    cut = wrapped(token, width)
    for text in (f"{cut}\nThanks", f"{'a line of prose that is longer ' * 4}\nkey: {cut}\nThen it ended.\n"):
        assert left(token, clean(text)) is None


def test_what_follows_one_upon_the_other_is_not_one() -> None:
    text = "key " + SECRETS["github"] + "\n" + SECRETS["github"]
    assert clean(text) == "key <SECRET-1>\n<SECRET-1>"
    one, other = "QRSTUV0123456789abcdef", "0123456789abcdefABCDEF-secretAA"
    scrubber = Scrubber(Known(secrets=(one, other)))
    assert re.fullmatch(r"(<SECRET-\d>)+\n(<SECRET-\d>)+", scrubber.text(f"{one}\n{other}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer abcdefabcdefabcdefabcdef, so", "Bearer <SECRET-1>, so"),
        ("bearer K4x9abcdefabcdefab", "bearer <SECRET-1>"),
        ("Bearer: ABCDEFabcdefghijk.lmnop", "Bearer: <SECRET-1>"),
        ("a bearer token-of-the-session is sent", "a bearer token-of-the-session is sent"),
        ("Bearer authentication/authorization", "Bearer authentication/authorization"),
        ("Bearer authentication, Bearer $TOKEN_OF_MY_SESSION", "Bearer authentication, Bearer $TOKEN_OF_MY_SESSION"),
    ],
)
def test_what_a_bearer_bears_goes(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_the_owners_own_list_is_heard() -> None:
    assert clean("Project Zephyr, zeph\n yr; acme-17", deny=["zephyr", r"/acme-\d+/", " "]) == (
        "Project <DENIED-1>, <DENIED-1>; <DENIED-2>"
    )
    assert scrub(f"{IDS[0]} 011CX", deny=["011CX"]).text == f"{IDS[0]} <DENIED-1>"
    with pytest.raises(ValueError, match="regular expression"):
        scrub("x", deny=["/(/"])


def test_what_is_to_be_kept_is_kept_but_never_a_secret() -> None:
    organisation = PRIVATE["uuid"]
    assert scrub(f"org {organisation}", keep=[organisation, ""]).text == f"org {organisation}"
    assert scrub(f"/home/x/{organisation}/y", keep=[organisation]).text == f"<PATH-1>{organisation}<PATH-1>"
    assert "K4x9" not in scrub(SECRETS["github"], keep=[SECRETS["github"]]).text


def test_pieces_of_a_secret_seen_elsewhere_go_too() -> None:
    scrubber = Scrubber()
    scrubber.learn([f"x {SECRETS['github']} y", "nothing", "password: wrongword"])
    half = SECRETS["github"][15:35]
    assert scrubber.text(f"the rest is {half}, {wrapped(half, 6)}") == "the rest is <SECRET-1>, <SECRET-1>"
    assert scrubber.text("a wrongword is no secret") == "a wrongword is no secret"
    assert scrubber.leaks(f"the rest is {half}") == 1
    assert scrubber.leaks("nothing") == 0


def test_json_is_scrubbed_by_its_keys_as_well() -> None:
    value = {
        "type": "text",
        "client_secret": "plainword",
        "db_password": "Tr0ub4dor&3-x9",
        "api_key": "[redacted:api-key]",
        "cookie": "",
        "/home/mquill/a": [1, None, True, {"text": "by Mara Quill", "role": "user"}],
        "/home/mquill/b": ("x@corp.example.de",),
        "token": "abc",
    }
    found = Scrubber(OWNER).value(value)
    assert found == {
        "type": "text",
        "client_secret": "<SECRET-1>",
        "db_password": "<SECRET-2>",
        "api_key": "[redacted:api-key]",
        "cookie": "",
        "<PATH-1>": [1, None, True, {"text": "by <NAME-1>", "role": "user"}],
        "<PATH-2>": ["<EMAIL-1>"],
        "token": "abc",
    }
    assert Scrubber(OWNER).value(
        {"authorization": "short", "A": 1, "a@corp.example.de": 1, "A@corp.example.de": 2}
    ) == {
        "authorization": "<SECRET-1>",
        "A": 1,
        "<EMAIL-1>": 1,
        "<EMAIL-1>_": 2,
    }
    assert Scrubber().value({"api_key": f"x {SECRETS['github']}"})["api_key"].startswith("<SECRET")
    assert Scrubber().value({"secret": "<SECRET-4>"}) == {"secret": "<SECRET-4>"}


def test_a_leak_is_any_twelve_characters_in_a_row() -> None:
    secret = made(30)
    assert leaks(f"x{secret[5:17]}y", [secret]) == 1
    assert leaks(f"x{secret[5:16]}y", [secret]) == 0
    assert leaks(f"│ {secret[5:9]} │\n│ {secret[9:17]} │", [secret]) == 1
    assert leaks("".join(f"%{ord(char):02x}" for char in secret), [secret]) == 1
    assert leaks(f"{secret[:12]} and {secret[14:27]}", [secret, secret[::-1]]) == 1
    assert leaks("s3cr3t-1", ["s3cr3t-1"]) == 1
    assert leaks("abc", ["abc", "claude-opus-5"]) == 0
    assert leaks("-----BEGIN RSA PRIVATE KEY-----", [PEM]) == 0
    assert leaks(PEM, [PEM]) == 1


@given(st.text())
def test_any_text_can_be_scrubbed_and_scrubbing_it_again_changes_nothing(text: str) -> None:
    once = scrub(text, OWNER)
    assert scrub(once.text, OWNER).text == once.text
    assert len(once.replaced) <= len(PLACEHOLDER.findall(once.text))


def test_a_row_of_cut_lines_without_end_is_looked_at_in_parts() -> None:
    lines = "\n".join(made(70, seed=n) for n in range(120))
    assert scrub(lines).text == lines
    assert SECRETS["github"][4:] not in scrub(f"{lines}\n{SECRETS['github']}\n{lines}").text


def test_what_is_known_in_two_places_is_known_together() -> None:
    both = Known(names=("Cher",), hosts=("a1",)) | Known(names=("Cher", "Al Bo"), emails=("x@y.example.de",))
    assert both.names == ("Cher", "Al Bo")
    assert scrub("Cher and Al Bo; Al; cher", both).text == "<NAME-1> and <NAME-2>; Al; cher"


def test_the_value_of_a_key_that_names_a_secret_is_a_secret_however_short() -> None:
    scrubber = Scrubber()
    assert scrubber.value({"x-api-key": "abc", "cookie": "sid-0815"}) == {
        "x-api-key": "<SECRET-1>",
        "cookie": "<SECRET-2>",
    }
    assert scrubber.text("abc, sid-0815") == "abc, <SECRET-2>"


def test_what_was_replaced_under_such_a_key_is_not_replaced_again() -> None:
    assert Scrubber().value({"authorization": "<SECRET-3>"}) == {"authorization": "<SECRET-3>"}
