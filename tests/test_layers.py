"""Nothing in the product may depend on what does not import beside a CPU build of torch."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_torchvision_no_print_no_broad_except(source):
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"torchvision", "torchaudio", "torchcodec"}
        if isinstance(node, ast.ExceptHandler):
            assert getattr(node.type, "id", "Exception" if node.type is None else "") not in (
                "Exception",
                "BaseException",
            )
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", "") != "print"
