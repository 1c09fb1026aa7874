"""`area-supervisor serve`: runs the supervisor."""

import gc
import os

from service.app.process_setup import ignore_terminal_signals


def serve() -> None:
    """Serve the backend until SIGTERM. The settings come from the environment and from .env."""
    ignore_terminal_signals()
    from service.app.environment import read_settings

    settings, corrections = read_settings()
    gc.disable()  # until the start is over: its objects stay, and collections would slow it down
    from service.app import process
    from service.app.unknown_settings import misspelt

    process.serve(settings, corrections, misspelt(os.environ))
