"""The receiver, along the flow of a delivery.

app         the ASGI endpoint: limits, deadline, one answer table
signatures  verifies the bytes as they came
schemes     how providers sign: data
sources     whom we listen to; the one door into trust
config      the sources from a file
inbox       ledger and queue in one step
durability  what this Redis can promise
watch       looks at Redis once a second, for readiness and back-pressure
metrics     counters
patience    a deadline that costs nothing where there is nothing to wait for
settings    the environment of the receiver
serve       uvicorn, with a drain before the end
contract    what the workers share
"""
