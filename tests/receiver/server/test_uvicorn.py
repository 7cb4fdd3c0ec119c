"""What we rely on of uvicorn that its documentation does not promise; why it is capped in pyproject.toml."""

import asyncio
import inspect

from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from uvicorn.supervisors import multiprocess


def test_the_private_interface_of_uvicorn_is_as_we_use_it() -> None:
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(Config(None), ServerState(), {}, _loop=loop)  # type: ignore[arg-type]  # no application
    loop.close()
    cycle = set(inspect.signature(RequestResponseCycle).parameters)
    source = inspect.getsource(RequestResponseCycle)
    server, process = Server(Config(None)), multiprocess.Process(Config(None), [])  # type: ignore[arg-type]

    assert set(vars(protocol)) >= {
        "access_log", "access_logger", "app", "app_state", "connections", "cycle", "flow", "headers", "logger", "loop",
        "parser", "root_path", "scheme", "server_state", "tasks", "transport",
    }  # fmt: skip
    assert {
        "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers", "message_event",
        "expect_100_continue", "keep_alive", "on_response",
    } == cycle  # fmt: skip
    for name in (
        "body",
        "disconnected",
        "more_body",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    ):
        assert f"self.{name}" in source
    assert {"drain", "pause_reading", "resume_reading", "resume_writing"} <= set(dir(FlowControl))
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert all(map(callable, (get_local_addr, get_remote_addr, is_ssl)))
    assert server._captured_signals == []
    assert process._server is None
    assert inspect.signature(multiprocess.Multiprocess.__init__).parameters.keys() >= {"config", "sockets"}
    assert "Process(" in inspect.getsource(multiprocess.Multiprocess), "it makes its processes by the module's name"
    assert callable(multiprocess.Multiprocess.join_all)
    assert callable(multiprocess.Multiprocess.keep_subprocess_alive)
