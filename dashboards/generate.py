"""`python -m dashboards.generate [FOLDER]`: writes every dashboard as JSON, for Grafana to read."""

import sys
from pathlib import Path

from dashboards.inside import inside
from dashboards.overview import overview

_FOLDER = Path(__file__).with_name("grafana") / "dashboards"


def main(folder: Path = _FOLDER) -> None:
    """Write the dashboards into a folder."""
    for name, make in (("overview", overview), ("inside", inside)):
        (folder / f"{name}.json").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
