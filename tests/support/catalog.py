"""The catalogue of the tests: a job of each sort, all of the tests' own image."""

from pathlib import Path

from tests.support import worker

TEXT = f"""
[jobs]
timer = {{ kind = "action", image = "{worker.IMAGE}" }}
weather = {{ kind = "action", image = "{worker.IMAGE}", first_argument = "fetch-weather" }}
webhook = {{ kind = "action", image = "{worker.IMAGE}", ends = true }}
mail = {{ kind = "reaction", image = "{worker.IMAGE}", first_argument = "send" }}
small = {{ kind = "action", image = "{worker.IMAGE}", memory = "16m", cpus = 0.5, pids = 20 }}
missing = {{ kind = "action", image = "supervisor-test-no-such-image" }}
nothing = {{ kind = "action" }}
"""


_EXAMPLE = Path(__file__).parents[2] / "examples" / "catalog.toml"


def example(image: str) -> str:
    """The example catalogue, whose workers are of another image."""
    return _EXAMPLE.read_text().replace("supervisor-demo-worker", image)
