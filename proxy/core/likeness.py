# ruff: noqa: RUF001 - signs of other scripts
"""Whether a text says the same as another, as far as a machine can tell: a table of checks for what a model has restated.

They are mechanical and strict by intent. A good restatement that is not sent costs one attempt; a bad one that is sent would say what its
author did not. So every literal of the original has to come back (code, paths, names, digits, quotations), as many negations and limits,
and the words that name the thing that a safeguard looks at (``weighty.TERMS``): a request that names malware is restated as one that names
malware, or not at all.

They read words, not meaning. What none of them sees (two numbers that changed places, a number written out, a translation between two
kindred languages, a claim in a language that the tables lack) the instruction alone forbids.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

from proxy.core.weighty import CLAIMS, LIMITS, NEGATIONS, SCRIPTS, TERMS

_SHORT = 60
"""Characters up to which a text may change its length more freely."""


class Literal(NamedTuple):
    """A kind of literal that has to come back, and that may not be added."""

    name: str
    pattern: re.Pattern[str]
    marked: bool = False
    """Whether it may come back with other marks around it."""


LITERALS = (
    Literal(
        "a code block",
        re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|^(?: {4}|\t)[^\n]*\S", re.DOTALL | re.MULTILINE),
        marked=True,
    ),
    Literal("a piece of code", re.compile(r"`[^`\n]+`"), marked=True),
    Literal("a tag", re.compile(r"</?[A-Za-z][^<>\n]*>")),
    Literal("a URL", re.compile(r"(?<![\w+.-])[a-z][a-z0-9+.-]*+://[^\s<>\"'`)\]}]+")),
    Literal(
        "a quoted string",
        re.compile(
            r"\"[^\"]{1,1000}\"|“[^“”\n]+”|„[^„“”\n]+[“”]|«[^«»\n]+»|»[^«»\n]+«|‹[^‹›\n]+›|「[^「」\n]+」|『[^『』\n]+』|《[^《》\n]+》"
            r"|\u2018[^\u2018\u2019\n]+\u2019|(?<!\w)'[^'\n]+'(?!\w)|^>[^\n]+",
            re.MULTILINE,
        ),
        marked=True,
    ),
    Literal(
        "a path",
        re.compile(
            r"(?<![\w./~-])(?:~|\.{1,2})?(?:/[\w.@%+=*-]++)++/?|(?<![\w.@-])(?!w/o\b|and/or\b)[\w.@-]++(?:/[\w.@%+=*-]++)++/?"
            r"|\b[A-Za-z]:\\[^\s\"'`]+|(?<![\w.\\-])[\w.-]+(?:\\[\w.-]+)+"
        ),
    ),
    Literal(
        "a name",
        re.compile(
            r"\b\w*(?:[a-z][A-Z]|_)\w*\b"  # snake_case and camelCase
            r"|(?<![\w-])[\w-]{2,}+\.[A-Za-z]\w{0,9}|(?<![\w.-])(?!(?:e\.g|i\.e|a\.m|p\.m|z\.b|d\.h|u\.a)\b)[A-Za-z]\.[a-z]{1,4}\b"
            r"|(?<![\w.])\.[A-Za-z]\w+|\*\.\w+|(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+"  # files, kinds of files, addresses
            r"|(?<!\S)--?[A-Za-z][\w-]*+|(?<!\w)@[\w./-]++|\$\{?\w+\}?|%[A-Za-z_]\w*%"  # options, mentions, variables
            r"|(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_.]*+\((?!e?s\)|en\))[^()\n]*\)"  # calls
            r"|(?<![A-Za-z0-9_])(?:0x[0-9A-Fa-f]+|(?:[A-Za-z]+\d|\d+[A-Za-z]+\d)[A-Za-z0-9_]*)"  # h264, 3f2a, 0xff
        ),
    ),
    Literal("an operator", re.compile(r"(?<=\s)(?:[!=]==|[!=<>:+-]=|[<>]|&&|\|\||[-=]>)(?=\s)")),
    Literal("a number", re.compile(r"(?:(?<![\w)\]+−-])[+−-])?(?:\d+(?:[.,:]\d+)*%?|[¼-¾⅐-⅞])")),
)

_QUOTES = "\"'`“”„«»‹›「」『』《》\u2018\u2019"
_ITEM = re.compile(r"^[ \t]*\d{1,2}[.)](?=\s)", re.MULTILINE)
"""The number of an item of a list, which a plainer text may have."""


def _found(literal: Literal, text: str) -> set[str]:
    marks = _QUOTES + ">" * literal.marked
    return {found[0].strip().strip(marks).rstrip(".,;:!?") for found in literal.pattern.finditer(_ITEM.sub("", text))}


def _lacks(literal: Literal, old: str, new: str) -> bool:
    there = new if literal.marked else _found(literal, new)
    return any(one not in there for one in _found(literal, old))


def _adds(literal: Literal, old: str, new: str) -> bool:
    there = _found(literal, old) if literal.name == "a number" else old
    return any(one not in there for one in _found(literal, new))


_PROPER = re.compile(r"(?<=[\w,;] )(?!I['\u2019])[A-ZÀ-ÖØ-ÞΑ-ΩА-ЯЁІЇЄҐ][\w'\u2019-]*\w|[ァ-ヴー]{3,}")
"""A word with a capital where no sentence begins; in Japanese one in katakana."""


def _lacks_a_proper(old: str, new: str) -> bool:
    return any(name.casefold() not in new.casefold() for name in _PROPER.findall(_prose(old)))


def _adds_a_proper(old: str, new: str) -> bool:
    return _lacks_a_proper(new, old)


_ENCODED = re.compile(
    r"[A-Za-z0-9+/_=-]{40,}"  # base64 and hex
    r"|(?:[0-9A-Fa-f]{2}[ :,]?){16,}"
    r"|(?:%[0-9A-Fa-f]{2}){4,}|(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|&\#x?[0-9A-Fa-f]{1,6};){2,}"
    r"|(?<!\w)(?:\w[ ._*-]){4,}\w(?!\w)"  # l e t t e r s
    r"|(?<![^\W_])[^\W\d_]++\d++[^\W\d_]++\w*|(?<!\S)[A-Za-z]+[@$!|][A-Za-z]++(?![\w-]*\.\w)"  # d1gits and s!gns for letters
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+")
_LOOKALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK"})
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co"})


def is_known(text: str) -> bool:
    """Whether its letters are in scripts whose words for "not" and "only" are known, but for a tenth of them."""
    return sum(share for script, share in _scripts(text).items() if script not in SCRIPTS) < 0.1


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("\u2019", "'").split())


def _is_the_same(old: str, new: str) -> bool:
    return "".join(old.split()) == "".join(new.split())


def _is_of_another_length(old: str, new: str) -> bool:
    """0.5 to 2 times the characters; of a short text from a quarter on, and up to twice what counts as short."""
    least = len(old) / (2 if len(old) >= _SHORT else 4)
    return not least <= len(new) <= 2 * max(len(old), _SHORT)


def _is_in_another_script(old: str, new: str) -> bool:
    """Where a script that has a tenth of the letters in one text has less than a quarter of that in the other."""
    before, after = _scripts(old), _scripts(new)
    pairs = [(before.get(script, 0), after.get(script, 0)) for script in before.keys() | after.keys()]
    return any(max(pair) >= 0.1 and min(pair) < max(pair) / 4 for pair in pairs)


def _scripts(text: str) -> dict[str, float]:
    """The share of each script in the letters of a text, literals left out."""
    shares = Counter(map(_script, filter(str.isalpha, _prose(text))))
    return {script: times / shares.total() for script, times in shares.items()}


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _prose(text: str) -> str:
    for literal in LITERALS:
        text = literal.pattern.sub(" ", text)
    return text


def _looks_encoded(old: str, new: str) -> bool:
    if any(found[0] not in old for found in _ENCODED.finditer(new)):
        return True
    if any(map(_is_disguised, set(unicodedata.normalize("NFC", new)) - set(old) - set("\n\r\t"))):
        return True
    words = set(_WORD.findall(new)) - set(_WORD.findall(old))
    return any(len(_LOOKALIKE.intersection(map(_script, word))) > 1 for word in words)


def _is_disguised(char: str) -> bool:
    """One that is not seen, or a letter that stands for another (a mathematical bold m), or that only strikes or stretches one."""
    if unicodedata.category(char) in _UNSEEN or unicodedata.name(char, "").startswith(("COMBINING", "ARABIC TATWEEL")):
        return True
    return char.isalpha() and unicodedata.normalize("NFKC", char) != char


def _loses_a_term(old: str, new: str) -> bool:
    return bool(set(TERMS.findall(_plain(old))) - set(TERMS.findall(_plain(new))))


def _has_fewer(words: re.Pattern[str], old: str, new: str) -> bool:
    return len(words.findall(_plain(new))) < len(words.findall(_plain(old)))


def _has_more(words: re.Pattern[str], old: str, new: str) -> bool:
    return _has_fewer(words, new, old)


def _claims(old: str, new: str) -> bool:
    return bool(set(CLAIMS.findall(_plain(new))) - set(CLAIMS.findall(_plain(old))))


def _speaks_of_something_else(old: str, new: str) -> bool:
    """Fewer than three in ten of the words (their beginnings; literals left out) are common: an answer, a translation."""
    before, after = ({word[:4] for word in _WORD.findall(_prose(text.casefold()))} for text in (old, new))
    return len(before & after) * 10 < 3 * min(len(before), len(after))


class Check(NamedTuple):
    """One way not to be the same request: what is said of the text that fails, and whether it does, by the old and the new text."""

    why: str
    fails: Callable[[str, str], bool]


CHECKS = (
    Check("is the same as the original", _is_the_same),
    Check("is of another length", _is_of_another_length),
    Check("looks encoded", _looks_encoded),
    Check("is in another script", _is_in_another_script),
    *(Check(f"lacks {literal.name} of the original", partial(_lacks, literal)) for literal in LITERALS),
    *(Check(f"adds {literal.name}", partial(_adds, literal)) for literal in LITERALS),
    Check("lacks a term that names what is asked for", _loses_a_term),
    Check("lacks a negation of the original", partial(_has_fewer, NEGATIONS)),
    Check("adds a negation", partial(_has_more, NEGATIONS)),
    Check("lacks a limit of the original", partial(_has_fewer, LIMITS)),
    Check("adds a limit", partial(_has_more, LIMITS)),
    Check("adds a claim of authority, profession or purpose, or a fiction", _claims),
    Check("has too little in common with the original", _speaks_of_something_else),
    Check("lacks a word with a capital, or a term in katakana, of the original", _lacks_a_proper),
    Check("adds a word with a capital, or a term in katakana", _adds_a_proper),
)
"""In order; the first that fails is why the text is not sent."""
