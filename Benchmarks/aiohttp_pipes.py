"""What people write today to feed a body to code that reads a pipe: aiohttp, and one of the two classic ways to write.

drain    loop.connect_write_pipe, StreamWriter.write and drain
threads  os.write in the loop's default thread pool

aiohttp_pipes.py WAY CA body URL                          the body to standard output
aiohttp_pipes.py WAY CA jobs COUNT INFLIGHT SIZE URL      COUNT small bodies, each through a pipe of its own
aiohttp_pipes.py WAY CA pipes                             says ready, and takes "DESCRIPTOR URL" lines from standard input
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys

import aiohttp

CHUNK = 64 << 10


class PipeProtocol(asyncio.streams.FlowControlMixin):
    """Says when the pipe has been closed, behind everything that was written."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if error is None:
            self.closed.set_result(None)
        else:
            self.closed.set_exception(error)


async def write_with_drain(response: aiohttp.ClientResponse, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(PipeProtocol, os.fdopen(descriptor, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    async for chunk in response.content.iter_chunked(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.close()
    await protocol.closed


def write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


async def write_with_threads(response: aiohttp.ClientResponse, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    async for chunk in response.content.iter_chunked(CHUNK):
        await loop.run_in_executor(None, write_all, descriptor, chunk)
    os.close(descriptor)


WAYS = {"drain": write_with_drain, "threads": write_with_threads}


async def fetch(session: aiohttp.ClientSession, way: str, url: str, descriptor: int) -> None:
    async with session.get(url) as response:
        response.raise_for_status()
        await WAYS[way](response, descriptor)


async def jobs(session: aiohttp.ClientSession, way: str, count: int, inflight: int, size: int, url: str) -> None:
    """Bodies that fit into a pipe, so that each can be read when it is all there."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            read_end, write_end = os.pipe()
            await fetch(session, way, f"{url}?{number}", write_end)
            got = 0
            while piece := os.read(read_end, CHUNK):
                got += len(piece)
            os.close(read_end)
            if got != size:
                raise SystemExit(f"{got} bytes instead of {size}")

    await asyncio.gather(*(worker() for _ in range(inflight)))
    print(count * size)


async def pipes(session: aiohttp.ClientSession, way: str) -> None:
    """Until standard input ends, and then until all is fetched."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    tasks = []
    while line := await lines.readline():
        descriptor, url = line.decode().split()
        tasks.append(asyncio.create_task(fetch(session, way, url, int(descriptor))))
    await asyncio.gather(*tasks)


async def main(way: str, authority: str, command: str, *arguments: str) -> None:
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=authority))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        if command == "body":
            await fetch(session, way, arguments[0], sys.stdout.fileno())
        elif command == "jobs":
            count, inflight, size = map(int, arguments[:3])
            await jobs(session, way, count, inflight, size, arguments[3])
        else:
            await pipes(session, way)


asyncio.run(main(*sys.argv[1:]))
