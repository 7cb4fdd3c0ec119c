"""Benchmarks that print ratios of one run: absolute figures of a shared machine mean little.

naive     the receiver that a tutorial would write: Starlette, a signature, RQ's Queue.enqueue
handlers  a handler that does nothing, and the same as an RQ job
load      signed requests over kept connections
__main__  interleaved rounds, and the table
"""
