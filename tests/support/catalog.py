"""The catalogue of the tests: a job of each sort, all of the tests' own image."""

from pathlib import Path

from tests.support import worker

# The table comes last, so that a test can add jobs at the end.
TEXT = f"""
[jobs.again]
kind = "action"
image = "{worker.IMAGE}"
restart = {{ on = "end", attempts = 99, back_off = "200ms", most = "1s" }}

[jobs.sealed]
kind = "action"
image = "{worker.IMAGE}"
auth = "file"
user = "1000"
restart = {{ on = "end", back_off = "200ms" }}

[jobs.twice]
kind = "action"
image = "{worker.IMAGE}"
restart = {{ attempts = 2, back_off = "100ms" }}
final_exit_codes = [2, 64]

[jobs.later]
kind = "action"
image = "{worker.IMAGE}"
restart = {{ on = "end", back_off = "24h", most = "24h" }}

[jobs]
timer = {{ kind = "action", image = "{worker.IMAGE}" }}
weather = {{ kind = "action", image = "{worker.IMAGE}", first_argument = "fetch-weather" }}
webhook = {{ kind = "action", image = "{worker.IMAGE}", ends = true }}
mail = {{ kind = "reaction", image = "{worker.IMAGE}", first_argument = "send" }}
small = {{ kind = "action", image = "{worker.IMAGE}", memory = "16m", cpus = 0.5, pids = 20 }}
missing = {{ kind = "action", image = "supervisor-test-no-such-image" }}
nothing = {{ kind = "action" }}
polite = {{ kind = "action", image = "{worker.IMAGE}", stop_signal = "SIGINT" }}
hasty = {{ kind = "action", image = "{worker.IMAGE}", stop_grace = "1s" }}
brief = {{ kind = "action", image = "{worker.IMAGE}", time_limit = "3s" }}
"""


_EXAMPLE = Path(__file__).parents[2] / "examples" / "catalog.toml"


def example(image: str) -> str:
    """The example catalogue, whose workers are of another image."""
    return _EXAMPLE.read_text().replace("supervisor-demo-worker", image)
