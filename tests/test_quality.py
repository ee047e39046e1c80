"""Ruff and mypy, configured in pyproject.toml, run as tests."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "tool",
    [["ruff", "check", "--no-cache", "."], ["ruff", "format", "--check", "--no-cache", "."], ["mypy"]],
    ids=" ".join,
)
def test_tool_is_content(tool, checkout):
    done = subprocess.run([sys.executable, "-m", *tool], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
