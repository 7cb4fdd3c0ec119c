"""The survey of the ledger, and what Zyra's API refuses."""

from receiver.contract.ledger_facts import format_ms
from receiver.contract.survey import Status
from receiver.contract.survey import survey as survey_ledger
from receiver.contract.troubles import Trouble

from ..ledger.transitions import Ledger
from ..zyra.budget import list_refusals


def survey(ledger: Ledger) -> Status:
    """One look at the ledger and at the API's budget. Raises what Redis raises."""
    status = survey_ledger(ledger.client, ledger.keys)
    status.stuck.extend(
        Trouble(what=f"Zyra refuses {key}", count=1, since=format_ms(at), do="replace the key; its runs wait")
        for key, at in list_refusals(ledger.of_api).items()
    )
    return status
