"""The name of Swarm in messages, and the allowed names of services. Does not load docker-py."""

import re

from service.engine.name_grammar import NameGrammar

SWARM_TITLE = "Docker Swarm"
# SwarmKit (manager/controlapi/common.go): letters and digits, with `-` and `_` in between, at most
# 63 characters. It compares names in lower case (manager/state/store/services.go), so an identifier
# with an upper-case letter gets the hash, too.
_LONGEST = 63
_LAUNCH_ID = 17  # the hyphen and the 16 digits that a launch may add
_MARK = "--"
_HASH = 12

SWARM_NAMES = NameGrammar(
    usable=re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"),
    longest=_LONGEST - _LAUNCH_ID,
    unclean=re.compile(r"[^a-zA-Z0-9_-]+"),
    longest_cleaned=_LONGEST - _LAUNCH_ID - _HASH - len(_MARK),
    mark=_MARK,
)

NO_HEALTHCHECKS = (
    "a Swarm waits for a health check by itself, within LAUNCH_TIMEOUT_SECONDS, and ends what is"
    " unhealthy; leave `ready` and `healthcheck` out"
)
