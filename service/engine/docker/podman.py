"""A client for Podman: it turns what Podman answers into what Docker would answer.

Measured with Podman 5.4; its error messages are in libpod/define/errors.go, its handlers in
pkg/api/handlers/compat.
"""

from contextlib import suppress
from http import HTTPStatus
from time import monotonic, sleep
from typing import Any

import requests
from docker.errors import APIError

from service.engine.docker.client import Client, explanation
from service.engine.docker.inspections import inspection
from service.engine.docker.parsing import Unreadable
from service.engine.docker.podman_set_up import as_given
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineRefused

# Nearly every failure is a 500. These are Docker's statuses for Podman's messages; the first match
# counts. After other messages, as after any 500, another try may succeed.
_STATUSES = (
    ("is in state paused", HTTPStatus.CONFLICT),
    ("can only stop created or running containers", HTTPStatus.NOT_MODIFIED),
    ("container state improper", HTTPStatus.CONFLICT),
    ("top can only be used on running containers", HTTPStatus.CONFLICT),
    ("is already in use by an external entity", HTTPStatus.CONFLICT),
    ("network not found", HTTPStatus.NOT_FOUND),
    ("no such container", HTTPStatus.NOT_FOUND),  # it was removed during the call
    ("container-init binary not found", HTTPStatus.BAD_REQUEST),
    ("invalid log driver", HTTPStatus.BAD_REQUEST),
    ("unknown user error looking up user", HTTPStatus.BAD_REQUEST),
    # Of a program without an init.
    ("attempted to invoke a command that was not found", HTTPStatus.BAD_REQUEST),
    ("OCI permission denied", HTTPStatus.BAD_REQUEST),
)
# The log driver that Docker calls in another way, and Podman in both.
_LIKE_DOCKERS = {"k8s-file": "json-file"}
_EXIT, _POLL = 1.0, 0.05  # how long an exit may take, and between looks (seconds)
# Podman puts one of these before the name of an image that has no registry.
_PREFIXES = ("localhost/", "docker.io/library/")


class PodmanClient(Client):
    """A client for one thread."""

    def check(self, spec: WorkloadSpec) -> None:
        """Refuse options that Podman accepts over Docker's API and ignores."""
        wanted = spec.surroundings.runtime
        if wanted and wanted != (own := self.info()["DefaultRuntime"]):
            raise EngineRefused(
                f"runtime {wanted}: Podman gives each container that of its service, {own}: leave"
                " out `runtime` in the catalogue"
            )
        if spec.surroundings.gpus:
            raise EngineRefused(
                "Podman gives no container a gpu over this API: leave out `gpus` in the catalogue"
            )

    def inspect_to_repeat(self, container_id: str) -> Any:
        """See `Client`."""
        return as_given(self.inspect_container(container_id), self._log_size(container_id))

    def _log_size(self, container_id: str) -> str:
        """How long the log of a container may be, which only Podman's own API has."""
        try:
            found = self._libpod(f"containers/{container_id}/json")
        except APIError:  # a proxy lets only Docker's through
            return ""
        return str(found["HostConfig"]["LogConfig"].get("Size") or "")

    def default_log_driver(self) -> str:
        """See `Client`. Only Podman's own API has it."""
        driver = str(self._libpod("info")["host"]["logDriver"])
        return _LIKE_DOCKERS.get(driver, driver)

    def _libpod(self, what: str) -> Any:
        """An answer of Podman's own API."""
        answer = self._get(f"{self.base_url}/v4.0.0/libpod/{what}")  # type: ignore[attr-defined]
        return self._result(answer, json=True)  # type: ignore[attr-defined]

    def ping_deeply(self) -> None:
        """Ping. Podman has no containerd, and its version takes 0.1 s: it asks dpkg or rpm."""
        if not self.ping():
            raise Unreadable("it is not an answer to a ping")

    @property
    def keeps_grace(self) -> bool:
        """See `Client.keeps_grace`.

        Podman carries out few stops at once, three for each processor and one (its pkg/parallel).
        One that waits for others is dropped when the client disconnects, before any signal is sent.
        """
        return False

    def terminate(self, container_id: str) -> bool:
        """Docker unpauses a container after the stop signal; Podman keeps the signal for later."""
        try:
            runs = super().terminate(container_id)
        except APIError as error:
            if error.status_code != HTTPStatus.INTERNAL_SERVER_ERROR or not self._exits(
                container_id
            ):
                raise
            return False
        if runs:
            with suppress(APIError):  # it is not paused
                self.unpause(container_id)
        return runs

    def _exits(self, container_id: str) -> bool:
        """Whether it exits: then a signal fails, some moments before Podman takes note of it."""
        end = monotonic() + _EXIT
        while inspection(self.inspect_container(container_id)).status is Status.LIVE:
            if monotonic() > end:
                return False
            sleep(_POLL)
        return True

    def stop(self, container: Any, timeout: int | None = None) -> None:
        """Docker unpauses a container to stop it; Podman refuses."""
        try:
            super().stop(container, timeout)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            with suppress(APIError):  # another client has unpaused it
                self.unpause(container)
            super().stop(container, timeout)

    def remove_container(
        self, container: Any, v: bool = False, link: bool = False, force: bool = False
    ) -> None:
        """Kill before a forced removal. Podman would send SIGTERM, and wait for 10 s."""
        if force:
            with suppress(APIError):  # it does not run or exist, which the removal reports
                self.kill(container)
        super().remove_container(container, v=v, link=link, force=force)

    def top(self, container: Any, ps_args: str | None = None) -> Any:
        """Leave out `ps` itself, which Podman runs in the container's namespace."""
        found = super().top(container, ps_args)
        if found["Processes"] and found["Processes"][-1][-1] == "ps":
            found["Processes"].pop()
        return found

    def containers(self, *args: Any, **options: Any) -> Any:
        """Give images the names that were used at the launch."""
        found = super().containers(*args, **options)
        return [each | {"Image": plain_name(each["Image"])} for each in found]

    def networks(self, *args: Any, **options: Any) -> Any:
        """Add the networks that Podman does not list."""
        return [*super().networks(*args, **options), {"Name": "host"}, {"Name": "none"}]

    def info(self) -> Any:
        """Correct what means something else than with Docker.

        Rootless Podman has the host's real network. Podman lists runtimes that are not installed,
        and gives containers only one of them. It accepts log drivers that it does not list.
        """
        found = super().info()
        options = found.get("SecurityOptions") or ()
        kept = [each for each in options if each != "name=rootless"]
        runtimes: dict[str, Any] = {str(found.get("DefaultRuntime")): {}}
        return found | {"SecurityOptions": kept, "Runtimes": runtimes, "Plugins": None}

    def _raise_for_status(self, response: requests.Response) -> None:
        if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            message = explanation(response)
            known = (status for words, status in _STATUSES if words in message)
            response.status_code = next(known, HTTPStatus.INTERNAL_SERVER_ERROR)
        super()._raise_for_status(response)


def plain_name(image: str) -> str:
    """An image's name without Podman's prefix, and without `latest`."""
    prefix = next(filter(image.startswith, _PREFIXES), "")
    return image.removeprefix(prefix).removesuffix(":latest")
