"""KillAllJobs beside a parallel stop and remove."""

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.bench import Bench
from benchmarks.contenders import BARE, SUPERVISOR, contenders
from benchmarks.result import Goal, Result, Rounds

_AT_ONCE = 8  # launches: what is launched here is not measured
_SETTLE = 1.0


def measure(bench: Bench) -> Result:
    """Kill 50 jobs, in rounds."""
    found = Rounds()
    jobs = bench.size(50, 16)
    what = f"end of {jobs} jobs"
    with bench.supervisor() as supervised:
        everybody = contenders(bench, supervised)
        for who in bench.rounds(list(everybody), bench.size(12, 2), "kill"):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(everybody[who].launch, range(jobs)))
            time.sleep(_SETTLE)
            began = time.perf_counter()
            everybody[who].end_all()
            found.add(what, who, time.perf_counter() - began)
    return Result("kill", found.rows(what, "s", baseline=BARE, goals={SUPERVISOR: Goal(1.15)}))
