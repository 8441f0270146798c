"""Deforum's own numbers: where sd-webui-deforum's 2D camera carries a blob."""

import json
from pathlib import Path

import pytest

from koshi_flux.motion import move
from koshi_flux.shared.parameters import FrameParameters
from tests.motion.blobs import blob_at, centroid

GOLDEN = Path(__file__).parents[2] / "../shared/corpus/golden/warps.json"


def golden_rows():
    if not GOLDEN.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(f"the golden warps are not here: {GOLDEN}"))]
    return [row for row in json.loads(GOLDEN.read_text())["rows"] if row["mode"] in ("2D", "2D+flip")]


@pytest.mark.parametrize("row", golden_rows(), ids=str)
def test_a_blob_goes_where_deforum_carries_it(row):
    # Deforum counts its centre from the middle of the first pixel, we from its corner (docs/conventions.md): with the
    # turns and zooms of the table that comes to 0.31 pixels at most
    blob = blob_at(*row["blob"], row["H"], row["W"])
    found, _ = move(blob, FrameParameters(**row["params"]))
    assert centroid(found) == pytest.approx(row["centroid"], abs=0.35)
