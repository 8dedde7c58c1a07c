"""One connection to a vendor: a request goes out in one piece, its answer is read to the end and no further.

The parser is llhttp (through `httptools`); nothing here retries, redirects, keeps cookies or reads proxies behind our
back. How long an answer may be and how long it may take is bounded, so that no server can hold or fill this process.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

import httptools

from activation.errors import OutcomeUnknownError

if TYPE_CHECKING:
    import ssl

ANSWER_SECONDS = 30.0  # a body that drips arrives within this or not at all
ANSWER_BYTES = 4_000_000
MOST_HEADERS = 100


class Answer:
    """An answer as it comes in. Names of headers are in lower case; what comes twice is joined with a comma."""

    __slots__ = ("_parser", "chunks", "headers", "is_begun_again", "is_complete", "is_reusable", "lines", "status")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.lines = 0
        self.is_complete = False
        self.is_begun_again = False
        self.is_reusable = False

    def feed(self, data: bytes) -> None:
        """More of it.

        Raises:
            httptools.HttpParserError: if this is not HTTP.
        """
        self._parser.feed_data(data)

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return b"".join(self.chunks)

    @property
    def ends_with_the_connection(self) -> bool:
        """Whether its length was not told, so that hanging up is its end."""
        return self.status > 0 and not {"content-length", "transfer-encoding"} & self.headers.keys()

    @property
    def told_length(self) -> int:
        """The length of the body, if it was told; 0 if not."""
        told = self.headers.get("content-length", "")
        return int(told) if told.isdecimal() else 0

    # What the parser calls

    def on_message_begin(self) -> None:
        """An answer begins; after the end of the one that was asked for, that is one too many."""
        self.is_begun_again = self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head."""
        if self.is_complete:
            return
        self.lines += 1
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """The head is there."""
        if not self.is_complete:
            self.status = self._parser.get_status_code()
            self.is_reusable = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.is_complete:
            self.chunks.append(data)

    def on_message_complete(self) -> None:
        """The end; what only says that an answer will come (100 to 199) is none."""
        if self.status >= 200:
            self.is_complete = True
        else:
            self.status = 0
            self.headers.clear()


class Wire:
    """One open connection, for one request at a time."""

    __slots__ = ("_socket",)

    def __init__(self, connected: socket.socket | ssl.SSLSocket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def has_ended(self) -> bool:
        """Whether it has something to say though nothing was asked: the other side has hung up."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def exchange(self, request: bytes) -> tuple[Answer, bool]:
        """Send this and read the answer; it, and whether the connection can carry another request.

        Raises:
            OutcomeUnknownError: if the answer is too long, too slow or breaks off.
            OSError: if the connection fails.
            httptools.HttpParserError: if what came is not HTTP.
        """
        self._socket.sendall(request)
        answer = Answer()
        size, deadline = 0, time.monotonic() + ANSWER_SECONDS
        while not answer.is_complete:
            data = self._socket.recv(65536)
            if not data:
                if answer.ends_with_the_connection:
                    return answer, False
                raise OutcomeUnknownError(
                    "The answer broke off." if size else "It hung up without an answer.", answer.status or None
                )
            size += len(data)
            answer.feed(data)
            is_long = max(size, answer.told_length) > ANSWER_BYTES or answer.lines > MOST_HEADERS
            if not answer.is_complete and (is_long or time.monotonic() > deadline):
                raise OutcomeUnknownError("The answer was too long or too slow to be read.", answer.status or None)
        return answer, answer.is_reusable and not answer.is_begun_again
