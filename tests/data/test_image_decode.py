"""Every kind of pixels people have becomes uint8 of 1 or 3 channels, and what was done is named."""

import numpy as np
import pytest
from PIL import Image

from dvspipe.data.images.decode import conversions, decode, size_of

GREY = np.array([[0, 100, 255], [10, 20, 30]], np.uint8)


def reopened(image, path, **options):
    image.save(path, **options)
    found = Image.open(path)
    found.load()
    return found


@pytest.mark.parametrize(
    ("mode", "channels", "named"),
    [
        ("RGB", 3, []),
        ("L", 1, []),
        ("L", 3, ["grey to RGB"]),
        ("RGB", 1, ["colours to grey"]),
        ("1", 1, []),
        ("LA", 1, ["transparency laid on black"]),
        ("RGBA", 3, ["transparency laid on black"]),
        ("P", 3, ["palette to RGB"]),
        ("CMYK", 3, ["CMYK to RGB"]),
        ("CMYK", 1, ["CMYK to RGB", "colours to grey"]),
        ("I;16", 1, ["16 bits scaled to 8"]),
        ("I;16", 3, ["16 bits scaled to 8", "grey to RGB"]),
    ],
)
def test_modes(tmp_path, mode, channels, named):
    image = reopened(Image.new(mode, (5, 4)), tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}")
    assert image.mode == mode
    assert conversions(image, channels) == named
    pixels = decode(image, channels)
    assert pixels.shape == (channels, 4, 5)
    assert pixels.dtype == np.uint8


def test_colours_keep_their_planes_and_grey_is_repeated():
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(decode(Image.fromarray(colours), 3), colours.transpose(2, 0, 1))
    np.testing.assert_array_equal(decode(Image.fromarray(GREY), 3), np.stack([GREY] * 3))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 65535], [32768, 128, 129]], np.uint16)
    image = reopened(Image.fromarray(values), tmp_path / "deep.png")
    np.testing.assert_array_equal(decode(image, 1)[0], np.rint(values / 257).astype(np.uint8))


def test_integers_beyond_sixteen_bits_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.65536, allowed is 0\.\.65535"):
        decode(Image.fromarray(np.array([[0, 65536]], np.int32)), 1)
    with pytest.raises(ValueError, match="mode F"):
        conversions(Image.new("F", (2, 2)), 1)


def test_what_is_transparent_is_black(tmp_path):
    pixels = np.full((2, 2, 4), 200, np.uint8)
    pixels[..., 3] = [[255, 0], [51, 255]]
    image = reopened(Image.fromarray(pixels), tmp_path / "a.png")
    np.testing.assert_array_equal(decode(image, 3)[0], [[200, 0], [40, 200]])


def test_a_transparent_colour_of_a_palette(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image = reopened(image, tmp_path / "p.png", transparency=1)
    assert conversions(image, 3) == ["transparency laid on black", "palette to RGB"]
    np.testing.assert_array_equal(decode(image, 3)[:, 0], [[10, 0], [20, 0], [30, 0]])


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_exif_turns_the_image(tmp_path, mode):
    """Orientation 6: the camera was turned, a viewer shows the rows as columns from right to left."""
    image = Image.fromarray(GREY.astype(np.uint16) * 257 if mode == "I;16" else GREY)
    image = image.convert(mode) if mode == "RGB" else image
    exif = Image.Exif()
    exif[0x0112] = 6
    image = reopened(image, tmp_path / "turned.png", exif=exif)
    assert "rotated as EXIF says" in conversions(image, 1)
    assert size_of(image) == (2, 3)
    np.testing.assert_array_equal(decode(image, 1)[0], np.rot90(GREY, -1))
