"""In which language a text is written: the optional extra ``language``.

py3langid knows some hundred languages by their sequences of bytes. It is loaded, from its own package, when the
first text comes: that takes half a second and about 60 MB.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

SURE = 0.5
"""The probability below which nothing is said. Most wrong guesses on short texts stay below it."""
_NONE = frozenset({"zxx", "und", "mul", "mis"})
"""What is no language, by ISO 639: no linguistic content, undetermined, several, uncoded."""

type Detector = Callable[[str], tuple[str, float] | None]


def detector() -> Detector | None:
    """A function from text to its language (ISO 639) and a probability; None where the extra is not installed.

    The function gives None where it is unsure or fails; it never raises.
    """
    return _Lazy() if find_spec("py3langid") else None


class _Lazy:
    def __init__(self) -> None:
        self._identifier: Any = None

    def __call__(self, text: str) -> tuple[str, float] | None:
        try:
            if self._identifier is None:
                self._identifier = _load()
            name, probability = self._identifier.classify(text)
        except Exception:  # noqa: BLE001 - of a suggestion that somebody else's package makes
            return None
        return None if name in _NONE or probability < SURE else (name, round(float(probability), 3))


def _load() -> Any:
    module = import_module("py3langid.langid")
    return module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
