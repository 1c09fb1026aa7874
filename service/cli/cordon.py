"""`area-supervisor cordon` and `uncordon`: stops launches, and allows them again."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor


@calls_supervisor
def cordon(
    supervisor: "Supervisor",
    reason: Annotated[str, typer.Argument(help="Why, for those whose launches are refused.")] = "",
) -> None:
    """Refuse launches, for maintenance. What runs goes on, and can be killed and listed.

    It lasts until `uncordon`, or a restart of the supervisor.
    """
    from service._generated.supervisor.v1.observer_pb2 import CordonRequest
    from service.cli.output import emit

    supervisor.call(supervisor.observer.Cordon, CordonRequest(reason=reason))
    emit(f"{supervisor.target} cordoned")


@calls_supervisor
def uncordon(supervisor: "Supervisor") -> None:
    """Launch again, after `cordon`."""
    from service._generated.supervisor.v1.observer_pb2 import UncordonRequest
    from service.cli.output import emit

    supervisor.call(supervisor.observer.Uncordon, UncordonRequest())
    emit(f"{supervisor.target} uncordoned")
