"""The catalogue of the tests: a job of each sort, all of the tests' own image."""

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
