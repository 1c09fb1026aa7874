"""Ends calls with the gRPC status of an error, for answers that have no field for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from service.errors import NotPossible, SupervisorError

# The key of trailing metadata, named after HTTP's header: in how many seconds to try again.
RETRY_AFTER = "retry-after"


def say_when_to_retry(context: Any, error: SupervisorError) -> None:
    """Tell the client when another try may succeed, if that is known."""
    if error.retry_after is not None:
        context.set_trailing_metadata(((RETRY_AFTER, str(error.retry_after)),))


async def abort(context: Any, error: SupervisorError) -> None:
    """End the call with the error's gRPC status."""
    say_when_to_retry(context, error)
    await context.abort(grpc.StatusCode[error.status], error.message)


@asynccontextmanager
async def aborting(context: Any) -> AsyncIterator[None]:
    """End the call with the status of the error that the block raises."""
    failed: SupervisorError | None = None
    try:
        yield
    except SupervisorError as error:
        failed = error
    except NotPossible as error:
        impossible = str(error)
    else:
        return
    if failed is None:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, impossible)
    else:
        await abort(context, failed)
