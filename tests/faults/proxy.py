"""A TCP proxy before Redis that delays, cuts, swallows, throttles or resets, when told to."""

import asyncio
import threading


class Proxy:
    """Listens on a port of 127.0.0.1 and speaks to a unix socket. Faults are set from any thread."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.delay = 0.0  # seconds before each reply
        self.swallow = 0  # replies to drop, the connection with them
        self.cut_before = 0  # requests to drop, the connection with them
        self.cut_after = 0  # replies after which the connection is cut
        self.withhold = False  # requests never arrive
        self.throttle = 0  # bytes a second of replies; 0 is no limit
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, up_writer}
        await asyncio.gather(self._ask(reader, up_writer), self._reply(up_reader, writer, up_writer))
        self._writers -= {writer, up_writer}

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.cut_before > 0:
                    self.cut_before -= 1
                    break
                if not self.withhold:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.close()

    async def _reply(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay + (len(data) / self.throttle if self.throttle else 0))
                if self.swallow > 0:
                    self.swallow -= 1
                    break
                writer.write(data)
                await writer.drain()
                if self.cut_after > 0:
                    self.cut_after -= 1
                    break
        except OSError:
            pass
        writer.close()
        other.close()

    def reset(self) -> None:
        """Cuts every connection."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in list(self._writers)])
