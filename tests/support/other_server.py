"""A server of other people: what was posted to it, with its headers, and what it answers."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Others:
    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.answer: Callable[[int], int] = lambda n: self.status  # by the number of what was posted before
        self.headers: dict[str, str] = {}
        self.body = b"ok"
        self.lost = 0  # answers that get lost on the way
        self.requests: list[str] = []
        self.url = ""

    @property
    def told(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


@contextlib.contextmanager
def listening() -> Iterator[Others]:
    found = Others()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # who sent it was killed
                return
            status = found.answer(len(found.got))
            found.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            found.requests.append(f"{self.command} {self.path}")
            if found.lost:
                found.lost -= 1
                return
            self.send_response(status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else found.body)

        do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/x?y=1"
    with served(server):
        yield found


@contextlib.contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    """The server answers, in a thread, and ends however the test does."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who is killed, or does not trust us, hangs up: that is no trouble of the test."""
