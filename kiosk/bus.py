"""The unit's own bus: JSON lines over a Unix socket between the hub and its leaves.

The hub never waits for a leaf: sends do not block, and a leaf that does not read is dropped and told apart as a fault.
A leaf never needs the hub: `Leaf` keeps reconnecting and says whether anybody is there.
"""

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kiosk.messages import (
    MAX_BUS_LINE_BYTES,
    BadMessage,
    FromLeaf,
    Hello,
    Record,
    ToLeaf,
    parse_from_leaf,
    parse_to_leaf,
)

SEND_BUFFER_BYTES = 256 * 1024
MAX_PEERS = 16
RECONNECT_S = 0.25


class BusError(OSError):
    """The bus socket cannot be made or reached; its text says where and what to do."""


def encode(message: Record) -> bytes:
    """Return `message` as one JSON line."""
    return message.model_dump_json().encode() + b"\n"


class Lines:
    """Cuts a byte stream into lines, and drops a line that outgrows the limit."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines completed by `data`, without their newlines; an over-long line comes back as its first part."""
        self._buffer += data
        lines = []
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if not self._skipping:
                lines.append(line)
            self._skipping = False
        if len(self._buffer) > MAX_BUS_LINE_BYTES:
            if not self._skipping:
                lines.append(bytes(self._buffer))
            self._skipping = True
            self._buffer.clear()
        return lines


class Peer:
    """One connected leaf, as the hub sees it."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.lines = Lines()


class BusServer:
    """The hub's end: a thread that reads leaves and hands on what they say; `send` may be called from the main thread.

    `on_message(number, message)`, `on_bad(number, text)` and `on_gone(number)` run on the bus thread: they may only enqueue.
    Raises `BusError` when the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        on_message: Callable[[int, FromLeaf], None],
        on_bad: Callable[[int, str], None],
        on_gone: Callable[[int], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        self._on_message, self._on_bad, self._on_gone, self._on_death = on_message, on_bad, on_gone, on_death
        self._peers: dict[int, Peer] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._path = path
        self._listener = self._listen(path)
        self._wake_r, self._wake_w = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_r, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    @staticmethod
    def _listen(path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o660)
        except OSError as error:
            listener.close()
            raise BusError(f"bus socket {path}: {error.strerror}; check [unit] run_dir and its owner") from None
        listener.listen(8)
        listener.setblocking(False)
        return listener

    def _run(self) -> None:
        try:
            while not self._closing:
                for key, _ in self._selector.select():
                    self._ready(key)
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            self._accept()
        elif isinstance(key.data, Peer):
            self._read(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:  # no file descriptor left, or the caller has gone already
            self._on_bad(0, f"bus: a leaf could not be let in ({error.strerror})")
            return
        if len(self._peers) >= MAX_PEERS:
            sock.close()
            self._on_bad(0, f"bus: more than {MAX_PEERS} leaves; one was turned away")
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        with self._lock:
            self._count += 1
            peer = Peer(self._count, sock)
            self._peers[peer.number] = peer
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        for line in peer.lines.feed(data):
            try:
                self._on_message(peer.number, parse_from_leaf(line))
            except BadMessage as error:
                self._on_bad(peer.number, str(error))

    def _drop(self, peer: Peer) -> None:
        with self._lock:
            self._peers.pop(peer.number, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(peer.sock)
        peer.sock.close()
        self._on_gone(peer.number)

    def send(self, number: int, message: ToLeaf) -> bool:
        """Send without waiting; return False when the leaf is gone or does not read (it is then shut, and `on_gone` follows)."""
        with self._lock:
            peer = self._peers.get(number)
        if peer is None:
            return False
        data = encode(message)
        try:
            sent = peer.sock.send(data)
        except OSError:
            sent = 0
        if sent == len(data):
            return True
        with contextlib.suppress(OSError):  # already gone: the reader sees it as well
            peer.sock.shutdown(socket.SHUT_RDWR)
        return False

    def close(self) -> None:
        """Stop the thread and remove the socket."""
        self._closing = True
        self._wake_w.send(b"x")
        self._thread.join(2)
        for peer in list(self._peers.values()):
            peer.sock.close()
        for sock in (self._listener, self._wake_r, self._wake_w):
            sock.close()
        self._selector.close()
        self._path.unlink(missing_ok=True)


class Leaf:
    """A leaf's end: one thread that connects, says hello, reads, and reconnects for as long as it lives.

    `on_message(message)` and `on_link(connected)` run on that thread: they may only enqueue.
    """

    def __init__(
        self,
        path: Path,
        hello: FromLeaf,
        on_message: Callable[[ToLeaf], None],
        on_link: Callable[[bool], None],
        on_bad: Callable[[str], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        self._path, self._hello = path, hello
        self._on_message, self._on_link, self._on_bad, self._on_death = on_message, on_link, on_bad, on_death
        self._sock: socket.socket | None = None
        self.turned_s = time.monotonic()
        """When this end's thread last turned, about once a second; one that does not hangs."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leaf", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self.turned_s = time.monotonic()
                self._session()
                self._closing.wait(RECONNECT_S)
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _session(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                sock.connect(str(self._path))
                sock.sendall(encode(self._hello))
            except OSError:
                return
            if isinstance(self._hello, Hello):
                self._hello = self._hello.model_copy(update={"again": True})
            sock.settimeout(1.0)
            self._sock = sock
            self._on_link(True)
            try:
                self._read(sock)
            finally:
                self._sock = None
                self._on_link(False)

    def _read(self, sock: socket.socket) -> None:
        lines = Lines()
        while not self._closing.is_set():
            self.turned_s = time.monotonic()
            try:
                data = sock.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            for line in lines.feed(data):
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            self._on_message(parse_to_leaf(line))
        except BadMessage as error:
            self._on_bad(str(error))

    def send(self, message: FromLeaf) -> bool:
        """Send one message; return False when the hub is not there. Waits at most a second for a slow hub."""
        sock = self._sock
        if sock is None:
            return False
        try:
            sock.sendall(encode(message))
        except OSError:
            with contextlib.suppress(OSError):  # half a line may be out: what follows must begin a new stream
                sock.shutdown(socket.SHUT_RDWR)
            return False
        return True

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(2)


def ask(path: Path, question: FromLeaf, timeout_s: float) -> ToLeaf:
    """Ask the hub one thing and return its first answer; raise `BusError` when there is none within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(timeout_s)
            sock.connect(str(path))
            sock.sendall(encode(question))
            lines = Lines()
            while time.monotonic() < deadline_s:
                data = sock.recv(65536)
                if not data:
                    break
                for line in lines.feed(data):
                    return parse_to_leaf(line)
        except OSError as error:
            raise BusError(f"bus socket {path}: {error}; is `stayby alertd` running?") from None
    raise BusError(f"bus socket {path}: the hub did not answer in {timeout_s:g} s; look at its log")


def runtime_socket(run_dir: Path) -> Path:
    """Return the bus socket's path in the unit's run folder."""
    return Path(os.fspath(run_dir)) / "bus.sock"
