"""No regular expression takes quadratic time, whatever an unsigned sender writes."""

import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.strategies import from_regex

import receiver
from receiver.schemes import load_schemes

SAME = {"findall": "search", "finditer": "search", "sub": "search", "split": "search"}
SHORT, LONG = 1000, 4000  # repetitions; a quadratic pattern takes sixteen times as long
FINDING = settings(
    phases=[Phase.generate],
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(receiver.__path__, "receiver."):
        yield importlib.import_module(found.name)


def patterns() -> dict[str, tuple[re.Pattern[Any], set[str]]]:
    """Every pattern of the receiver's modules and of its rows, and the methods by which it is used."""
    found = {}
    for module in modules():
        text = inspect.getsource(module)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                methods = set(re.findall(rf"\b{name}\.(\w+)\(", text)) or {"fullmatch"}
                found[f"{module.__name__}.{name}"] = (value, {SAME.get(method, method) for method in methods})
    for name, row in load_schemes().items():
        texts = [one.pattern for one in row.handshakes] + [one.visit_pattern for one in row.handshakes]
        texts += [row.remote.pattern] if row.remote else []
        found |= {f"{name} {text}": (re.compile(text), {"fullmatch"}) for text in texts if text}
    return found


def is_long(least: int, text: Any) -> bool:
    return len(text) >= least


def pumped(pattern: re.Pattern[Any]) -> Iterator[Any]:
    """Texts that match for a while, in which each short part is repeated, with and without an end that fits nothing."""
    empty = b"" if isinstance(pattern.pattern, bytes) else ""
    bad: Any = b"\x00" if isinstance(pattern.pattern, bytes) else "\x00"
    for least in (0, 12):
        try:
            seed = find(from_regex(pattern, fullmatch=True), partial(is_long, least), settings=FINDING)
        except Exception:  # nothing so long matches
            continue
        for start in range(min(len(seed), 10)):
            for length in (1, 2):
                part = seed[start : start + length]
                if part:
                    yield lambda count, s=start, p=part, t=seed: empty.join([t[:s], p * count, bad])
                    yield lambda count, s=start, p=part, t=seed: empty.join([t[:s], p * count, t[s:], bad])
        for blank in ' \t,;="(':
            part = blank.encode() if isinstance(pattern.pattern, bytes) else blank
            yield lambda count, p=part, t=seed: empty.join([t, p * count, bad])


def seconds(pattern: re.Pattern[Any], text: Any, methods: set[str]) -> float:
    started = time.perf_counter()
    for method in methods:
        getattr(pattern, method)(text)
    return time.perf_counter() - started


def test_there_are_patterns() -> None:
    assert len(patterns()) > 30


def slow(pattern: re.Pattern[Any], methods: set[str]) -> Any:
    """What makes the pattern take more than linear time; None if nothing does."""
    for make in pumped(pattern):
        if seconds(pattern, make(LONG), methods) < 0.002:
            continue
        short, long = (min(seconds(pattern, make(count), methods) for _ in range(3)) for count in (SHORT, LONG))
        if long > 0.002 and long > 9 * short:  # the least of three, since the machine has other things to do
            return make(3)
    return None


@pytest.mark.parametrize("bad", [r"x[^\r]*;\s*name", r"a\s*\s*b"])
def test_a_quadratic_pattern_is_seen(bad: str) -> None:
    assert slow(re.compile(bad), {"search"})


@pytest.mark.parametrize(("pattern", "methods"), patterns().values(), ids=patterns())
def test_a_pattern_takes_linear_time(pattern: re.Pattern[Any], methods: set[str]) -> None:
    assert slow(pattern, methods) is None
