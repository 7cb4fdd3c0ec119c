"""A run of an event whose handler calls the sandbox, attempt after attempt."""

from dataclasses import dataclass, field, replace

import httpx2

from receiver.contract.seal import Seal
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Outcome, Verdict
from workers.zyra import Zyra
from workers.zyra.budget import Budget
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey
from workers.zyra.journal import Journal
from workers.zyra.journal import list_calls as calls_of
from workers.zyra.routes import Limits
from workers.zyra.transport import make_options

from .sandbox import KEY, Sandbox

HANDLER = "m.f"


class Line(httpx2.BaseTransport):
    """The way to the sandbox: loses the answers it is told to lose, or never sends."""

    def __init__(self) -> None:
        self._real = httpx2.HTTPTransport()
        self.plan: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        what = self.plan.pop(0) if self.plan and request.method != "GET" else ""
        if what == "unsent":
            raise httpx2.ConnectError("no way")
        if what == "500":
            return httpx2.Response(500, json={"error": "before"})
        response = self._real.handle_request(request)
        if what == "lost":
            response.read()
            raise httpx2.ReadTimeout("no answer")
        if what == "html":
            response.read()
            return httpx2.Response(200, text="<html>log in</html>")
        return response

    def close(self) -> None:
        self._real.close()


@dataclass
class Run:
    """A run of an event, and a client for each attempt of it."""

    ledger: Ledger
    seal: Seal
    sandbox: Sandbox
    claim: Claim
    line: Line = field(default_factory=Line)
    key: str = "e5c0a1"

    @property
    def caller(self) -> Caller:
        rich = Limits(create=10_000, read=10_000)
        return Caller(ring=ApiKey(lambda: KEY), budget=Budget(self.ledger.of_api, rich, 0.1))

    def journal(self) -> Journal:
        claim = self.claim
        return Journal(self.ledger, self.seal, claim.unit, claim.token, claim.attempt, self.key)

    def attempt(self) -> Zyra:
        http = httpx2.Client(transport=self.line, **make_options(self.sandbox.url))
        return Zyra(self.sandbox.url, caller=replace(self.caller, journal=self.journal(), who=HANDLER), http=http)

    def again(self) -> Zyra:
        """The next attempt, after the one before has failed."""
        self.ledger.finish([Outcome(unit=self.claim.unit, token=self.claim.token, verdict=Verdict.FAILED, delay=0.0)])
        self.ledger.sweep()
        (self.claim,) = self.ledger.take([], 1)
        return self.attempt()

    def outcomes(self) -> list[tuple[str, str]]:
        return [(one["call"], one["outcome"]) for one in calls_of(self.ledger, self.seal, self.claim.unit)]
