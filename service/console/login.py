"""Logging in and out: the form for a token, and the cookie that the browser has from then on."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from service.access.access import Refusal
from service.access.clients import Reason
from service.console.bodies import MOST_BODY, BadBody, read_field
from service.console.callers import Callers
from service.console.pages import login_page


class Login:
    """Lets in whose token may call the method of the first page."""

    def __init__(self, callers: Callers, method: str) -> None:
        self._callers, self._method = callers, method

    def routes(self) -> Sequence[Route]:
        """The routes of the form."""
        return [
            Route("/login", self._to_page, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    def ask(self, refusal: Refusal) -> Response:
        """The form, which says what is wrong with the token that there was."""
        wrong = "" if refusal.reason is Reason.MISSING else refusal.text
        answer = HTMLResponse(login_page(wrong), 401)
        if refusal.reason is Reason.UNKNOWN:
            self._callers.log_out(answer)
        return answer

    async def _to_page(self, _: Request) -> Response:
        return RedirectResponse("/", 303)

    async def _log_in(self, request: Request) -> Response:
        try:
            token = await read_field(request, "token", most=MOST_BODY)
        except BadBody as bad:
            return HTMLResponse(login_page(str(bad)), 400)
        found = self._callers.identify(request, self._method, token)
        if isinstance(found, Refusal):
            await self._callers.report(self._method, found)
            return self.ask(found)
        answer = RedirectResponse("/", 303)
        self._callers.log_in(answer, token)
        return answer

    async def _log_out(self, _: Request) -> Response:
        answer = RedirectResponse("/", 303)
        self._callers.log_out(answer)
        return answer
