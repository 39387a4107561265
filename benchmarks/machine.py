"""Facts about the machine a result was measured on, where results are kept, and tables of them."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LOCAL_RESULTS = RESULTS / "local"


def facts() -> dict[str, object]:
    """What a reader needs to judge a figure; nothing that names the machine."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
    }


def keep(name: str, rows: Sequence[Mapping[str, object]], folder: Path = RESULTS, **more: object) -> Path:
    """Write a result with its machine facts, and ``more`` of it; the newest of each name is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({"machine": facts(), **more, "rows": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_shown(row[head]) for head in heads] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
