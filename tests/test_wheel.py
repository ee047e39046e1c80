"""The wheel: every module and every recipe is in it, nothing else, and it works away from the checkout."""

import subprocess
import sys
import tomllib
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """Built from a copy, so that no build folder is left in the checkout."""
    import shutil

    source = tmp_path_factory.mktemp("source")
    for name in ("dvspipe", "datasets", "pipelines"):
        shutil.copytree(checkout / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_wheel_holds_every_module_and_recipe(wheel, checkout):
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(checkout)) for path in (checkout / "dvspipe").rglob("*.py")}
    shown = [*(checkout / "dvspipe").rglob("*.html"), *(checkout / "dvspipe" / "show" / "live").iterdir()]
    pages = {str(path.relative_to(checkout)) for path in shown}
    recipes = {
        f"dvspipe/_recipes/{kind}/{path.name}"
        for kind in ("datasets", "pipelines")
        for path in (checkout / kind).glob("*.toml")
    }
    meta = {name for name in inside if ".dist-info/" in name}
    assert inside - meta == modules | pages | recipes | {"dvspipe/py.typed"}
    top = zipfile.ZipFile(wheel).read(next(name for name in meta if name.endswith("top_level.txt"))).decode().split()
    assert top == ["dvspipe"]


def test_packages_are_all_listed(checkout):
    listed = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(checkout).parts) for path in (checkout / "dvspipe").rglob("__init__.py")}
    assert {name for name in listed if "_recipes" not in name} == there


def test_the_installed_wheel_finds_its_recipes(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import dvspipe.recipes as r; assert '_recipes' in str(r.folder('pipelines'));"
        "print(len(r.names('pipelines')), len(r.names('datasets'))); r.load_recipe('gesture-sim-none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert min(int(count) for count in done.stdout.split()) > 0
