"""The receiver, along the flow of a delivery.

server          uvicorn, and the bounds on its connections
app             the ASGI application, put together
endpoint        one request: limits, deadline, then a handshake or an event
responses       what each outcome answers; `errors` are the refusals
delivery        a request, not trusted yet, and the places in it
sources         whom we listen to; the one door into trust
source_keys     the keys of a source, and how often each was used
handshakes      what providers ask before they deliver
signatures      the engine that verifies
remote          public keys that providers publish
labels          identity, type and marks of a verified delivery
redis_connections  the receiver's own connections to Redis
inbox           writes ledger and queue in one step, `accept.lua`
schemes         how providers sign: data
config          reads the sources from a file; `source_options` checks their options
settings        the environment of the receiver
durability      what this Redis can promise
readiness       looks at Redis once a second, for health and back-pressure; `outage` says when 503s begin and end
notices         tells operators which deliveries were refused, and which secrets are used
reports         what `status` shows of receivers
heartbeat       a dead man's switch
metrics         counters
health          the health check of a container, without the rest
delivery_log    a line in the log for each delivery, with the `client_address` of refused ones
contract        what receiver and workers share
"""
