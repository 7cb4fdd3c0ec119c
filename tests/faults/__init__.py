"""Faults on purpose, and a count of what they cost: `make faults`, `make soak`.

handlers  write what they did to a file outside Redis
sender    signs and retries like a provider
proxy     stands between a process and Redis, and misbehaves as told
world     Redis, receivers and workers as real processes that can be killed
checker   compares what was sent, acknowledged and handled
row       one fault in one world; *_rows are the faults, matrix is their order
without   a worker with a guard off, for the rows that must fail
nemesis   faults at random, from a seed, for as long as you like
"""
