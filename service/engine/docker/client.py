"""docker-py's client, with a faster path to a local Engine and a time limit for each call."""

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

from service.engine.docker.engine_info import About, Version
from service.engine.docker.inspections import Inspected
from service.engine.docker.list_reader import Decode, decode_json, elements
from service.engine.docker.log_parser import text_of
from service.engine.docker.parsing import read
from service.engine.docker.unix_socket import UnixSocket
from service.engine.workload_spec import WorkloadSpec

# The default (seconds). Calls set their own limits.
_TIMEOUT = 10
_MOST_OF_A_PAGE = 500  # the limit for an error that is not JSON (characters)
_CHUNK = 64 * 1024  # bytes of a long answer to read at once
# Docker 23 and 24. Some versions send SIGKILL as soon as the client of a stop disconnects (fixed in
# 24.0.3 by moby's commit fc94ed0a86).
_KILL_ON_DISCONNECT = {"1.42", "1.43"}


class Client(docker.APIClient):
    """A client for one thread.

    It sends calls over a Unix socket itself. There, the work of requests and urllib3 for proxies,
    cookies, redirects and certificates is useless, and two thirds of docker-py's time
    (docs/benchmarks.md). They still handle streams, and an Engine over TCP.
    """

    def __init__(self, url: str, tls: TLSConfig | None, headers: Mapping[str, str]) -> None:
        """Does not connect yet. `headers` are sent with each call.

        This replaces docker-py's constructor, which connects through proxies, and fails if parts of
        config.json are malformed that we do not need, such as credentials.
        """
        requests.Session.__init__(self)
        self.trust_env = False  # no proxy and no netrc
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
            # It keeps connections by URL, and the URLs of a Swarm are as many as its services.
            self._custom_adapter = UnixHTTPAdapter(self.base_url, _TIMEOUT, pool_connections=1)
            self.mount("http+docker://", self._custom_adapter)
            self.base_url = "http+docker://localhost"

    def use_version(self, version: str) -> None:
        """Set the version of the API."""
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

        docker-py has no time limit for opening the event stream. If an Engine, or a proxy in front
        of it, did not answer this call alone, each attempt would occupy another thread.
        """
        if options.get("timeout") is not None:
            return super().send(request, **options)
        response = super().send(request, **options | {"timeout": self.timeout})
        # The answer has begun. There is no time limit for the rest.
        socket = self._get_raw_response_socket(response)  # type: ignore[attr-defined]
        self._disable_socket_timeout(socket)  # type: ignore[attr-defined]
        return response

    def each_container(self, labels: Sequence[str]) -> Iterator[Any]:
        """All containers with these labels."""
        return self.each("/containers/json", {"label": labels}, all=1)

    def each(
        self,
        path: str,
        filters: Mapping[str, Sequence[str]],
        decode: Decode = decode_json,
        **parameters: Any,
    ) -> Iterator[Any]:
        """The elements of a list, one by one while the answer arrives.

        docker-py decodes a whole answer at once.
        """
        if filters:
            parameters["filters"] = convert_filters({k: list(v) for k, v in filters.items()})
        url = self._url(path)  # type: ignore[attr-defined]
        answer = self._get(url, params=parameters, stream=True)  # type: ignore[attr-defined]
        with closing(answer):
            self._raise_for_status(answer)
            yield from elements(answer.iter_content(_CHUNK), decode)

    def download(self, container_id: str, path: str, *, most: int) -> bytes:
        """A file of a container as a tar archive, cut off after so many bytes.

        docker-py's `get_archive` waits for ever.
        """
        url = self._url("/containers/{0}/archive", container_id)  # type: ignore[attr-defined]
        answer = self._get(url, params={"path": path}, stream=True)  # type: ignore[attr-defined]
        received = bytearray()
        with closing(answer):
            self._raise_for_status(answer)
            for chunk in answer.iter_content(_CHUNK):
                received += chunk
                if len(received) > most:
                    break
        return bytes(received)

    def last_output(self, kind: str, workload_id: str, lines: int) -> str:
        """The last lines of an output; `kind` is `containers`, or `tasks` of a Swarm.

        docker-py asks for an inspection as well, to know whether there is a terminal.
        """
        url = self._url("/" + kind + "/{0}/logs", workload_id)  # type: ignore[attr-defined]
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": lines}
        answer = self._get(url, params=params)  # type: ignore[attr-defined]
        self._raise_for_status(answer)
        return text_of(answer.content)

    def stats_now(self, container_id: str) -> Any:
        """The usage of a container at this moment; nothing of one that is removed meanwhile.

        docker-py's `stats` refuses this for old Engines, although they only take a second longer.
        """
        url = self._url("/containers/{0}/stats", container_id)  # type: ignore[attr-defined]
        answer = self._get(url, params={"stream": 0, "one-shot": 1})  # type: ignore[attr-defined]
        self._raise_for_status(answer)
        return answer.json() if answer.content else {}

    def check(self, spec: WorkloadSpec) -> None:
        """Raise `EngineRefused` for what the Engine would leave out without a word."""

    def inspect_to_repeat(self, container_id: str) -> Any:
        """An inspection that has what the container was given, for another one like it."""
        return self.inspect_container(container_id)

    def default_log_driver(self) -> str:
        """The name of the log driver of containers that are given none."""
        return read(About, self.info()).LoggingDriver

    def ping_deeply(self) -> None:
        """Ask for the version, for which Docker calls containerd. Raises `Unreadable`."""
        read(Version, self.version())

    @property
    def keeps_grace(self) -> bool:
        """Whether the Engine carries out a stop, with its grace, after the client disconnects."""
        return self._version not in _KILL_ON_DISCONNECT

    def ask_to_stop(self, container_id: str, grace: int, *, within: float) -> int | None:
        """Request a stop. Return the status; disconnect and return None if none comes in time.

        An Engine that `keeps_grace` then continues: "cancelling the request should not cancel the
        stop" (moby's daemon/stop.go). Any other Engine is only asked for the exit: `terminate` has
        sent the stop signal. docker-py's own `stop` waits for the whole grace.
        """
        action, params = ("stop", {"t": grace}) if self.keeps_grace else ("wait", None)
        url = self._url("/containers/{0}/" + action, container_id)  # type: ignore[attr-defined]
        try:
            answer = self._post(url, params=params, timeout=within)  # type: ignore[attr-defined]
        except (TimeoutError, requests.exceptions.Timeout):
            return None
        self._raise_for_status(answer)
        status: int = answer.status_code
        return status

    def terminate(self, container_id: str) -> bool:
        """Send the stop signal. Return whether the container runs."""
        config = read(Inspected, self.inspect_container(container_id)).Config
        try:
            self.kill(container_id, config.StopSignal or "SIGTERM")
        except APIError as error:
            if error.status_code == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def close(self) -> None:
        """Disconnect. The next call connects again."""
        if self._socket is not None:
            self._socket.close()
        super().close()

    def _raise_for_status(self, response: requests.Response) -> None:
        raise_for_status(response)


def label_filter(labels: Mapping[str, str]) -> list[str]:
    """Labels as a filter of the Engine has them."""
    return [f"{key}={value}" for key, value in labels.items()]


def raise_for_status(response: requests.Response) -> None:
    """Raise `APIError`, also for JSON of another shape, at which docker-py's method fails."""
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        raise APIError(str(error), response, explanation(response)) from None


def explanation(response: requests.Response) -> str:
    """The message of an error, or its page; never its URL, which may contain a password."""
    try:
        message = response.json()["message"]
    except (LookupError, TypeError, ValueError, RecursionError):
        message = None
    text = message if isinstance(message, str) else response.text.strip()[:_MOST_OF_A_PAGE]
    return text or f"status {response.status_code}"
