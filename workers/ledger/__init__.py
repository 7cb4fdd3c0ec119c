"""The record of every event and run, in Redis. Rooms above may enter by any of these modules; this one imports none.

transitions  every change but the receiver's, each one Lua script of `scripts`
query        reads the ledger for people
sweeper      returns lost work to the queue, once a second
"""
