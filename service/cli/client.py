"""Shared by commands that call a supervisor: the options of the connection, and how they end."""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any

import typer

from observability.escaping import printable
from service.cli.output import drop_output, flush
from service.client.errors import CommandError, usage

# With these, a command says how it ends.
_ENDS = (CommandError, typer.Exit, typer.Abort, typer.BadParameter)


_PANEL = "Connection"


def _option(meaning: str, *names: str, metavar: str, variable: str) -> Any:
    shown = f"{meaning} [{variable}]"
    return Annotated[
        str | None, typer.Option(*names, help=shown, metavar=metavar, rich_help_panel=_PANEL)
    ]


# What of a client is given before or after the name of a command; after it counts more.
OPTIONS: Mapping[str, Any] = {
    name: _option(
        meaning,
        f"--{name.replace('_', '-')}",
        metavar=metavar,
        variable=f"AREA_SUPERVISOR_{name.upper()}",
    )
    for name, metavar, meaning in (
        ("context", "NAME", "The context of the configuration file."),
        ("server", "HOST:PORT", "The supervisor's gRPC port, by default localhost:50051."),
        ("token_file", "FILE", "A file with the token to show."),
        ("ca", "FILE", "The authorities of the supervisor's certificate; without, no TLS."),
        ("cert", "FILE", "The certificate to show."),
        ("key", "FILE", "The key of --cert."),
    )
}


def with_options(
    function: Callable[..., Any], *, without: int = 0, context: bool = False
) -> inspect.Signature:
    """The signature of a command, but for its first parameters, and with the options above.

    With `context` it begins with typer's own.
    """
    own = list(inspect.signature(function).parameters.values())[without:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, annotation=option, default=None)
        for name, option in OPTIONS.items()
    ]
    first = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    own = [each.replace(kind=keyword) for each in own if each.kind is not each.VAR_KEYWORD]
    ordered = [*([first] if context else []), *own, *options]
    return inspect.Signature(ordered)


def calls_supervisor(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that calls a supervisor, which it gets first.

    The command has the options of the connection. It ends without a traceback, and a reader that
    closes the pipe is no error.
    """

    @wraps(function)
    def command(ctx: typer.Context, **given: Any) -> None:
        from service.client.supervisor import Supervisor
        from service.client.target import find_target

        own: Any = {name: value for name, value in given.items() if name not in OPTIONS}
        try:
            with Supervisor(find_target(given_options(ctx), os.environ)) as supervisor:
                function(supervisor, **own)
                flush()
        except _ENDS:
            raise
        except UnicodeError:  # whose words have the whole text, which may be secret
            raise usage("an argument cannot be read; allowed is text in UTF-8") from None
        except Exception as error:
            end = _end_behind(error)
            if isinstance(end, KeyboardInterrupt | SystemExit):
                raise end from None
            drop_output()  # which may be what has failed
            if end:
                return
            what = str(error) if isinstance(error, OSError) else repr(error)
            raise CommandError(printable(what)) from error

    command.__signature__ = with_options(function, without=1, context=True)  # type: ignore[attr-defined]
    command.__annotations__ = {}  # or typer would look for the types that are not there at run time
    return command


def _end_behind(error: BaseException | None) -> BaseException | None:
    """Ctrl-C, SIGTERM or the end of the reader, if an error is one or comes of one.

    Their signals may arrive while grpc releases a lock, which then fails with another error.
    """
    while error and not isinstance(error, KeyboardInterrupt | SystemExit | BrokenPipeError):
        error = error.__context__
    return error


def given_options(ctx: typer.Context) -> Mapping[str, str | None]:
    """The options of the connection, of the command or before it."""
    places = [each.params for each in (ctx, ctx.parent) if each]
    return {
        name: next((found for each in places if (found := each.get(name)) is not None), None)
        for name in OPTIONS
    }
