"""The command line: parse, call a job, print. No maths; everything heavy is imported inside the verb."""

from dvspipe.cli.common import app
from dvspipe.cli.main import main, run

__all__ = ["app", "main", "run"]
