"""The wheel holds what the package reads beside its code."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


@pytest.mark.parametrize("package", ["koshi_flux.nano", "koshi_flux.depth"])
def test_every_weight_and_table_is_named_as_package_data(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folder = SOURCE / package.replace(".", "/")
    patterns = project["tool"]["setuptools"]["package-data"][package]
    packed = {file for pattern in patterns for file in folder.glob(pattern)}
    read = {file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert packed == read
    assert any(file.suffix == ".safetensors" for file in packed)
