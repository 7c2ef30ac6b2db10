"""The server: takes a request, finds its play, has it delivered, and remembers what came."""

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Self

import msgspec
from aiohttp import web
from msgspec.structs import replace

from proxy.pretend.asked import Asked, read_asked
from proxy.pretend.casting import HEADER, Casting
from proxy.pretend.catalog import batch, model_info, model_list
from proxy.pretend.delivery import Answer, Ticker, deliver, hang_up
from proxy.pretend.events import message
from proxy.pretend.options import Options, Rule
from proxy.pretend.received import Received
from proxy.pretend.reply import HangUp, HttpError, Json, Reply
from proxy.pretend.scenarios import answer, declined
from proxy.pretend.surfaces import (
    API,
    BEDROCK,
    REQUEST_ID_HEADERS,
    VERTEX,
    Surface,
    error_answer,
    json_answer,
    jsonl_answer,
    message_answer,
    stream_answer,
)

type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEPT = 1000
"""How many requests are remembered."""
MAX_BODY = 256 * 2**20


class Pretend:
    """A pretend Messages API, used as ``async with Pretend("refusal") as api: ... api.url ...``.

    `scenario` is a play, such as ``"refusal category=bio"``. It, the rules and the options may be changed at any time,
    in `cast`. `requests` holds what came, the newest last.
    """

    def __init__(self, scenario: str = "answer", *, rules: Sequence[Rule] = (), options: Options | None = None) -> None:
        self.cast = Casting(scenario, rules, options or Options())
        self.requests: deque[Received] = deque(maxlen=KEPT)
        self.url = ""
        self._series = secrets.token_hex(4)
        self._serial = count(1)
        self._ticker = Ticker()
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> str:
        """Listens, and gives the URL. Port 0 takes any free one. Raises OSError when it cannot."""
        runner = web.AppRunner(
            self._app(), handler_cancellation=True, auto_decompress=False, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        bound: int = runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://{host}:{bound}"
        return self.url

    async def stop(self) -> None:
        """Closes the listener and every open answer."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def step(self, count: int = 1) -> None:
        """Lets `count` more events go, where the option ``stepped`` is set."""
        self._ticker.step(count)

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits until `true`; it is asked again whenever a request came, an event was sent, or an answer ended."""
        async with self._news:
            await self._news.wait_for(true)

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_routes(
            [
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count_tokens),
                web.get("/v1/messages/batches/{id}", self._fixed(self._batch)),
                web.get("/v1/messages/batches/{id}/results", self._batch_results),
                web.get("/v1/models", self._fixed(lambda _: model_list())),
                web.get("/v1/models/{id}", self._fixed(lambda request: model_info(request.match_info["id"]))),
                web.head("/", self._fixed(lambda _: {})),
                web.get("/api/hello", self._fixed(lambda _: {"message": "hello"})),
                web.post("/model/{model}/{verb:invoke|invoke-with-response-stream}", self._bedrock),
                web.post("/v1/projects/{path:.*}/models/{model}:{verb:rawPredict|streamRawPredict}", self._vertex),
                web.route("*", "/{path:.*}", self._unknown),
            ]
        )
        return app

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        return await self._play(request, API)

    async def _bedrock(self, request: web.Request) -> web.StreamResponse:
        stream = request.match_info["verb"] != "invoke"
        return await self._play(request, BEDROCK, model=request.match_info["model"], stream=stream)

    async def _vertex(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["model"] == "count-tokens":
            return await self._count_tokens(request)
        stream = request.match_info["verb"] == "streamRawPredict"
        return await self._play(request, VERTEX, model=request.match_info["model"], stream=stream)

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        received = await self._receive(request)
        counted = {"input_tokens": len(received.body) // 4}
        return await self._send(request, received, json_answer(counted, self._request_id()))

    async def _batch_results(self, request: web.Request) -> web.StreamResponse:
        received = await self._receive(request)
        asked = Asked(
            model="claude-opus-5",
            stream=False,
            text="",
            tool_result=False,
            betas=frozenset(),
            fallback="",
            input_tokens=412,
        )
        told = [self._item(n, play(asked, self.cast.options)) for n, play in enumerate((answer, declined))]
        return await self._send(request, received, jsonl_answer(told, self._request_id()))

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        received = await self._receive(request)
        error = HttpError(status=404, kind="not_found_error", message=f"Not found: {request.method} {request.path}")
        return await self._send(request, received, error_answer(API, error, self._request_id()))

    def _fixed(self, told: Callable[[web.Request], Json]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            received = await self._receive(request)
            return await self._send(request, received, json_answer(told(request), self._request_id()))

        return handle

    def _batch(self, request: web.Request) -> Json:
        name = request.match_info["id"]
        return batch(name, f"{request.scheme}://{request.host}/v1/messages/batches/{name}/results")

    def _item(self, number: int, reply: Reply) -> Json:
        result = {"type": "succeeded", "message": message(reply, self._message_id())}
        return {"custom_id": f"item-{number}", "result": result}

    async def _play(
        self, request: web.Request, surface: Surface, *, model: str = "", stream: bool | None = None
    ) -> web.StreamResponse:
        received = await self._receive(request)
        betas = [name.strip() for line in request.headers.getall("anthropic-beta", []) for name in line.split(",")]
        request_id = self._request_id(surface)
        try:
            asked = read_asked(received.body, betas=betas, model=model, stream=stream)
            received.scenario, options, play = self.cast.choose(asked, request.headers.get(HEADER))
        except (ValueError, msgspec.DecodeError) as error:
            fault = HttpError(status=400, kind="invalid_request_error", message=str(error))
            return await self._send(request, received, error_answer(surface, fault, request_id))
        if isinstance(play, HangUp):
            received.ended = "cut"
            hang_up(request)
            await self._tell()
            return web.Response()
        if isinstance(play, HttpError):
            told = error_answer(surface, play, request_id)
        elif asked.stream:
            told = stream_answer(surface, play, options, self._message_id(), request_id)
        else:
            told = message_answer(surface, play, self._message_id(), request_id)
        return await self._send(request, received, told, options)

    async def _receive(self, request: web.Request) -> Received:
        received = Received(
            method=request.method, target=request.raw_path, headers=request.raw_headers, body=await request.read()
        )
        self.requests.append(received)
        await self._tell()
        return received

    async def _send(
        self, request: web.Request, received: Received, told: Answer, options: Options | None = None
    ) -> web.StreamResponse:
        async def sent() -> None:
            received.sent += 1
            await self._tell()

        received.request_id = next(value for name, value in told.headers if name in REQUEST_ID_HEADERS)
        promptly = replace(self.cast.options, pace=0.0, stepped=False)
        ended = "left"
        try:
            response = await deliver(request, told, options or promptly, self._ticker, sent)
            ended = "cut" if told.cut else "whole"
        finally:
            received.ended = ended
            await self._tell()
        return response

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _request_id(self, surface: Surface = API) -> str:
        return f"{surface.request_id_prefix}{self._series}{next(self._serial):010d}"

    def _message_id(self) -> str:
        return f"msg_01{self._series}{next(self._serial):012d}"
