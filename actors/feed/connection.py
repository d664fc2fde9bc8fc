"""One WebSocket of the exchange, from the handshake to its end, as a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NoReturn

import aiohttp
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ExchangeClosed, ExchangeError, ExchangeUnavailable

CONNECT_S = 10.0  # for the handshake
CLOSE_S = 1.0  # for the exchange to answer a goodbye
MAX_FRAME_BYTES = 2**20  # what NATS takes in one message unless told otherwise; a book of 20 levels has 2 KiB
BAN_CAP_S = 3 * 86_400  # the longest the exchange bans an address for

TOO_MANY, BANNED = 429, 418


class Connection:
    """Hands the text of every frame to `hear` until it ends, and answers pings meanwhile.

    A connection that brings nothing for `silence_s` has ended, whatever TCP says.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        silence_s: float,
        hear: Callable[[bytes], None],
        clock: Clock,
    ) -> None:
        self._session = session
        self._url = url
        self._silence_s = silence_s
        self._hear = hear
        self._clock = clock
        self._heard = asyncio.Event()
        self._life = asyncio.create_task(self._live(), name="exchange connection")
        self._life.add_done_callback(lambda life: life.cancelled() or life.exception())  # nobody has to look

    @property
    def alive(self) -> bool:
        """Whether it brings events, as far as we know."""
        return self._heard.is_set() and not self._life.done()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._life.done()

    def reason(self) -> ExchangeError:
        """Why it has ended; raises what is no fault of the exchange's."""
        error = self._life.exception()
        assert error is not None  # it does not just return
        if isinstance(error, ExchangeError):
            return error
        raise error

    async def works(self) -> bool:
        """Wait for its first frame; False when it ends without one."""
        hearing = asyncio.create_task(self._heard.wait())
        try:
            await asyncio.wait({hearing, self._life}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
        return self._heard.is_set()

    async def lasts(self, seconds: float) -> bool:
        """Wait so long; False as soon as it ends."""
        await asyncio.wait({self._life}, timeout=seconds)
        return not self._life.done()

    async def close(self) -> None:
        """Say goodbye, and wait for the end."""
        self._life.cancel()
        await asyncio.wait({self._life})

    async def _live(self) -> NoReturn:
        async with await self._open() as socket:
            while True:
                frame = await self._next(socket)
                self._heard.set()
                self._hear(frame)

    async def _open(self) -> ClientWebSocketResponse[Literal[False]]:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await self._session.ws_connect(
                    self._url,
                    timeout=ClientWSTimeout(ws_close=CLOSE_S),
                    max_msg_size=MAX_FRAME_BYTES,
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise self._refusal(error) from error
        except TimeoutError:
            raise ExchangeUnavailable(f"the exchange did not answer within {CONNECT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ExchangeUnavailable(str(error) or type(error).__name__) from error

    async def _next(self, socket: ClientWebSocketResponse[Literal[False]]) -> bytes:
        """The text of the next frame; raises why there is none."""
        try:
            message = await socket.receive(self._silence_s)
        except TimeoutError:
            raise ExchangeUnavailable(f"the connection brought nothing for {self._silence_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:  # it was gone when a ping was to be answered
            raise ExchangeUnavailable(str(error) or type(error).__name__) from error
        match message.type:
            case WSMsgType.TEXT:
                text: bytes = message.data
                return text
            case WSMsgType.BINARY:
                raise ExchangeUnavailable("the exchange sent a frame that is no text")
            case WSMsgType.ERROR:
                raise ExchangeUnavailable(f"the exchange broke the protocol: {message.data}")
        raise ExchangeUnavailable(f"the exchange closed the connection (code {socket.close_code})")

    def _refusal(self, error: aiohttp.WSServerHandshakeError) -> ExchangeError:
        sentence = f"the exchange refused the connection with status {error.status}"
        after = error.headers.get("Retry-After", "") if error.headers else ""
        if error.status in (TOO_MANY, BANNED) and after.isdecimal():
            return ExchangeClosed(now_ms(self._clock) + 1000 * min(int(after), BAN_CAP_S), sentence)
        return ExchangeUnavailable(sentence)
