"""Runs a command line: every planned error becomes one message on stderr and an exit code.

Exit codes: 0 ok, 1 failure, 2 usage, 3 damaged input but processed, 130 interrupted.
"""

from __future__ import annotations

import sys

from cyclopts.exceptions import CycloptsError

from dvspipe.cli import bench, data, experiments, export, images, live, recordings, runs
from dvspipe.cli.common import INTERRUPTED, OK, USAGE, app
from dvspipe.errors import DvspipeError

VERBS = (experiments, data, recordings, live, images, export, bench, runs)  # importing a module is what adds its verbs


def run(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; every planned error becomes one message on stderr."""
    try:
        result = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
        return int(result or OK)
    except CycloptsError:
        return USAGE
    except DvspipeError as error:
        return _complain(error)
    except OSError as error:  # a full disk, a folder without rights: planned for in general, not in every place
        if isinstance(error, BrokenPipeError):
            return OK
        return _complain(
            DvspipeError(f"{error.filename or 'the system'}: {error.strerror}. Nothing half-written is left.")
        )
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"interrupted. {interrupt}\n")
        return INTERRUPTED


def _complain(error: DvspipeError) -> int:
    sys.stderr.write(f"dvspipe: {error}\n")
    return error.exit_code


def main() -> None:
    """Entry point of the `dvspipe` command."""
    code = run()
    # Python remembers a Ctrl-C that fell into an `exec` (dataclasses make their methods so), though it was caught, and
    # would die of it at the very end: another `exec` makes it forget.
    exec("pass")
    sys.exit(code)
