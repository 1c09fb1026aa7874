"""docker-py's client, with one pool of connections and a time limit for everything."""

from typing import Any

import docker
from docker.transport import UnixHTTPAdapter


class Client(docker.APIClient):
    """A client that waits for no answer without end.

    docker-py waits so for the events: an Engine, or a proxy before it, that answered everything
    else would take one more thread with each attempt.
    """

    def send(self, request: Any, **options: Any) -> Any:
        """See `requests.Session.send`."""
        if options.get("timeout") is not None:
            return super().send(request, **options)
        response = super().send(request, **options | {"timeout": self.timeout})
        # It has begun; the rest comes when it comes.
        socket = self._get_raw_response_socket(response)  # type: ignore[attr-defined]
        self._disable_socket_timeout(socket)  # type: ignore[attr-defined]
        return response


class OnePool(UnixHTTPAdapter):
    """Keeps one pool of connections, where docker-py keeps one for each URL it ever called."""

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002
        return super().get_connection("http+docker://localhost", proxies)
