"""From a popped job to a recorded end. Enter by `worker` and `clients`.

worker         RQ's worker: registers, forks, and hands over to the supervisor
supervisor     the parent: renews leases, watches its processes, replaces them
process_watch  what the parent knows of one process: its claims, heartbeat, deadline
process        a process: takes work, runs it, reports to the parent
pipe           what the two say to each other
claims         the units that a process holds, one place each
dispatch       decides which handlers want an event; `dispatcher` does it in batches
attempt        prepares an attempt, and says what its end means; `failures` say why it failed
flow_control   says whether an attempt may start now
performer      runs handlers: `threads` for `def`, `loop` for `async def`; `contexts` are what they run in
clients        the API clients that handlers are given
prints         makes lines of the log of what handlers print
recorder       writes how attempts ended; `tallies` are what is counted of each, `spans` what is traced
foreground     runs one attempt without a ledger, for `zyra-receiver run`
limits         memory and file descriptors of a process
pulse          what the supervisor shows the process that serves its health; `redis_wait` waits at its start
"""
