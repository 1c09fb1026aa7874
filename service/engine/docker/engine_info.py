"""What the Engine says of itself that affects containers: version, traits, runtimes, drivers."""

from typing import Any

from service.engine.configuration import Offers, Trait
from service.engine.docker.parsing import Answer, read

_TRAITS = {"name=rootless": Trait.ROOTLESS, "name=userns": Trait.USERNS_REMAP}
# Docker 23 and later find a shim of containerd by its name.
_SHIMS = "io.containerd."


class Version(Answer):
    """The Engine's version."""

    ApiVersion: str
    Components: Any = None

    @property
    def is_podmans(self) -> bool:
        """Whether this is Podman. Docker's first component is called `Engine`."""
        return "Podman Engine" in str(self.Components)


class _Plugins(Answer):
    Log: list[str] | None = None


class About(Answer):
    """What the Engine says of itself."""

    LoggingDriver: str = ""
    Runtimes: dict[str, Any] | None = None
    Plugins: _Plugins | None = None


def offers(answer: object) -> Offers:
    """What the Engine has for containers that ask for it. Raises `Unreadable`."""
    about = read(About, answer)
    drivers = about.Plugins and about.Plugins.Log
    return Offers(
        runtimes=None if about.Runtimes is None else frozenset(about.Runtimes),
        more_runtimes=(_SHIMS,),
        # A plugin may be named with and without `latest`, and `none` is no driver to list.
        log_drivers=frozenset({"none", *map(_without_tag, drivers)}) if drivers else None,
    )


def traits(info: dict[str, Any]) -> frozenset[Trait]:
    """The traits among the security options, such as `name=seccomp,profile=default`."""
    options = info.get("SecurityOptions")
    names = {str(o).split(",")[0] for o in options} if isinstance(options, list) else set()
    return frozenset(trait for name, trait in _TRAITS.items() if name in names)


def _without_tag(driver: str) -> str:
    return driver.removesuffix(":latest")
