"""Formats numbers like Grafana, for the units of the dashboards."""

from typing import Final

_SECONDS: Final = (
    (86400.0, "d"),
    (3600.0, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
)
_BYTES: Final = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_SUFFIXES: Final = {"ops": " /s", "reqps": " /s", "cps": " /s", "cpm": " /min"}


def written(value: float, unit: str) -> str:
    """A value with its unit."""
    match unit:
        case "s":
            return _scaled(value, _SECONDS)
        case "bytes":
            return _scaled(value, _BYTES)
        case "percentunit":
            return f"{100 * value:.3g} %"
        case _:
            return f"{_short(value)}{_SUFFIXES.get(unit, '')}"


def _scaled(value: float, scales: tuple[tuple[float, str], ...]) -> str:
    if not value:
        return f"0 {scales[-1][1] if scales is _BYTES else 's'}"
    size, name = next((each for each in scales if abs(value) >= each[0]), scales[-1])
    return f"{_short(value / size)} {name}"


def _short(value: float) -> str:
    """A number with three digits. Whole numbers stay whole."""
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"  # noqa: PLR2004
