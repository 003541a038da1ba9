"""Listens, keeps the connections, and ends them in good order."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from collector.proxy.client import ClientSide
from collector.proxy.hub import Hub
from collector.proxy.options import ProxyOptions
from collector.ring import Ring
from remora.errors import UserError

__all__ = ["Proxy", "serve"]

_BACKLOG = 1024


class Proxy:
    """A listening proxy; `start` before anything else, `stop` once."""

    def __init__(self, options: ProxyOptions, ring: Ring) -> None:
        self.hub = Hub(options, ring)
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Returns the bound port. Raises UserError when the address cannot be had."""
        options = self.hub.options
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: ClientSide(self.hub), options.listen_host, options.listen_port, backlog=_BACKLOG
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
            raise UserError(
                f"cannot listen on {options.listen_name}: {reason}; choose another --listen"
            ) from None
        self._tick()
        return int(self._server.sockets[0].getsockname()[1])

    def _tick(self) -> None:
        self.hub.sweep()
        delay = min(1.0, self.hub.options.response_timeout / 4)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    async def stop(self, drain_seconds: float) -> None:
        """No new connections; exchanges under way may end within the limit, then everything is cut."""
        hub = self.hub
        hub.draining = True
        if self._server is not None:
            self._server.close()
        for client in tuple(hub.clients):
            client.drain()
        if hub.clients:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._until_empty(), drain_seconds)
        for client in tuple(hub.clients):
            client.close(hard=True)
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.wait_for(self._until_empty(), 5.0)

    async def _until_empty(self) -> None:
        while self.hub.clients:
            self.hub.empty.clear()
            await self.hub.empty.wait()


async def serve(
    options: ProxyOptions,
    ring: Ring,
    stop: asyncio.Event,
    drain_seconds: float = 10,
    *,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Forward until `stop` is set, then let running exchanges end within `drain_seconds`.

    `on_listening` is told the bound port. Raises UserError when the address cannot be had. Runs on any asyncio
    loop; uvloop is the one it is made for.
    """
    proxy = Proxy(options, ring)
    port = await proxy.start()
    try:
        if on_listening is not None:
            on_listening(port)
        await stop.wait()
    finally:
        await proxy.stop(drain_seconds)
