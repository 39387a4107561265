"""How long a new process takes: `dispatch --help`, `import dispatch_core`, beside an empty Python. Byte code is compiled already."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.suite import Figure, Outcome, Scale, in_turns, line

_IMPORT = "import time; t = time.perf_counter(); import dispatch_core; print(time.perf_counter() - t)"
NOTHING, HELP, IMPORT = "python -c pass", "dispatch --help", "import dispatch_core"


def _process_ms(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1_000


def _import_ms() -> float:
    done = subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True, text=True)
    return float(done.stdout) * 1_000


def run(scale: Scale) -> Outcome:
    """In turns."""
    program = str(Path(sys.executable).with_name("dispatch"))
    rounds = in_turns(
        scale.rounds * 3,
        {
            NOTHING: partial(_process_ms, [sys.executable, "-c", "pass"]),
            HELP: partial(_process_ms, [program, "--help"]),
            IMPORT: _import_ms,
        },
    )
    rows = [line(rounds, name, "ms") for name in rounds]
    median = {str(row["what"]): float(str(row["median ms"])) for row in rows}
    beside = f"{median[NOTHING] / 1_000:.3f} s for a Python that does nothing"
    figures = {
        "P12 help": Figure(median[HELP] / 1_000, beside),
        "P12 import": Figure(median[IMPORT] / 1_000, "without the interpreter's own start"),
    }
    return Outcome(rows=rows, figures=figures)
