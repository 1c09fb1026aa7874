"""docker-py's client: with the shortest way to a local Engine, and a time limit for everything."""

from typing import Any

import docker
from docker.transport import UnixHTTPAdapter

from service.engine._unix import UnixSocket


class Client(docker.APIClient):
    """A client for one thread.

    Over a Unix socket it sends calls itself. What requests and urllib3 do around each, for proxies,
    cookies, redirects and certificates, is of no use there, and is two thirds of what docker-py
    takes (docs/benchmarks.md). Streams, and an Engine over TCP, are left to them.
    """

    _socket: UnixSocket | None = None  # from the first call, which is made while this is made

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

    def close(self) -> None:
        """See `requests.Session.close`."""
        if self._socket is not None:
            self._socket.close()
        super().close()
