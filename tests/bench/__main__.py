"""make bench: interleaved rounds, medians, and ratios that were taken within each round.

ROUNDS (5), SECONDS (2) of each measurement, EVENTS (1000000) of the large ledger, ONLY (a comma list of parts),
CONCURRENCY (256) of our workers, PEERS=1 for the peers where they are installed.
"""

import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence

from . import cost, dispatch, growth, ingest, latency
from .dispatch import through_the_front_door, with_keys
from .systems import BLOCKING, BULLMQ, FASTIFY, NAIVE, SIMPLE, Receiver, Worker, ours, taskiq, with_peers, work

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "2"))
EVENTS = int(os.environ.get("EVENTS", "1000000"))
CONCURRENCY = int(os.environ.get("CONCURRENCY", "256"))
CONNECTIONS = [1, 16, 64, 256]
NOOP, CALLS = 60_000, 6_000  # events of one measurement
Rates = dict[str, list[float]]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row) + " |")
    print(flush=True)


def ratio(mine: Sequence[float], base: Sequence[float]) -> str:
    """Median of the ratios round by round: a shared machine drifts more between rounds than within one."""
    return f"{statistics.median(a / b for a, b in zip(mine, base, strict=True)):.2f}"


def middle(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def accepting() -> None:
    """Accepted requests a second, by system, durability and connections."""
    systems: dict[str, tuple[Receiver, str]] = {
        "ours, everysec": (ours(), "everysec"),
        "ours, always": (ours(), "always"),
        "ours, everysec, 2 processes": (ours(2), "everysec"),
        "ours, always, 2 processes": (ours(2), "always"),
        f"{NAIVE.name}, everysec": (NAIVE, "everysec"),
        f"{BLOCKING.name}, everysec": (BLOCKING, "everysec"),
    }
    if with_peers():
        systems[f"{FASTIFY.name}, everysec"] = (FASTIFY, "everysec")
    found: dict[str, list[dict[int, ingest.Measured]]] = {name: [] for name in systems}
    for number in range(ROUNDS):
        for name, (receiver, fsync) in systems.items():
            found[name].append(ingest.measure(receiver, CONNECTIONS, SECONDS, fsync))
            say(f"round {number} {name}: " + " ".join(f"c{n}={m.rate:.0f}/s" for n, m in found[name][-1].items()))
    for connections in CONNECTIONS:
        print(f"Accepted, {connections} connections")
        rates = {name: [one[connections].rate for one in rounds] for name, rounds in found.items()}
        bases = [name for name in (f"{NAIVE.name}, everysec", f"{FASTIFY.name}, everysec") if name in rates]
        rows = []
        for name, rounds in found.items():
            of = [one[connections] for one in rounds]
            rows.append(
                [
                    name, f"{middle(rates[name]):.0f}", *(ratio(rates[name], rates[base]) for base in bases),
                    ratio(rates[name], rates["ours, everysec"]), f"{middle(m.load.p99 for m in of) * 1000:.1f}",
                    f"{middle(m.server_us for m in of):.0f}", f"{middle(m.redis_us for m in of):.0f}",
                    f"{middle(m.bytes for m in of):.0f}", f"{middle(m.memory for m in of):.0f}",
                ]
            )  # fmt: skip
        head = ["system", "requests/s", *(f"x {base}" for base in bases), "x ours, everysec", "p99 ms", "server us"]
        table([*head, "Redis us", "Redis bytes", "PSS MiB"], rows)


def zyra() -> None:
    rates: Rates = {"zyra": [], "github": []}
    for number in range(ROUNDS):
        rates["zyra"].append(ingest.zyra(64, SECONDS).rate)
        rates["github"].append(ingest.measure(ours(), [64], SECONDS, "everysec")[64].rate)
        say(f"round {number} zyra {rates['zyra'][-1]:.0f}/s, github {rates['github'][-1]:.0f}/s")
    print(f"Accepted with scheme zyra, id in the payload, 64 connections: {middle(rates['zyra']):.0f}/s, "
          f"{ratio(rates['zyra'], rates['github'])} x scheme github; each of them one event, no duplicate\n")  # fmt: skip


def refusing() -> None:
    found = []
    for number in range(ROUNDS):
        found.append(ingest.refused(64, SECONDS))
        accepted, unsigned, commands = found[-1]
        say(f"round {number} accepted {accepted.rate:.0f}/s, refused {unsigned.rate:.0f}/s, {commands} Redis commands")
    times = ratio([unsigned.rate for _, unsigned, _ in found], [accepted.rate for accepted, _, _ in found])
    print(f"Refused, unsigned, 64 connections: {middle(u.rate for _, u, _ in found):.0f}/s, {times} x accepted, "
          f"{middle(u.server_us for _, u, _ in found):.0f} us of processor time each, "
          f"{max(commands for _, _, commands in found)} Redis commands\n")  # fmt: skip


def dispatching() -> None:
    """No-op handlers: events from accepted to done, and jobs of other libraries."""

    def mine(processes: int, kind: str) -> Worker:
        return work(processes, CONCURRENCY, through_the_front_door, kind)

    systems: dict[str, tuple[Callable[[], Worker], int]] = {
        "ours, 1 process": (lambda: mine(1, "noop"), NOOP),
        "ours, 2 processes": (lambda: mine(2, "noop"), NOOP),
        "ours, 1 process, async def": (lambda: mine(1, "async"), NOOP),
        "ours, 2 processes, async def": (lambda: mine(2, "async"), NOOP),
        "ours, 2 processes, 10,000 keys": (lambda: work(2, CONCURRENCY, with_keys, "noop"), NOOP),
        "ours, 2 processes, 10,000 keys, ordered": (lambda: work(2, CONCURRENCY, with_keys, "ordered"), NOOP),
        SIMPLE.name: (lambda: SIMPLE, 3000),
    }
    if with_peers():
        systems[BULLMQ.name] = (lambda: BULLMQ, NOOP)
    compare("No-op handlers", systems, [SIMPLE.name, BULLMQ.name], 6.0)


def calling() -> None:
    """Handlers that wait 50 ms for an HTTP answer."""

    def mine(processes: int, kind: str = "call") -> Worker:
        return work(processes, 128, through_the_front_door, kind)

    systems: dict[str, tuple[Callable[[], Worker], int]] = {
        "ours, 1 process, httpx2": (lambda: mine(1), CALLS),
        "ours, 2 processes, httpx2": (lambda: mine(2), CALLS),
    }
    if with_peers():
        systems["ours, 1 process, aiohttp"] = (lambda: mine(1, "aiohttp"), 2 * CALLS)
        systems["ours, 2 processes, aiohttp"] = (lambda: mine(2, "aiohttp"), 2 * CALLS)
        systems["taskiq, 2 processes"] = (lambda: taskiq("get"), 2 * CALLS)
    compare("Handlers with an HTTP call of 50 ms", systems, ["taskiq, 2 processes"], 6.0)


def compare(title: str, systems: dict[str, tuple[Callable[[], Worker], int]], bases: list[str], most: float) -> None:
    found: dict[str, list[dispatch.Measured]] = {name: [] for name in systems}
    for number in range(ROUNDS):
        for name, (worker, count) in systems.items():
            found[name].append(dispatch.measure(worker(), count, most))
            say(f"round {number} {title}, {name}: {found[name][-1].rate:.0f}/s")
    rates = {name: [one.rate for one in rounds] for name, rounds in found.items()}
    bases = [base for base in bases if base in rates]
    print(title)
    table(
        ["system", "a second", *(f"x {base}" for base in bases), "worker us", "Redis us", "PSS MiB"],
        [
            [
                name, f"{middle(rates[name]):.0f}", *(ratio(rates[name], rates[base]) for base in bases),
                f"{middle(m.worker_us for m in rounds):.0f}", f"{middle(m.redis_us for m in rounds):.0f}",
                f"{middle(m.memory for m in rounds):.0f}",
            ]
            for name, rounds in found.items()
        ],
    )  # fmt: skip


def waiting() -> None:
    for fsync in ("everysec", "always"):
        rounds = [latency.answers(500, 10, fsync) for _ in range(ROUNDS)]
        p50, p99 = (middle(latency.quantile(one, share) for one in rounds) * 1000 for share in (0.5, 0.99))
        print(f"Answers at 500 requests/s, {fsync}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    rounds = [latency.to_handler(100) for _ in range(ROUNDS)]
    p50, p99 = (middle(latency.quantile(one, share) for one in rounds) * 1000 for share in (0.5, 0.99))
    print(f"POST to handler start, idle: p50 {p50:.1f} ms, p99 {p99:.1f} ms\n")


def growing() -> None:
    def worker() -> Worker:
        return work(1, CONCURRENCY, through_the_front_door)

    found = growth.measure(EVENTS, ROUNDS, worker)
    for name in ("ingest", "dispatch"):
        small, large = ([getattr(one, name) for one in rounds] for rounds in (found.small, found.large))
        print(f"{name} with {found.events} events in the ledger: {ratio(large, small)} x with none "
              f"({middle(large):.0f}/s)")  # fmt: skip
    print(f"Redis memory for an event with a body of 2048 bytes: {found.waiting_bytes:.0f} bytes while it waits, "
          f"{found.done_bytes:.0f} once done; one idle worker deletes {found.expired_per_second:.0f} expired a second\n")  # fmt: skip


def verifying() -> None:
    print("Verification of a delivery of 2 KiB, by primitive; those of others are shorter")
    table(["primitive", "median us", "x plain HMAC", "worst us", "x plain HMAC"], cost.rows())


PARTS = {
    "verify": verifying,
    "ingest": accepting, "zyra": zyra, "reject": refusing, "dispatch": dispatching, "calls": calling,
    "latency": waiting, "growth": growing,
}  # fmt: skip


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("make bench drives the receiver with wrk: install it (on Debian: apt-get install wrk)")
    wanted = os.environ.get("ONLY", ",".join(PARTS)).split(",")
    if unknown := [name for name in wanted if name not in PARTS]:
        sys.exit(f"ONLY knows {', '.join(PARTS)}, and not {', '.join(unknown)}")
    with_peers()
    for name in wanted:
        PARTS[name]()


if __name__ == "__main__":
    main()
