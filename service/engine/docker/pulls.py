"""Pulls of images. The Engine pulls while we read its progress, and stops when we hang up."""

from collections.abc import Callable
from http import HTTPStatus

from docker.errors import APIError
from pydantic import Field
from urllib3.exceptions import HTTPError

from service.engine.capabilities import PullProgress
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.engine.docker.hang_up import Line
from service.engine.docker.parsing import Answer, read
from service.engine.docker.registry_errors import pull_error
from service.engine.docker.registry_logins import login_for
from service.errors import EngineFailed, EngineUnavailable

# The time limit of a pull is the caller's (seconds).
_A_DAY = 86_400.0
_INSPECTION = 10.0
# A proxy's, about the Engine. The Engine itself answers 500 for a registry that is away.
_OF_PROXIES = {
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
# OpenTelemetry's semantic convention.
_IMAGE = "container.image.name"


class _Amount(Answer):
    current: int = 0
    total: int = 0


class _Detail(Answer):
    message: str = ""


class PullNews(Answer):
    """A line of the answer to a pull."""

    status: str = ""
    id: str = ""
    amount: _Amount | None = Field(default=None, alias="progressDetail")
    error: str = ""
    detail: _Detail | None = Field(default=None, alias="errorDetail")

    @property
    def current(self) -> int:
        """How many bytes of the layer are there."""
        return self.amount.current if self.amount else 0

    @property
    def total(self) -> int:
        """How many it has."""
        return self.amount.total if self.amount else 0

    @property
    def fault(self) -> str:
        """Why the pull has failed, or ""."""
        return (self.detail.message if self.detail else "") or self.error


class Pulls:
    """Pulls images with docker-py. See `Pull`."""

    def __init__(self, calls: Calls, clients: Clients) -> None:
        self._calls = calls
        self._clients = clients

    async def pull(self, image: str, platform: str, note: Callable[[PullProgress], None]) -> None:
        """Pull an image. A cancelled pull hangs up, which stops the Engine."""
        line = Line()

        def work(_: Client) -> None:
            # With a new client: the pull occupies its connection, and may be cut.
            client = self._clients.negotiate()
            line.watch(client)
            try:
                _pull(client, image, platform, note)
            finally:
                line.forget()
                client.close()

        try:
            await self._calls.call(Call("pull", work, {_IMAGE: image}), timeout=_A_DAY)
        finally:
            line.cut()


def _pull(client: Client, image: str, platform: str, note: Callable[[PullProgress], None]) -> None:
    login = login_for(image)
    client.timeout = _A_DAY  # type: ignore[assignment]  # nothing comes before the manifest is there
    layers = Layers()
    try:
        lines = client.pull(
            image,
            stream=True,
            decode=True,
            auth_config=dict(login.known),
            platform=platform or None,
        )
        for line in lines:
            news = read(PullNews, line)
            if fault := news.fault:
                raise pull_error(image, platform, login.redact(fault))
            if layers.add(news):
                note(layers.progress)
    except APIError as error:
        if error.status_code in _OF_PROXIES:
            raise
        raise pull_error(image, platform, login.redact(str(error.explanation))) from None
    except HTTPError:
        raise EngineUnavailable(
            f"the Docker Engine broke off its answer: pull for {image}"
        ) from None
    _check(client, image)


def _check(client: Client, image: str) -> None:
    """Raise `EngineFailed` if the image is not there: the answer may break off without an error."""
    client.timeout = _INSPECTION  # type: ignore[assignment]
    try:
        client.inspect_image(image)  # type: ignore[no-untyped-call]
    except APIError as error:
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise
        raise EngineFailed(f"image {image}: is not on the Docker Engine after its pull") from None


class Layers:
    """The progress of an image's layers."""

    _DONE = ("Pull complete", "Already exists")
    _FETCHED = "Download complete"
    _FETCHING = "Downloading"
    _NO_LAYER = "Pulling from "  # its id is the tag

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}  # done and all, by layer
        self._done: set[str] = set()

    def add(self, news: PullNews) -> bool:
        """Whether it was about a layer."""
        if not news.id or news.status.startswith(self._NO_LAYER):
            return False
        _, size = self._sizes.setdefault(news.id, (0, 0))
        if news.status == self._FETCHING:
            self._sizes[news.id] = (news.current, max(size, news.total))
        elif news.status in (self._FETCHED, *self._DONE):
            self._sizes[news.id] = (size, size)
        if news.status in self._DONE:
            self._done.add(news.id)
        return True

    @property
    def progress(self) -> PullProgress:
        """How far they are."""
        done, sizes = zip(*self._sizes.values(), strict=True)
        return PullProgress(len(sizes), len(self._done), sum(sizes), sum(done))
