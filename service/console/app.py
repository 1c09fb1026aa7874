"""The routes of the console, and which method of the API each of them calls."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import orjson
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from observability.callers import caller
from observability.logs import get_logger
from service import __version__
from service._generated import area_supervisor_pb2 as contract
from service._generated.area_types_pb2 import AuthenticatedJobData
from service._generated.supervisor.v1 import observer_pb2 as observer
from service.access.access import Refusal
from service.access.clients import Reason
from service.access.current_call import scope_of_call
from service.access.roles import may_call
from service.api.jobs_service import MAX_MESSAGE_BYTES, JobsService
from service.api.services import Closing
from service.console.assets import assets
from service.console.bodies import MOST_BODY, BadBody, message_of, parsed, read_json
from service.console.callers import Callers
from service.console.calls import CallFailed, call, stream
from service.console.day import Day
from service.console.events import events_of
from service.console.guards import Guards
from service.console.hosts import Hosts
from service.console.login import Login
from service.console.pages import page
from service.console.plain import plain
from service.console.streams import Check, lines_of
from service.errors import Denied

log = get_logger(__name__)

_CONTRACT = "area_supervisor.AreaSupervisorService"
_OBSERVER = "supervisor.v1.JobObserver"
_LIST = f"{_OBSERVER}/ListJobs"

_MOST_ROWS = 200  # of jobs in the list without JavaScript
_MOST_ERROR = 500  # of an error of our scripts, as a browser reports it (characters)


class Links(NamedTuple):
    """Where other tools are; empty if they are not named."""

    grafana: str = ""
    trace: str = ""  # with `{trace_id}`


class Console:
    """Answers browsers: each request for data is a call of the API, for the request's client."""

    def __init__(
        self, jobs: JobsService, jobs_observer: Any, callers: Callers, links: Links
    ) -> None:
        self._jobs, self._observer = jobs, jobs_observer
        self._callers, self._login = callers, Login(callers, _LIST)
        self._links = links
        self._closing = Closing()
        self._day = Day(jobs_observer.ListJobs)

    def close(self) -> None:
        """End all streams."""
        self._closing.close()

    def app(self, hosts: Hosts) -> ASGIApp:
        """The whole as an ASGI application."""
        get, post = ["GET"], ["POST"]
        routes = [
            Route("/", self._page, methods=get),
            *self._login.routes(),
            Route("/api/me", self._me, methods=get),
            Route("/api/job", self._asks("GetJob", observer.GetJobRequest), methods=get),
            Route("/api/jobs", self._asks("ListJobs", observer.ListJobsRequest), methods=get),
            Route("/api/names", self._asks("ListNames", observer.ListNamesRequest), methods=get),
            Route("/api/stats", self._asks("Stats", observer.StatsRequest), methods=get),
            Route("/api/findings", self._asks("Diagnose", observer.DiagnoseRequest), methods=get),
            Route("/api/day", self._last_day, methods=get),
            Route("/api/events", self._events, methods=get),
            Route("/api/logs", self._logs, methods=get),
            Route("/api/launch", self._launch, methods=post),
            Route("/api/kill", self._kill, methods=post),
            Route("/api/errors", self._note_error, methods=post),
            assets(),
        ]
        return Guards(Starlette(routes=routes), hosts)

    async def _page(self, request: Request) -> Response:
        found = self._callers.admit(request, _LIST)
        if isinstance(found, Refusal):
            await self._report_unless_missing(found)
            return self._login.ask(found)
        try:
            answer = await call(
                self._observer.ListJobs, observer.ListJobsRequest(page_size=_MOST_ROWS)
            )
        except CallFailed as failed:
            return HTMLResponse(page((), failed.text))
        return HTMLResponse(page(map(plain, answer.jobs), more=bool(answer.next_page_token)))

    async def _me(self, request: Request) -> Response:
        """Who the client is, what it may do, and where other tools are."""
        found = self._callers.admit(request, _LIST)
        if isinstance(found, Refusal):
            await self._report_unless_missing(found)
            return _refused(found)
        methods = {
            "launch": f"{_CONTRACT}/LaunchJob",
            "kill": f"{_CONTRACT}/KillJob",
            "logs": f"{_OBSERVER}/StreamLogs",
        }
        may = {name: may_call(found.role, method) for name, method in methods.items()}
        return _json(
            {
                "client": found.name,
                "role": found.role if self._callers.have_tokens else "",
                "may": may,
                "version": __version__,
                "grafana_url": self._links.grafana,
                "trace_url": self._links.trace,
            }
        )

    def _asks(self, name: str, kind: type[Message]) -> Callable[[Request], Awaitable[Response]]:
        """A route that calls a method of the observer, with the fields of the query."""

        async def answer(request: Request) -> Response:
            work = partial(self._call_observer, name, kind, request)
            return await self._answer(request, f"{_OBSERVER}/{name}", work)

        return answer

    async def _call_observer(
        self, name: str, kind: type[Message], request: Request
    ) -> dict[str, Any]:
        asked = message_of(kind, request.query_params)
        return plain(await call(getattr(self._observer, name), asked))

    async def _answer(
        self, request: Request, method: str, work: Callable[[], Awaitable[dict[str, Any]]]
    ) -> Response:
        """The answer of a call as JSON, or its error."""
        found = self._callers.admit(request, method)
        if isinstance(found, Refusal):
            return await self._refuse(method, found)
        try:
            return _json(await work())
        except CallFailed as failed:
            return _error(failed.status, failed.text)
        except Denied as denied:
            return await self._refuse(method, self._callers.denied(denied))
        except BadBody as bad:
            return _error(400, str(bad))

    async def _refuse(self, method: str, refusal: Refusal) -> Response:
        await self._callers.report(method, refusal)
        return _refused(refusal)

    async def _report_unless_missing(self, refusal: Refusal) -> None:
        """A page asks without a token whether one has to log in."""
        if refusal.reason is not Reason.MISSING:
            await self._callers.report(_LIST, refusal)

    async def _last_day(self, request: Request) -> Response:
        async def figures() -> dict[str, Any]:
            return await self._day.figures(scope_of_call())

        return await self._answer(request, _LIST, figures)

    async def _events(self, request: Request) -> Response:
        method = f"{_OBSERVER}/WatchJobs"
        found = self._callers.admit(request, method)
        if isinstance(found, Refusal):
            return await self._refuse(method, found)
        token = request.query_params.get("resume_token", "")
        changes = stream(self._observer.WatchJobs, observer.WatchJobsRequest(resume_token=token))
        return StreamingResponse(
            events_of(self._closing.until_closed(changes), self._check(request, method)),
            media_type="text/event-stream",
        )

    async def _logs(self, request: Request) -> Response:
        """Lines of JSON; the last one has the error, if there is one."""
        method = f"{_OBSERVER}/StreamLogs"
        found = self._callers.admit(request, method)
        if isinstance(found, Refusal):
            return await self._refuse(method, found)
        try:
            asked = message_of(observer.StreamLogsRequest, request.query_params)
        except BadBody as bad:
            return _error(400, str(bad))
        answers = stream(self._observer.StreamLogs, asked)
        lines = lines_of(answers, self._check(request, method), self._closing)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    def _check(self, request: Request, method: str) -> Check:
        """A check that the client of a stream may still have it, for the same jobs."""
        return partial(self._callers.check, request, method, scope_of_call())

    async def _launch(self, request: Request) -> Response:
        async def launch() -> dict[str, Any]:
            body = await read_json(request, most=MAX_MESSAGE_BYTES)
            asked = parsed(AuthenticatedJobData, body)
            return plain(await call(self._jobs.LaunchJob, asked))

        return await self._answer(request, f"{_CONTRACT}/LaunchJob", launch)

    async def _kill(self, request: Request) -> Response:
        async def kill() -> dict[str, Any]:
            asked = parsed(contract.JobId, await read_json(request, most=MAX_MESSAGE_BYTES))
            return plain(await call(self._jobs.KillJob, asked))

        return await self._answer(request, f"{_CONTRACT}/KillJob", kill)

    async def _note_error(self, request: Request) -> Response:
        """An error of our scripts goes to our log, and to nobody else."""

        async def note() -> dict[str, Any]:
            body = await read_json(request, most=MOST_BODY)
            text, where = (str(body.get(key, ""))[:_MOST_ERROR] for key in ("text", "where"))
            log.warning("console.script_failed", text=text, where=where, **caller().fields)
            return {}

        return await self._answer(request, _LIST, note)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)


def _refused(refusal: Refusal) -> Response:
    return _error(403 if refusal.reason is Reason.DENIED else 401, refusal.text)
