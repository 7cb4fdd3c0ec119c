"""A Zyra to develop against: its API and its signed webhooks, as far as its public pages describe them.

state          what there is; `rows` has those of every start
api            the HTTP API over the whole route table: keys, roles, limits, envelopes
specification  describes it at /openapi.json, by the types of `bodies` and `resources`
answers        which method answers which call; `machines` and `office` have them, `desk` what they share
life           what happens without a call; `levers` are the hand on it, `chaos` and `shapes` what goes otherwise
webhooks       posts state changes, signed, and again until they are taken
"""
