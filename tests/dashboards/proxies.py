"""Small proxies that hand on what lies below a path, with the path or without it."""

import asyncio
import contextlib
import threading

REFUSED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Hands on requests below `prefix` to a server of this machine, and notes all others.

    Each connection carries one request: what follows its head is handed on as it is.
    """

    def __init__(self, address, prefix, keeps):
        self.port = int(address.rpartition(":")[2])
        self.prefix, self.keeps, self.strays = prefix, keeps, []

    async def serve(self, started):
        """Serve until cancelled."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            if path.startswith(self.prefix + "/"):
                await self._hand_on(head, path, reader, writer)
            else:
                self.strays.append(f"{method} {path}")
                writer.write(REFUSED)
                await writer.drain()
        writer.close()

    async def _hand_on(self, head, path, reader, writer):
        kept = path if self.keeps else path.removeprefix(self.prefix)
        first, *lines = head.replace(f" {path} ", f" {kept} ", 1).rstrip().split("\r\n")
        if not any(line.lower().startswith("upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith("connection:")]
            lines.append("Connection: close")
        lines.append("X-Forwarded-For: 192.0.2.7")
        its_reader, its_writer = await asyncio.open_connection("127.0.0.1", self.port)
        its_writer.write("\r\n".join([first, *lines, "", ""]).encode("latin-1"))
        ways = [copied(reader, its_writer), copied(its_reader, writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():  # the browser has said all, but not heard all
            await tasks[1]
        tasks[0].cancel()
        its_writer.close()


async def copied(reader, writer):
    with contextlib.suppress(OSError):
        while content := await reader.read(2**16):
            writer.write(content)
            await writer.drain()
        writer.write_eof()


@contextlib.contextmanager
def proxied(address, prefix, keeps):
    """Run a proxy before a server; yields the proxy."""
    proxy, loop, started = (
        Proxy(address, prefix, keeps),
        asyncio.new_event_loop(),
        threading.Event(),
    )
    task = loop.create_task(proxy.serve(started))

    def run():
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
