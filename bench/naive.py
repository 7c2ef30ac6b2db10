"""The relay that everybody writes first: aiohttp on both sides. ``python -m bench.naive PORT UPSTREAM [read]``.

It comes in two forms: the request's body is passed on as it arrives, or, with ``read``, once it is whole.
"""

import sys

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict

HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "upgrade"}
SESSION = web.AppKey("session", aiohttp.ClientSession)
UPSTREAM = sys.argv[2]
WHOLE = "read" in sys.argv


def end_to_end(headers: "CIMultiDict[str]") -> "CIMultiDict[str]":
    return CIMultiDict((key, value) for key, value in headers.items() if key.lower() not in HOP_BY_HOP)


async def relay(request: web.Request) -> web.StreamResponse:
    headers = end_to_end(CIMultiDict(request.headers))
    url = UPSTREAM + request.path_qs
    session = request.app[SESSION]
    body = await request.read() if WHOLE else request.content
    async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
        response = web.StreamResponse(status=answer.status, headers=end_to_end(CIMultiDict(answer.headers)))
        await response.prepare(request)
        async for data in answer.content.iter_any():
            await response.write(data)
        await response.write_eof()
        return response


async def main() -> web.Application:
    app = web.Application(client_max_size=2**30)
    app[SESSION] = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
    app.router.add_route("*", "/{path:.*}", relay)
    return app


if __name__ == "__main__":
    web.run_app(
        main(), host="127.0.0.1", port=int(sys.argv[1]), loop=uvloop.new_event_loop(), access_log=None, print=None
    )
