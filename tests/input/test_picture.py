from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from koshi_flux.errors import SettingsError
from koshi_flux.input.picture import read_fitted, read_picture, read_rgba


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **how: object) -> Path:
    picture = PillowImage.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **how)
    return path


@pytest.fixture
def rgba() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


def test_colours_and_alpha_come_apart(tmp_path: Path, rgba: np.ndarray):
    image, alpha = read_rgba(saved(tmp_path / "a.png", rgba))
    assert torch.equal((image * 255).round().byte().permute(1, 2, 0), torch.from_numpy(rgba[..., :3]))
    assert torch.equal((alpha * 255).round().byte(), torch.from_numpy(rgba[..., 3]))
    assert image.dtype == alpha.dtype == torch.float32


def test_a_picture_without_alpha_has_none(tmp_path: Path, rgba: np.ndarray):
    assert read_rgba(saved(tmp_path / "a.png", rgba[..., :3].copy()))[1] is None
    assert read_rgba(saved(tmp_path / "a.jpg", rgba[..., :3].copy()))[1] is None


def test_grey_palette_and_see_through_palette(tmp_path: Path):
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
    image, alpha = read_rgba(saved(tmp_path / "grey.png", grey))
    assert alpha is None
    assert torch.allclose(image, torch.from_numpy(grey / np.float32(255)).expand(3, -1, -1))
    image, alpha = read_rgba(saved(tmp_path / "palette.png", grey, "P"))
    assert alpha is None
    assert torch.allclose(image[0], torch.from_numpy(grey / np.float32(255)))
    holes = PillowImage.fromarray(grey).convert("P")
    holes.save(tmp_path / "holes.png", transparency=int(holes.getpixel((0, 0))))
    assert read_rgba(tmp_path / "holes.png")[1].flatten().tolist() == [0.0] + [1.0] * 15


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str, channels: int):
    deep = np.random.default_rng(1).integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep)
    image, alpha = read_rgba(tmp_path / f"a.{suffix}")
    rgb = deep.repeat(3, axis=2) if channels == 1 else deep[..., 2::-1]
    assert np.abs(image.permute(1, 2, 0).numpy() - rgb / 65535).max() < 1e-6
    if channels == 4:
        assert np.abs(alpha.numpy() - deep[..., 3] / 65535).max() < 1e-6


def test_a_picture_taken_sideways_is_upright(tmp_path: Path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255  # the left half is white
    picture = PillowImage.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left goes to the top
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image, _ = read_rgba(tmp_path / "a.jpg")
    assert image.shape == (3, 40, 20)
    assert image[:, :18].min() > 0.95
    assert image[:, 22:].max() < 0.05


def test_fitting_to_a_frame(tmp_path: Path):
    white = saved(tmp_path / "a.png", np.full((10, 40, 3), 255, np.uint8))
    assert read_fitted(white, (20, 20))[1] is None
    image, alpha = read_fitted(white, (20, 20), "contain")
    assert torch.equal(image[0], alpha)  # white where the picture is, black and not opaque around
    assert float(alpha.sum()) == 20 * 5
    assert read_fitted(white, (40, 10), "contain")[1] is None  # nothing is bare
    half = saved(tmp_path / "b.png", np.full((10, 40, 4), 128, np.uint8))
    assert read_fitted(half, (20, 20), "contain")[1].unique().tolist() == pytest.approx([0, 128 / 255])


def test_at_most_so_many_pixels_in_multiples(tmp_path: Path):
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100, 0] = 255
    read = read_picture(saved(tmp_path / "a.png", pixels), 64 * 64, 16)
    assert read.shape == (3, 32, 80)
    assert read[0, :, :16].min() > 0.9
    assert read[0, :, -16:].max() < 0.1
    tiny = saved(tmp_path / "tiny.png", np.zeros((3, 300, 3), np.uint8))
    assert read_picture(tiny, 64 * 64, 16).shape == (3, 16, 288)  # never less than one multiple


def test_what_cannot_be_read_is_named(tmp_path: Path, rgba: np.ndarray):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SettingsError, match=r"^init_image: .*text\.png cannot be read as a picture"):
        read_rgba(tmp_path / "text.png", "init_image")
    with pytest.raises(SettingsError, match=r"^picture: there is no picture .*b\.png"):
        read_rgba(tmp_path / "b.png")
    whole = saved(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    (tmp_path / "torn.png").write_bytes(whole.read_bytes()[:6000])
    with pytest.raises(SettingsError, match=r"torn\.png cannot be read as a picture"):
        read_rgba(tmp_path / "torn.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(SettingsError, match=r"empty\.png cannot be read"):
        read_rgba(tmp_path / "empty.png")
    with pytest.raises(SettingsError, match="cannot be read as a picture"):
        read_rgba(tmp_path)
