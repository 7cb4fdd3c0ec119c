"""All that both sides share, and nothing that only one side needs.

errors      what is wrong with a configuration, said once
secrets     values from the environment or from files, re-read when they change
settings    the environment, checked as a whole
tracing     spans for OpenTelemetry; `sentry` reports errors; `telemetry` refuses what cannot work
logs        one JSON line a record
keys        names in Redis: ids, jobs, keys
body        the one reader of bodies: JSON, urlencoded, multipart; `payload_paths` finds values in what it read
addresses   the SSRF guard
exposition  serves metrics
records     an event as it is kept, and the words for its states
formats     which format of records this release writes and reads
seal        the authenticated encryption of an event
connection  Redis, with bounded time; `slot` knows which node of a cluster; `redis_faults` says what is wrong with it
figures     what is computed of the ledger, for status and for `ledger_metrics`
survey      what status prints: `ledger_facts`, and the `troubles` that need somebody
memory      the collector of cycles, made rare
scripts     the Lua that every transition starts with
jobs        RQ's Job and Queue, tamed; `rq_names` imports RQ
"""
