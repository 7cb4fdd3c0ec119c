"""The receiver, along the flow of a delivery.

app         the ASGI application, put together
endpoint    the way of a delivery: limits, deadline, its handshake or its event
answers     one answer table
signatures  verifies the bytes as they came
schemes     how providers sign: data
handshakes  what providers ask before they deliver
remote_keys the public keys that some of them sign with, and `fetching`, which gets them
sources     whom we listen to; the one door into trust
labels      what a verified delivery is called: identity, type, marks
signing     signs as a provider does, on `drafts`: for `send` and tests
config      the sources from a file
inbox       ledger and queue in one step
durability  what this Redis can promise
watch       looks at Redis once a second, for readiness and back-pressure
notices     what operators are told once a second: refusals, with a diagnosis, and secrets in use
metrics     counters
settings    the environment of the receiver
server      uvicorn, and the bounds on its connections
contract    what the workers share
"""
