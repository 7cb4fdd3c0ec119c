"""What a verification costs by the kind of scheme: deliveries that others made, and those that we sign, of 2 KiB."""

import hmac
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from receiver.contract.records import Body
from receiver.delivery import Delivery
from receiver.schemes import load_schemes
from receiver.signatures import signing
from receiver.signatures.verify import decode_key, verify
from tests.support.signed import NOW, URL, deliver, secret
from tests.support.vectors import DATA, delivery, row

SIZE, TIMES = 2048, 300
OF_OTHERS = ("asym-key", "asym-remote", "jws-asym", "http-signatures", "hmac-fields", "hmac-url-form")


def micros(act: Callable[[], Any]) -> float:
    best = 1.0
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(TIMES):
            act()
        best = min(best, (time.perf_counter() - started) / TIMES)
    return best * 1e6


def plain() -> float:
    """HMAC-SHA256 of 2 KiB in hex, and nothing else."""
    key, body = b"k" * 32, b"x" * SIZE
    return micros(lambda: hmac.compare_digest(hmac.digest(key, body, "sha256").hex(), "0" * 64))


def measure() -> dict[str, list[tuple[float, str]]]:
    """Microseconds and the row, by primitive."""
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name, scheme in load_schemes().items():
        if not signing.find_obstacle(scheme):
            body = b"a=" + b"x" * (SIZE - 2) if scheme.body[0] is Body.FORM else b'{"a": "%b"}' % (b"x" * (SIZE - 9))
            key = decode_key(scheme, secret(scheme))
            one = deliver(scheme, signing.sign(scheme, key, body, "a", "e", NOW, URL))
            found[scheme.primitive].append((micros(lambda: verify(scheme, fresh(one), [key], NOW)), name))  # noqa: B023
    for entry in DATA["vectors"]:
        scheme = row(entry)
        if entry["valid"] and scheme.primitive in OF_OTHERS and not scheme.needs:
            keys = [decode_key(scheme, text) for text in entry["secrets"]]
            one = delivery(entry, scheme)
            act = lambda: verify(scheme, fresh(one), keys, entry["now"])  # noqa: B023, E731
            found[scheme.primitive].append((micros(act), scheme.title))
    return found


def fresh(one: Delivery) -> Delivery:
    """As it comes: nothing of it is read yet."""
    return Delivery(one.headers, one.body, one.method, one.url, one.raw)


def rows() -> list[tuple[str, str, str, str, str]]:
    base, lines = plain(), []
    for primitive, costs in sorted(measure().items()):
        middle, (worst, name) = statistics.median(cost for cost, _ in costs), max(costs)
        lines.append(
            (primitive, f"{middle:.1f}", f"{middle / base:.1f}", f"{worst:.1f} ({name})", f"{worst / base:.1f}")
        )
    return [("plain HMAC-SHA256", f"{base:.1f}", "1.0", "", ""), *lines]
