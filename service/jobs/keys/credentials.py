"""How the worker of a job gets the credentials of a launch."""

from typing import Literal

from service.jobs.keys.table import Table, key


class CredentialKeys(Table):
    """Where the credentials are: not all of these places are in everybody's sight."""

    auth: Literal["argument", "file", "environment"] = key(
        "argument",
        "how its worker gets the credentials of a launch: as `--auth JSON`, as `--auth-file PATH`,"
        " which only its user can read, or in the variable `AREA_AUTH`",
        allowed='"argument", "file" or "environment"',
        example='"file"',
    )
