"""Which play a request gets: its own header, else the first rule that fits, else the server's scenario."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from proxy.pretend.admission import fault
from proxy.pretend.asked import Asked
from proxy.pretend.options import Options, Rule, parse_play
from proxy.pretend.reply import Play, Reply
from proxy.pretend.scenarios import SCENARIOS

HEADER = "x-pretend"


class Casting:
    """The plays of one server, and how often each was given."""

    def __init__(self, scenario: str, rules: Sequence[Rule], options: Options) -> None:
        self.scenario = scenario
        self.rules = list(rules)
        self.options = options
        self._played: Counter[str] = Counter()
        self._used: Counter[Rule] = Counter()

    def choose(self, asked: Asked, header: str | None) -> tuple[str, Options, Play]:
        """The scenario's name, the options, and what it answers. Raises ValueError for a play that does not exist.

        A request that is not admitted uses up no rule; its scenario is ``rejected``.
        """
        if rejected := fault(asked):
            return "rejected", self.options, rejected
        name, options = parse_play(header or self._by_rule(asked) or self.scenario, self.options)
        if name not in SCENARIOS:
            raise ValueError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        play = SCENARIOS[name](replace(asked, seen=self._played[name]), options)
        self._played[name] += 1
        redeems = isinstance(play, Reply) and asked.credit is not None
        return name, options, replace(play, redeemed=True) if redeems else play

    def _by_rule(self, asked: Asked) -> str | None:
        for rule in self.rules:
            if rule.fits(text=asked.text, model=asked.model) and (rule.times is None or self._used[rule] < rule.times):
                self._used[rule] += 1
                return rule.play
        return None
