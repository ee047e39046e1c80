"""The README cannot lag behind: every command and recipe is in it, and its library example runs."""

import re

from dvspipe.cli import app
from dvspipe.recipes import names


def readme(checkout):
    return (checkout / "README.md").read_text(encoding="utf-8")


def test_every_command_and_recipe_is_named(checkout):
    text = readme(checkout)
    verbs = [name for name in app if not name.startswith("-")]
    assert len(verbs) >= 9
    missing = [verb for verb in verbs if f"### `{verb}`" not in text]
    missing += [name for kind in ("pipelines", "datasets") for name in names(kind) if f"`{name}`" not in text]
    assert not missing


def test_ci_runs_the_readmes_test_command(checkout):
    command = re.search(r"^pip install uv && uv run pytest$", readme(checkout), re.MULTILINE)
    assert command
    lines = (checkout / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith(("#", "set ", "cd "))] == [command.group()]


def test_nothing_outside_the_fixed_top_level(checkout):
    fixed = {"pyproject.toml", "dvspipe", "datasets", "pipelines", "tests", "README.md", "LICENSE", "CHANGELOG.md"}
    import subprocess

    done = subprocess.run(["git", "ls-files"], cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        return  # an unpacked archive
    tops = {line.split("/")[0] for line in done.stdout.splitlines()}
    assert {top for top in tops if not top.startswith(".")} <= fixed
