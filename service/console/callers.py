"""Who sends a request: the client that the token of its cookie names."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.requests import Request
from starlette.responses import Response

from observability.callers import caller, name_caller, note_caller
from service.access.access import Access, Refusal
from service.access.clients import Client, JobScope, Reason
from service.access.current_call import CurrentCall, note_call
from service.access.roles import Role
from service.access.throttle import Throttle
from service.api.open_streams import OtherJobs, Revoked
from service.errors import Denied

_COOKIE = "area_supervisor"
# The cookie's age does not matter: each request checks its token against the access file.
_LASTS = 7 * 24 * 3600
# Answers to wrong tokens that are delayed at a time.
_MOST_WAITING = 16
# Without an access file, everybody may do everything.
_EVERYBODY = Client("", Role.OPERATOR)


class Callers:
    """Finds the client of a request, and lets it call a method of the API."""

    def __init__(self, access: Access | None, *, secure: bool) -> None:
        """Without `access`, everybody may do everything. `secure` is for cookies under TLS."""
        self._access = access
        self._secure = secure
        self._throttle = Throttle(_MOST_WAITING)

    @property
    def have_tokens(self) -> bool:
        """Whether somebody can log in."""
        return self._access is not None

    def admit(self, request: Request, method: str) -> Client | Refusal:
        """The client, as that of the current task, if it may call SERVICE/METHOD."""
        found = self.identify(request, method, token_of(request))
        if isinstance(found, Client) and self._access is not None:
            name_caller(found.name)
            note_call(CurrentCall(found, method, tuple))
        return found

    def identify(self, request: Request, method: str, token: str | None) -> Client | Refusal:
        """The client of a token, or of a request without one, if it may call a method."""
        _note_peer(request)
        found = self._decide(method, token)
        if isinstance(found, Client) and not found.is_stranger:
            self._throttle.forget(caller().address)
        return found

    def check(self, request: Request, method: str, jobs: JobScope) -> None:
        """Raise `Revoked` or `OtherJobs` if an open stream, which is for these jobs, has to end."""
        found = self._decide(method, token_of(request))
        if isinstance(found, Refusal):
            raise Revoked(found)
        if found.jobs.patterns != jobs.patterns:
            raise OtherJobs

    def _decide(self, method: str, token: str | None) -> Client | Refusal:
        if self._access is None:
            return _EVERYBODY
        return self._access.decide(method, [] if token is None else [f"Bearer {token}".encode()])

    async def report(self, method: str, refusal: Refusal) -> None:
        """Log and count a refusal, and hold up the answer to a wrong token."""
        if self._access is not None:
            self._access.report(method, refusal)
        if refusal.reason is Reason.UNKNOWN:
            await self._throttle.wait(caller().address)

    def denied(self, denied: Denied) -> Refusal:
        """The refusal of an admitted call whose client may not touch the job."""
        assert self._access is not None  # without it, all may be touched
        return self._access.denied(denied)

    def log_in(self, answer: Response, token: str) -> None:
        """Have the browser send a token from now on. Scripts cannot read it."""
        answer.set_cookie(
            _COOKIE,
            urlsafe_b64encode(token.encode()).decode(),
            max_age=_LASTS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    def log_out(self, answer: Response) -> None:
        answer.delete_cookie(_COOKIE, httponly=True, samesite="strict", secure=self._secure)


def token_of(request: Request) -> str | None:
    """The token of a cookie; None without a readable one."""
    try:
        return urlsafe_b64decode(request.cookies[_COOKIE].encode()).decode()
    except (KeyError, ValueError):
        return None


def _note_peer(request: Request) -> None:
    client = request.client
    host = "" if client is None else f"[{client.host}]" if ":" in client.host else client.host
    note_caller(f"{host}:{client.port}" if client else "", request.headers.get("user-agent", ""))
