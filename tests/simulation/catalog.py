"""The catalogues of the lives: what their jobs may do."""

from collections.abc import Mapping

from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.model import Kind
from tests.simulation.engine import FAR, IMAGE

_HEALTHCHECK = {"command": ["/healthy"]}
_READY = {"ready": "healthcheck", "ready_timeout": "4s", "healthcheck": _HEALTHCHECK}
# None of them is started again for long: at rest, each of their jobs runs or is gone.
_POLICIES: Mapping[str, Mapping[str, object]] = {
    "hardy": {
        "restart": {"on": "end", "attempts": 3, "window": "20s", "back_off": "1s", "most": "4s"}
    },
    "careful": {
        "restart": {"attempts": 2, "window": "1m", "back_off": "200ms", "most": "2s"},
        "final_exit_codes": [3],
        "time_limit": "4s",
    },
    "limited": {"time_limit": "5s", "stop_grace": "1s"},
    "checked": _READY,
    "moody": {
        "restart": {"unhealthy": True, "attempts": 2, "back_off": "500ms", "most": "2s"},
        **_READY,
    },
    "far": {"image": FAR[0], "pull": "missing"},
    "farther": {"image": FAR[1], "pull": "missing"},
    "fresh": {"image": FAR[2], "pull": "always"},
}

CATALOG = Catalog(
    {
        "timer": Entry(kind=Kind.ACTION, image=IMAGE),
        "weather": Entry(kind=Kind.ACTION, image=IMAGE, first_argument="fetch"),
        "webhook": Entry(kind=Kind.ACTION, image=IMAGE, ends=True),
        "mail": Entry(kind=Kind.REACTION, image=IMAGE),
        "missing": Entry(kind=Kind.ACTION, image="missing"),
        "nothing": Entry(kind=Kind.ACTION),
        **{
            name: Entry.model_validate({"kind": "action", "image": IMAGE, **keys})
            for name, keys in _POLICIES.items()
        },
    }
)

POLICIES = {name: CATALOG[name].restart_policy for name in CATALOG}
"""Of each job, whether and how it is started again."""

READY = frozenset(name for name, entry in CATALOG.items() if entry.ready_within is not None)
"""The jobs whose launch is answered once they are healthy."""

PULLED = {name: entry.image for name, entry in CATALOG.items() if entry.image in FAR}
"""The jobs whose image is pulled, and that."""

TIGHT_MOST = 5
"""How many jobs may run in a life with room for few, where most launches wait for it."""
_TIGHT_KEYS: Mapping[str, Mapping[str, object]] = {
    "timer": {"max_running": 2, "when_full": "wait"},
    "weather": {"when_full": "wait", "priority": 1},
    "webhook": {"max_running": 1},
    "mail": {"max_running": 2, "when_full": "wait", "priority": -1},
    "hardy": {"max_running": 1, "when_full": "wait", "priority": 1},
    "limited": {"when_full": "wait"},
    "far": {"when_full": "wait", "priority": -1},
}
TIGHT_CATALOG = Catalog(
    {name: job.model_copy(update=_TIGHT_KEYS.get(name)) for name, job in CATALOG.items()},
    image_limits={IMAGE: 4},
)
