"""Status and metrics for people and monitors. Reads the ledger and changes nothing.

status          for `zyra-receiver status`: what is stuck, since when, what to do
search          finds events for people
metrics         for Prometheus
reconciliation  which webhooks never came, by what Zyra's API says
"""
