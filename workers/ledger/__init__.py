"""The record of every event and run, in Redis. Rooms above may enter by any of these modules; this one imports none.

transitions  every change but the receiver's, each one Lua script of `scripts`, which `composition` puts together
units        what transitions are given and answer; `sealed_errors` are a part of that
lane_key     by which lanes are named after their keys
blind_index  finds events by a value of their payload
query        reads the ledger for people
archive      events as lines of JSON; `reseal` moves them to another key
sweeper      returns lost work to the queue, once a second
"""
