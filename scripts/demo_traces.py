"""The act about traces: the supervisor's, and those that workers continue."""

from examples.backend import Call
from scripts import otlp_receiver
from scripts.demo_stage import ACTION, REACTION, Caller, Stage, check, eventually, next_call, tell
from scripts.demo_supervisor import DemoError
from scripts.otlp_receiver import Span


def calls(stage: Stage) -> None:
    """The trace of the launches and of the kill, which share the caller's."""
    spans = stage.receiver.wait_for(stage.caller.trace_id, "KillJob")
    _tell_tree(spans, stage.caller)
    roots = [_short(span) for span in spans if span.parent_id == stage.caller.span_id]
    check(roots == ["LaunchJob", "LaunchJob", "KillJob"], "a span for each call")
    children = [span.name for span in spans if span.parent_id != stage.caller.span_id]
    check(any("start" in name for name in children), "with a span for each call of the Engine")


def action(stage: Stage) -> None:
    """An action may run for weeks, so each of its callbacks has a trace of its own."""
    launch = _arrived(stage, stage.caller.trace_id, "LaunchJob")
    spans = [_worker_span(stage, ACTION, call) for call in stage.callbacks]
    tell("an action may run for weeks, and its launch's trace should not stay open for as long")
    tell(f"LaunchJob's trace and span: {launch.trace_id}:{launch.span_id}")
    for span in spans:
        tell(f"trace {span.trace_id}: {span.name}, linked to {' '.join(span.links)}")
    ids = {span.trace_id for span in spans} - {launch.trace_id}
    check(len(ids) == len(spans), f"{len(ids)} callbacks, each with a trace of its own")
    link = f"{launch.trace_id}:{launch.span_id}"
    check(all(span.links == (link,) for span in spans), "and each linked to LaunchJob's span")


def reaction(stage: Stage) -> None:
    """A reaction ends at once, so it is a part of the trace that launched it."""
    caller = Caller()
    launched = stage.launch(REACTION, f"{REACTION}-{stage.name}", caller, message="Hello!")
    check(launched, f"LaunchJob of {REACTION}: success")
    while (call := next_call(stage.calls)).method != "OnReaction":
        pass  # remaining calls of the action
    tell(f"backend <- {call}")
    launch = _arrived(stage, caller.trace_id, "LaunchJob")
    worker = _worker_span(stage, REACTION, call)
    _tell_tree(stage.receiver.wait_for(caller.trace_id, REACTION), caller, call)
    check(launch.parent_id == caller.span_id, "LaunchJob continues the caller's trace")
    check(worker.parent_id == launch.span_id, "the worker's span continues LaunchJob's")
    check(
        call.traceparent.startswith(f"00-{caller.trace_id}-{worker.span_id}-"),
        "and with the worker's span the trace is back at the backend",
    )
    eventually(lambda: not stage.supervisor.jobs_on_the_engine(), "the reaction has ended")


def _arrived(stage: Stage, trace_id: str, name: str, span_id: str = "") -> Span:
    """Wait for the first span with this name, or for the one with this id."""
    for span in stage.receiver.wait_for(trace_id, name):
        if _short(span) == name and span_id in ("", span.span_id):
            return span
    raise DemoError(f"No span {name} of the trace {trace_id} has arrived at the collector")


def _worker_span(stage: Stage, job: str, call: Call) -> Span:
    """The span in which a worker made a call, from the call's traceparent."""
    _, trace_id, span_id, _ = call.traceparent.split("-")
    return _arrived(stage, trace_id, job, span_id)


def _tell_tree(spans: list[Span], caller: Caller, call: Call | None = None) -> None:
    """Print a trace as a tree, with the worker's call."""
    tell(f"trace {caller.trace_id}")
    tell(f"span {caller.span_id} of the backend, which this demo plays")
    for depth, span in otlp_receiver.tree(spans, caller.span_id, depth=1):
        line = f"{span.name}  {span.milliseconds:.1f} ms  {_attributes(span)}"
        if call and span.span_id in call.traceparent:
            tell(f"{'   ' * depth}the worker's {line}")
            tell(f"{'   ' * (depth + 1)}{call.method} at the backend: {call.traceparent}")
        else:
            tell(f"{'   ' * depth}{line}")


def _short(span: Span) -> str:
    return span.name.rpartition("/")[2]


def _attributes(span: Span) -> str:
    """The supervisor's attributes of a span, without those of every gRPC server."""
    own = {key: value for key, value in span.attributes.items() if key.startswith("supervisor.")}
    return "  ".join(f"{key}={value}" for key, value in sorted(own.items()))
