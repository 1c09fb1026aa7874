"""The Engine that `TEST_ENGINE` says, beside the machine's."""

from scripts import engines
from scripts.private_engine import PrivateEngine
from scripts.private_podman import PrivatePodman


def private() -> PrivateEngine:
    """An engine of the chosen kind, for a `with`."""
    return PrivatePodman() if engines.kind() == "Podman" else PrivateEngine()
