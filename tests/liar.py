"""A broker that lies: it stands before the real one, confirms what is published on some topics, and drops it."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.mqtt import tls_context

PUBLISH, PUBACK = 3, 4
QOS = 0b0110


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """Return the next MQTT packet as it came; raise `IncompleteReadError` when there is none."""
    head = await reader.readexactly(1)
    left = shift = 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        left |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return head + await reader.readexactly(left)


def _published(packet: bytes) -> tuple[str, bytes] | None:
    """Return topic and packet id of a message that wants to be confirmed; None of anything else."""
    if packet[0] >> 4 != PUBLISH or not packet[0] & QOS:
        return None
    start = next(place for place in range(1, 5) if packet[place] < 0x80) + 1
    size = int.from_bytes(packet[start : start + 2], "big")
    end = start + 2 + size
    return packet[start + 2 : end].decode(), packet[end : end + 2]


class Liar:
    """Takes connections of one client, who signs in with `section`; lies about each message that `wanted` names.

    `section` of the instance is what the client is given in its place.
    """

    def __init__(self, broker: PrivateBroker, section: BrokerSection, wanted: Callable[[str, bytes], bool]) -> None:
        self._broker, self._real, self._wanted = broker, section, wanted
        self.dropped: list[str] = []
        self.lies = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="liar", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    @property
    def section(self) -> BrokerSection:
        """The `[broker]` table of whoever is lied to."""
        assert self._server is not None
        return self._real.model_copy(update={"port": self._server.sockets[0].getsockname()[1]})

    async def _listen(self) -> asyncio.Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._broker.folder / "broker.pem", self._broker.folder / "broker.key")
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._tasks.add(own)
        context = tls_context(self._real)
        up_reader, up_writer = await asyncio.open_connection(self._real.host, self._real.port, ssl=context)
        self._writers |= {writer, up_writer}
        pumps = [self._up(reader, up_writer, writer), self._down(up_reader, writer)]
        running = [asyncio.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for each in (writer, up_writer):
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(own)

    async def _up(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        while True:
            packet = await _packet(reader)
            message = _published(packet)
            if message and self.lies and self._wanted(message[0], packet):
                self.dropped.append(message[0])
                back.write(bytes([PUBACK << 4, 2]) + message[1])
            else:
                up.write(packet)

    @staticmethod
    async def _down(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            back.write(data)
