"""Benchmarks that print ratios of one run: absolute figures of a shared machine mean little.

stage     a fresh Redis, the processes of one measurement, their CPU time and memory
load      wrk in a closed loop, and an open loop at a fixed rate
systems   what is measured: ours, the naive receiver, RQ's SimpleWorker, and peers where they are installed
ingest    accepted and refused requests a second
dispatch  events a second from accepted to done
latency   how long an answer takes at a fixed rate, and until a handler starts
growth    the same with a large ledger
naive     the receiver that a tutorial would write: Starlette, a signature, RQ's Queue.enqueue
handlers  what the workers run, ours and RQ's
__main__  interleaved rounds, and the tables
"""
