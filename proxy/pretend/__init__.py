"""A pretend Messages API on loopback: what `demur demo` and the tests have upstream instead of the real one.

A *scenario* is a function from what was asked to one `Reply`; the reply is rendered as a stream or as one message, as
the client wishes, so each scenario is written once. A *play* is a line that names a scenario and its options:
``"refusal_mid category=bio pace=0.01 encoding=gzip"``. Which play a request gets: its header ``x-pretend``, else the
first rule that fits it, else the server's scenario.

Everything secret that it sends (credit token, exemption token, cookies) is in `SECRETS`, so that a test can look for it
where it must not be. It never opens a connection, and stores nothing.
"""

from proxy.pretend.catalog import SECRETS
from proxy.pretend.options import Options, Rule
from proxy.pretend.received import Received
from proxy.pretend.scenarios import SCENARIOS
from proxy.pretend.server import Pretend

__all__ = ["SCENARIOS", "SECRETS", "Options", "Pretend", "Received", "Rule"]
