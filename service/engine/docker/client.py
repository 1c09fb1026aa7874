"""docker-py's client: with the shortest way to a local Engine, and a time limit for everything."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from typing import Any

import docker
import requests
from docker.auth import AuthConfig
from docker.constants import DEFAULT_DOCKER_API_VERSION, DEFAULT_USER_AGENT
from docker.errors import APIError
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter
from docker.utils import convert_filters, parse_host
from docker.utils.proxy import ProxyConfig

from service.engine.docker.answers import Version, read
from service.engine.docker.list_reader import elements
from service.engine.docker.unix_socket import UnixSocket

# Seconds; each call brings its own.
_TIMEOUT = 10
_MOST_OF_A_PAGE = 500  # characters, of an error that is no JSON
_CHUNK = 64 * 1024  # bytes of a long answer that are read at once
# Docker 23 and 24, of which some send SIGKILL at once when whoever asked for a stop hangs up
# (mended in 24.0.3 by moby's commit fc94ed0a86).
_KILL_WHEN_LEFT = {"1.42", "1.43"}


class Client(docker.APIClient):
    """A client for one thread.

    Over a Unix socket it sends calls itself. What requests and urllib3 do around each, for proxies,
    cookies, redirects and certificates, is of no use there, and is two thirds of what docker-py
    takes (docs/benchmarks.md). Streams, and an Engine over TCP, are left to them.
    """

    def __init__(self, url: str, tls: TLSConfig | None, headers: Mapping[str, str]) -> None:
        """Connects to nothing yet. `headers` go with each call.

        docker-py's own constructor is left out: it reads config.json, where it fails at what
        concerns us as little as credentials, and asks proxies for the Engine's version.
        """
        requests.Session.__init__(self)
        self.trust_env = False  # no proxy and no netrc between us and the Engine
        self.timeout = _TIMEOUT
        self.headers["User-Agent"] = DEFAULT_USER_AGENT
        self._general_configs = {"HttpHeaders": dict(headers)} if headers else {}
        self._proxy_configs = ProxyConfig()
        self._auth_configs = AuthConfig({})
        self._version = DEFAULT_DOCKER_API_VERSION
        self._socket: UnixSocket | None = None
        self.base_url = str(parse_host(url, tls=tls is not None))
        if tls is not None:
            tls.configure_client(self)
        elif self.base_url.startswith("http+unix://"):
            self._custom_adapter = UnixHTTPAdapter(self.base_url, _TIMEOUT)
            self.mount("http+docker://", self._custom_adapter)
            self.base_url = "http+docker://localhost"

    def use_version(self, version: str) -> None:
        """Speak this version of the API."""
        self._version = version

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Any:
        """See `requests.Session.request`."""
        adapter = self.get_adapter(url)
        if options.get("stream") or not isinstance(adapter, UnixHTTPAdapter):
            return super().request(method, url, *args, **options)
        if self._socket is None:
            self._socket = UnixSocket(adapter.socket_path)
        return self._socket.request(method, url.removeprefix(self.base_url), *args, **options)

    def send(self, request: Any, **options: Any) -> Any:
        """See `requests.Session.send`.

        docker-py waits without end for the events: an Engine, or a proxy before it, that answered
        everything else would take one more thread with each attempt.
        """
        if options.get("timeout") is not None:
            return super().send(request, **options)
        response = super().send(request, **options | {"timeout": self.timeout})
        # It has begun; the rest comes when it comes.
        socket = self._get_raw_response_socket(response)  # type: ignore[attr-defined]
        self._disable_socket_timeout(socket)  # type: ignore[attr-defined]
        return response

    def each_container(self, labels: Sequence[str]) -> Iterator[Any]:
        """All containers with these labels, one by one as the answer comes.

        docker-py's `containers` decodes the whole answer in one call.
        """
        params = {"all": 1, "filters": convert_filters({"label": list(labels)})}
        url = self._url("/containers/json")  # type: ignore[attr-defined]
        answer = self._get(url, params=params, stream=True)  # type: ignore[attr-defined]
        with closing(answer):
            self._raise_for_status(answer)
            yield from elements(answer.iter_content(_CHUNK))

    def ping_deeply(self) -> None:
        """For its version Docker asks containerd, and for a ping nobody. Raises `Unreadable`."""
        read(Version, self.version())

    @property
    def keeps_grace(self) -> bool:
        """Whether the Engine goes on with a stop after whoever asked for it has hung up."""
        return self._version not in _KILL_WHEN_LEFT

    def ask_to_stop(self, container_id: str, grace: int, *, within: float) -> int | None:
        """The status of the answer; None, and the line is dropped, if it does not come in time.

        An Engine that `keeps_grace` then goes on by itself: "cancelling the request should not
        cancel the stop" (moby's daemon/stop.go). Any other is only asked for the SIGTERM.
        docker-py's own `stop` waits for the whole grace.
        """
        try:
            if not self.keeps_grace and not self._terminate(container_id, within):
                return HTTPStatus.NOT_MODIFIED
            action, params = ("stop", {"t": grace}) if self.keeps_grace else ("wait", None)
            answer = self._act(container_id, action, params, within)
        except (TimeoutError, requests.exceptions.Timeout):
            return None
        self._raise_for_status(answer)
        status: int = answer.status_code
        return status

    def _terminate(self, container_id: str, timeout: float) -> bool:
        """Send SIGTERM; whether it runs."""
        answer = self._act(container_id, "kill", {"signal": "SIGTERM"}, timeout)
        if answer.status_code == HTTPStatus.CONFLICT:
            return False
        self._raise_for_status(answer)
        return True

    def _act(self, container_id: str, action: str, params: Any, timeout: float) -> Any:
        url = self._url("/containers/{0}/" + action, container_id)  # type: ignore[attr-defined]
        return self._post(url, params=params, timeout=timeout)  # type: ignore[attr-defined]

    def close(self) -> None:
        """See `requests.Session.close`. The next call connects anew."""
        if self._socket is not None:
            self._socket.close()
        super().close()

    def _raise_for_status(self, response: requests.Response) -> None:
        """As docker-py's, which fails at an error that is JSON of another shape."""
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            raise APIError(str(error), response, explanation(response)) from None


def explanation(response: requests.Response) -> str:
    """What an error says, or its page; never its URL, which may hold a password."""
    try:
        said = response.json()["message"]
    except (LookupError, TypeError, ValueError, RecursionError):
        said = None
    text = said if isinstance(said, str) else response.text.strip()[:_MOST_OF_A_PAGE]
    return text or f"status {response.status_code}"
