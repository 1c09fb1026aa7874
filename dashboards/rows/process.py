"""The process: what it uses, what it has dropped and cleaned up, and its history."""

from dashboards.panels import Panel, lines
from dashboards.promql import per_minute, query, rate, series


def process() -> list[Panel]:
    """The row about the process and its history."""
    return [*_resources(), *_losses(), *_history()]


def _resources() -> list[Panel]:
    return [
        lines(
            "CPU",
            "Of one core. Python runs on one at a time, so that near 100 % all calls get slow.",
            "percentunit",
            query(f"sum by (instance) ({rate('process_cpu_seconds_total')})", "{{instance}}"),
        ),
        lines(
            "Memory",
            "Resident: what the process holds.",
            "bytes",
            query(series("process_resident_memory_bytes"), "{{instance}}"),
        ),
        lines(
            "File descriptors",
            "Open ones, of as many as there may be.",
            "percentunit",
            query(f"{series('process_open_fds')} / {series('process_max_fds')}", "{{instance}}"),
        ),
        lines(
            "Garbage collections",
            "By generation; those of generation 2 hold everything up for the longest.",
            "cps",
            query(
                f"sum by (generation) ({rate('python_gc_collections_total')})",
                "generation {{generation}}",
            ),
        ),
    ]


def _losses() -> list[Panel]:
    return [
        lines(
            "Log lines dropped",
            "Lines that could not be written: a full disk, or nobody who reads them.",
            "cpm",
            query(
                per_minute("supervisor_log_lines_dropped_total", by=["instance"]), "{{instance}}"
            ),
        ),
        lines(
            "Kept containers removed, by limit",
            "Exited containers that development has kept, past RETAIN_EXITED_COUNT (count) or"
            " RETAIN_EXITED_HOURS (hours). 0 in production, which keeps none.",
            "cpm",
            query(per_minute("supervisor_retention_removed_total", by=["limit"]), "{{limit}}"),
        ),
    ]


def _history() -> list[Panel]:
    return [
        lines(
            "History",
            "Jobs that have ended and are kept: in the file, or in memory only.",
            "none",
            query(series("supervisor_history_jobs"), "{{place}}"),
        ),
        lines(
            "History: what is wrong",
            "1 while its file cannot be used, by why; and how many jobs could not be kept. 0 is as"
            " it should be, or without a file.",
            "none",
            query(f"max by (reason) ({series('supervisor_history_fault')})", "{{reason}}"),
            query(
                f"sum(increase({series('supervisor_history_dropped_total')}[$__rate_interval]))",
                "jobs not kept",
            ),
        ),
        lines(
            "History's file",
            "Its size, with its log.",
            "bytes",
            query(series("supervisor_history_bytes"), "{{instance}}"),
        ),
    ]
