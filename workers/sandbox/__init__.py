"""A Zyra to develop against: its API and its signed webhooks, as far as its public pages describe them.

state          what there is: the same ids at every start
api            the HTTP API over the whole route table: keys, roles, limits, envelopes
specification  describes it at /openapi.json, by the types of `forms`, against which requests are held
answers        which method answers which call; `machines` and `office` have them, `desk` what they share
life           what happens without a call; `levers` are the hand on it, `chaos` and `shapes` what goes otherwise
webhooks       posts state changes, signed, and again until they are taken
"""
