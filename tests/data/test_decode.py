"""The decoder: every format, upright, unblended, and the same as a resize of the pixels."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from robust_tf.data.decode import attempted, decoded, digest, read, read_all
from robust_tf.refusal import Refusal

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 10, 3), np.uint8)


def saved(path, pixels=PIXELS, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("bmp", {}), ("webp", {"lossless": True}), ("gif", {}), ("jpg", {"quality": 100})],
)
def test_every_format(tmp_path, suffix, options):
    grey = np.repeat(PIXELS[..., :1], 3, -1)
    path = saved(tmp_path / f"a.{suffix}", grey, **options)
    most = 3 if suffix == "jpg" else 0
    assert np.abs(read(path, (12, 10), 3).astype(int) - grey).max() <= most
    assert np.abs(read(path, (12, 10), 1).astype(int) - grey[..., :1]).max() <= most


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((9, 9, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read(tmp_path / "a.gif", (9, 9), 3) == 10).all()


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1)), (8, np.rot90), (2, lambda x: x[:, ::-1])],
)
def test_the_orientation_is_applied(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path, expected = saved(tmp_path / "a.png", exif=exif), turned(PIXELS)
    np.testing.assert_array_equal(read(path, expected.shape[:2], 3), expected)


@pytest.mark.parametrize("exif", [b"garbage garbage", b"II*\0\x08\0\0\0", b"II*\0\x08\0\0\0\x05\0\x12\x01"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_damaged_exif_data_leave_an_image_as_it_is(tmp_path, exif, suffix):
    path = saved(tmp_path / f"a.{suffix}", exif=b"Exif\0\0" + exif, lossless=True)
    np.testing.assert_array_equal(read(path, (12, 10), 3), PIXELS)


def test_transparency_is_dropped_and_16_bits_become_8(tmp_path):
    clear = np.concatenate([PIXELS, np.zeros((12, 10, 1), np.uint8)], -1)
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", clear), (12, 10), 3), PIXELS)
    palette = Image.fromarray(PIXELS[..., 0] // 64).convert("P")
    palette.putpalette([each for each in (9, 90, 170, 250) for _ in range(3)])
    palette.save(tmp_path / "b.png", transparency=0)
    expected = np.array([9, 90, 170, 250])[PIXELS[..., 0] // 64]
    np.testing.assert_array_equal(read(tmp_path / "b.png", (12, 10), 1)[..., 0], expected)
    deep = PIXELS[..., 0].astype(np.uint16) * 256 + 255
    np.testing.assert_array_equal(read(saved(tmp_path / "c.png", deep), (12, 10), 3)[..., 1], PIXELS[..., 0])


@pytest.mark.parametrize("size", [(7, 5), (31, 17), (12, 4)])
def test_scaling_is_bilinear_with_antialiasing(tmp_path, size):
    expected = tf.image.resize(PIXELS, size, antialias=True)
    assert np.abs(read(saved(tmp_path / "a.png"), size, 3) - expected.numpy()).max() <= 1.5  # Pillow rounds twice


def test_grey_is_luminance(tmp_path):
    expected = PIXELS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(saved(tmp_path / "a.png"), (12, 10), 1)[..., 0] - expected).max() <= 0.51


def test_equal_pixels_have_equal_digests(tmp_path):
    one, other = saved(tmp_path / "a.png"), saved(tmp_path / "b.webp", lossless=True)
    assert one.read_bytes() != other.read_bytes()
    assert digest(one, 3) == digest(other, 3)
    assert digest(one, 3) != digest(saved(tmp_path / "c.png", PIXELS.reshape(10, 12, 3)), 3)


def test_unreadable_files_are_all_named_with_a_reason(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    broken = {"cut.jpg": buffer.getvalue()[:-40], "text.png": b"text", "empty.gif": b"", "script.png": eps}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    good = saved(tmp_path / "good.png")
    paths = [str(tmp_path / name) for name in broken]
    found = list(attempted(lambda path: read(path, (4, 4), 3), [*paths, good, tmp_path / "none.png"]))
    assert [path for path, *_ in found] == [*paths, good, tmp_path / "none.png"]
    reasons = [reason for *_, reason in found]
    assert "truncated" in reasons[0]
    assert all("no image in a known format" in reason for reason in reasons[1:4])
    assert reasons[4:] == ["", "no such file"]
    with pytest.raises(Refusal) as refused:
        read_all([*paths, good], (4, 4), 3)
    assert all(path in str(refused.value) for path in paths)
    assert "good.png" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_image_is_closed_after_it_was_decoded(tmp_path):
    image = decoded(saved(tmp_path / "a.png"), 3)
    assert getattr(image, "fp", None) is None
    assert image.size == (10, 12)
