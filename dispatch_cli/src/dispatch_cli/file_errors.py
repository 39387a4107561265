"""Files that cannot be read, cannot be written, or hold what is not acceptable: errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispatch_cli.exits import CommandFailure, ExitCode


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Within it, what goes wrong is said of this file."""
    from dispatch_cli.local_target import core_errors

    try:
        with core_errors():
            yield
    except OSError as error:
        text = f"{path}: {error.strerror or error}"
        raise CommandFailure("file", text, exit_code=ExitCode.USAGE) from error
    except CommandFailure as failure:
        failure.subject = failure.subject or str(path)
        raise
