"""Status and metrics for people and monitors. Reads the ledger and changes nothing.

figures         what both of these compute: the age of the oldest event, the share of Redis' memory
status          for `zyra-receiver status`: what is stuck, since when, what to do
metrics         for Prometheus
reconciliation  which webhooks never came, by what Zyra's API says
"""
