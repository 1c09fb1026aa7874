"""The queries' building blocks: every selector is bound to the targets chosen in the dashboard.

`job` and `instance` are Prometheus' own labels of the scraped process; a job of ours is `job_name`.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

_TARGET = 'job=~"$job", instance=~"$instance"'


def series(name: str, *matchers: str) -> str:
    """A metric's series, of the chosen targets."""
    return f"{name}{{{', '.join((*matchers, _TARGET))}}}"


def rate(name: str, *matchers: str) -> str:
    """How fast a counter grows, a second."""
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def per_minute(name: str, *matchers: str, by: Sequence[str]) -> str:
    """How fast a counter grows, a minute: what happens here is counted in minutes."""
    return f"60 * sum by ({', '.join(by)}) ({rate(name, *matchers)})"


def in_range(name: str, *matchers: str) -> str:
    """How much a counter has grown in the time that is shown."""
    return f"sum(increase({series(name, *matchers)}[$__range]))"


def growth(name: str, by: str) -> str:
    """How much a counter has grown in a rate's window, the birth of a series included.

    `rate` compares a series with itself, and so never sees the 1 that a series is born with. Here
    the sums are compared, of which there is one as long as any series is preset at 0.
    """
    now = f"sum by ({by}) ({series(name)})"
    before = f"sum by ({by}) ({series(name)} offset $__rate_interval)"
    return f"clamp_min({now} - {before}, 0)"


def total_of_jobs(name: str, *labels: str) -> str:
    """How many jobs, or containers, there are, by a metric with these labels."""
    return f"sum({_each_job_once(name, *labels)})"


def jobs_by(name: str, *, label: str) -> str:
    """The same for each value of the label."""
    return f"sum by ({label}) ({_each_job_once(name, label)})"


def _each_job_once(name: str, *labels: str) -> str:
    """Supervisors that share a Swarm each tell all of its jobs; they are targets of one `job`."""
    every, shared = series(name), series("supervisor_build_info", 'engine="swarm"')
    alone = f"{every} unless on (job, instance) {shared}"
    by = ", ".join(("job", *labels))
    return f"{alone} or max by ({by}) ({every} and on (job, instance) {shared})"


def of_the_ten_most(name: str, *matchers: str, by: Sequence[str]) -> str:
    """A counter a minute, of the ten that have grown the most in the time that is shown."""
    grown = f"increase({series(name, *matchers)}[$__range] @ end())"
    return f"{per_minute(name, *matchers, by=by)} {_among_the_ten_most(grown, by)}"


def actions_of_the_ten_most(name: str, *matchers: str, by: Sequence[str]) -> str:
    """As `of_the_ten_most`, of the actions alone that have to go on until they are stopped."""
    actions = series("supervisor_job_info", 'kind="action"', 'ends="false"')
    only = f"and on (job, instance, job_name) {actions}"
    grown = f"increase({series(name, *matchers)}[$__range] @ end()) {only}"
    each_minute = f"60 * sum by ({', '.join(by)}) ({rate(name, *matchers)} {only})"
    return f"{each_minute} {_among_the_ten_most(grown, by)}"


def of_the_ten_highest(name: str, *, label: str) -> str:
    """As `jobs_by`, of the ten that have been the highest in the time that is shown."""
    highest = f"max_over_time({series(name)}[$__range] @ end())"
    return f"{jobs_by(name, label=label)} {_among_the_ten_most(highest, [label])}"


def _among_the_ten_most(weight: str, by: Sequence[str]) -> str:
    """The same ten at all times: a `topk` alone chooses anew at each, and curves come and go."""
    labels = ", ".join(by)
    return f"and on ({labels}) topk(10, sum by ({labels}) ({weight}))"


def quantile(share: float, name: str, *matchers: str, by: Sequence[str] = ()) -> str:
    """A quantile of a histogram."""
    buckets = f"sum by ({', '.join(('le', *by))}) ({rate(f'{name}_bucket', *matchers)})"
    return f"histogram_quantile({share}, {buckets})"


def short_method(query: str) -> str:
    """The same with `method`, which is `grpc_method` without its package."""
    return f'label_replace({query}, "method", "$1", "grpc_method", "(?:.*[.])?(.*)")'


def query(expression: str, legend: str, *, exemplars: bool = False) -> Dataquery:
    """A line for each series; with exemplars, a dot that opens the trace for some of the calls."""
    return Dataquery().expr(expression).legend_format(legend).range().exemplar(exemplars)


def latest(expression: str, legend: str) -> Dataquery:
    """A value for each series, as it is at the end of the time that is shown."""
    return Dataquery().expr(expression).legend_format(legend).instant()


def quantiles(name: str, *matchers: str, exemplars: bool = False) -> list[Dataquery]:
    """The median, and what one call of 20 and one of 100 exceed."""
    return [
        query(quantile(share, name, *matchers), legend, exemplars=exemplars)
        for legend, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]


def buckets(name: str, *matchers: str, exemplars: bool = False) -> Dataquery:
    """How much each bucket of a histogram has got: the rows of a heatmap."""
    grown = f"increase({series(f'{name}_bucket', *matchers)}[$__rate_interval])"
    return query(f"sum by (le) ({grown})", "{{le}}", exemplars=exemplars).format(
        PromQueryFormat.HEATMAP
    )
