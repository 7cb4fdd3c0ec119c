"""Takes the steps of a call, blocking or not. No redirect, no proxy; answers are bounded in size and time."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx2

from receiver.contract.connection import FAULTS
from receiver.contract.tracing import ACTIVE

from ..errors import RetryLater
from .calls import Answer
from .effects import Do, Send, Step, Wait
from .errors import Unreachable, Unreadable

TIMEOUT = httpx2.Timeout(10.0, connect=3.0)
MAX_ANSWER_SECONDS = 60.0  # for an answer, from its first byte to its last
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # of an answer
MAX_FILE_BYTES = 256 * 1024 * 1024
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL)
Flow = Generator[Step, Any, Any]


def make_options(base_url: str) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "timeout": TIMEOUT,
        "follow_redirects": False,  # a redirect must never carry the key elsewhere
        "headers": {"user-agent": "zyra-receiver", "accept": "application/json", "accept-encoding": "identity"},
        "trust_env": False,
    }


def run(flow: Flow, http: httpx2.Client) -> Any:
    """What the flow returns."""
    value, failure = None, None
    with closing(flow):  # whatever ends us, the flow hears of it now and not some time later
        while True:
            try:
                step = flow.throw(failure) if failure else flow.send(value)
            except StopIteration as end:
                return end.value
            value, failure = None, None
            try:
                value = perform(step, http)
            except Exception as error:
                failure = error


async def run_async(flow: Flow, http: httpx2.AsyncClient) -> Any:
    value, failure = None, None
    with closing(flow):
        while True:
            try:
                step = flow.throw(failure) if failure else flow.send(value)
            except StopIteration as end:
                return end.value
            value, failure = None, None
            try:
                value = await perform_async(step, http)
            except Exception as error:
                failure = error


def perform(step: Step, http: httpx2.Client) -> Any:
    if isinstance(step, Wait):
        return time.sleep(step.seconds)
    if isinstance(step, Do):
        return ask_redis(step)
    until = time.monotonic() + MAX_ANSWER_SECONDS
    with (
        trace_call(step) as heard,
        translate_errors(step),
        http.stream(**make_request(step)) as response,
        open_sink(step, response) as into,
    ):
        got = AnswerReader(step, into, until)
        heard(response)
        for chunk in response.iter_bytes():
            got.add(chunk)
        return got.answer(response)


async def perform_async(step: Step, http: httpx2.AsyncClient) -> Any:
    if isinstance(step, Wait):
        return await asyncio.sleep(step.seconds)
    if isinstance(step, Do):
        return await asyncio.to_thread(ask_redis, step)
    until = time.monotonic() + MAX_ANSWER_SECONDS
    with trace_call(step) as heard, translate_errors(step):
        async with (
            asyncio.timeout(MAX_ANSWER_SECONDS + 1),
            http.stream(**make_request(step)) as response,
        ):  # headers may drip for ever
            heard(response)
            with open_sink(step, response) as into:
                got = AnswerReader(step, into, until)
                async for chunk in response.aiter_bytes():
                    got.add(chunk)
                return got.answer(response)


def ask_redis(step: Do) -> Any:
    """Raises RetryLater while Redis does not answer: that says nothing against the handler."""
    try:
        return step.act()
    except FAULTS as error:
        raise RetryLater(5, f"Redis does not answer: {type(error).__name__}") from error


def make_request(step: Send) -> dict[str, Any]:
    call = step.call
    headers = dict(step.headers)
    if step.content is None and call.body is not None:  # a login: it is made on the way of another call
        return {"method": call.route.method, "url": call.path, "headers": headers, "json": call.body}
    if step.content is not None:
        headers["content-type"] = "application/json"
    request = {"method": call.route.method, "url": call.path, "params": call.params or None, "headers": headers}
    return request if step.content is None else {**request, "content": step.content}


@contextmanager
def trace_call(step: Send) -> Iterator[Callable[[httpx2.Response], None]]:
    """A span for one request, where the attempt has one. The function that it gives takes the answer's head."""
    attempt = ACTIVE.get()
    if attempt is None:
        yield lambda response: None
        return
    route = step.call.route
    span = attempt.tracing.start(
        f"{route.method} {route.path}", "client", attempt, http__request__method=route.method, url__template=route.path
    )

    def heard(response: httpx2.Response) -> None:
        span.set(http__response__status_code=response.status_code)

    try:
        yield heard
    except BaseException as error:
        span.end(type(error).__name__)
        raise
    span.end()


@contextmanager
def translate_errors(step: Send) -> Iterator[None]:
    """httpx2's errors as ours; without its words, which may hold the key."""
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        failure = Unreachable(0, "unreachable", type(error).__name__, call=str(step.call))
        failure.unsent = isinstance(error, UNSENT)
        raise failure from None


@contextmanager
def open_sink(step: Send, response: httpx2.Response) -> Iterator[IO[bytes] | None]:
    """A file that is there once it is whole, where the answer is one."""
    if step.into is None or not response.is_success:
        yield None
        return
    path = Path(step.into)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


class AnswerReader:
    """An answer's content as it comes. Raises Unreadable where it is too long, in bytes or in time."""

    def __init__(self, step: Send, into: IO[bytes] | None, until: float) -> None:
        self._call = str(step.call)
        self._into = into
        self._begins = step.call.route.begins.encode()
        self._most = MAX_FILE_BYTES if into else MAX_ANSWER_BYTES
        self._chunks: list[bytes] = []
        self._until = until
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._most or time.monotonic() > self._until:
            reason = f"the answer is longer than {self._most} bytes, or takes more than {MAX_ANSWER_SECONDS:g} s"
            raise Unreadable(0, "too-long", reason, call=self._call)
        if self._into:
            self._into.write(chunk)
        else:
            self._chunks.append(chunk)

    def answer(self, response: httpx2.Response) -> Answer:
        if self._into and self._begins:
            self._into.seek(0)
            if self._into.read(len(self._begins)) != self._begins:
                kind = self._begins.decode()
                raise Unreadable(response.status_code, "unreadable", f"the file is no {kind}", call=self._call)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=headers, content=b"".join(self._chunks), size=self.size)
