"""A Zyra to develop against: its API and its signed webhooks, as far as its public pages describe them.

state          what there is; `rows` has those of every start
api            the HTTP API over the whole route table: keys, roles, limits, envelopes
openapi        describes it at /openapi.json, by the types of `request_bodies` and `resources`
operations     which method answers which call; `compute` and `accounts` have them, `calls` what they share
catalogue      the event types, and what each says has changed
simulation     what happens without a call
control_api    triggers events and makes keys, for tests and `zyra-receiver sandbox`
chaos          faults on purpose
shapes         variants of what Zyra's pages leave open
in_process     the same as a transport of the clients, without a server
webhooks       posts state changes, signed, and again until they are taken
"""
