import struct

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from koshi_flux.depth.stored import encode_depth16, read_depth16
from koshi_flux.errors import SettingsError


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_stored_depth_is_read_back(tmp_path_factory, height, width, seed):
    depth = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    file = tmp_path_factory.mktemp("depth") / "000000.png"
    file.write_bytes(encode_depth16(depth))
    found = read_depth16(file)
    assert found.dtype == torch.float32
    assert (found - depth).abs().max() <= 0.5 / 65535 + 1e-7


def test_it_is_a_grey_png_of_16_bits_in_which_white_is_near():
    content = encode_depth16(torch.tensor([[0.0, 0.5, 1.0, 1.5, -1.0]]))
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">IIBB", content[16:26]) == (5, 1, 16, 0)  # width, height, bits, colour type: grey
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert levels.tolist() == [[0, 32768, 65535, 65535, 0]]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read the depth .*nothing\.png: No such file"):
        read_depth16(tmp_path / "nothing.png")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1]),
        bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint16))[1]),
    ],
    ids=["empty", "text", "8 bits", "colour"],
)
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "depth.png"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"depth\.png is no whole 16-bit grey PNG"):
        read_depth16(file)


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    content = encode_depth16(torch.rand(64, 64))
    file = tmp_path / "depth.png"
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(SettingsError, match=r"depth\.png is no whole 16-bit grey PNG"):
        read_depth16(file)
