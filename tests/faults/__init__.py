"""Faults on purpose, and a count of what they cost: `make faults`.

handlers  write what they did to a file outside Redis
sender    signs and retries like a provider
proxy     stands between a process and Redis, and misbehaves as told
world     Redis, receivers and workers as real processes that can be killed
checker   compares what was sent, acknowledged and handled
rows      one fault each; with CONTROL=1 a guard is off, and the row must fail
"""
