"""Image files -> uint8 arrays, on all cores: the only decoder of the user's own images, streamed or in memory."""

import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps

from robust_tf.refusal import Refusal
from robust_tf.terminal import named

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # Pillow's other decoders are never called, whatever a file is named
POOL = ThreadPoolExecutor(os.cpu_count(), "decode")  # Pillow releases the interpreter's lock while it decodes
BLOCK = 1024  # files that wait for a thread at a time


class Unreadable(Exception):
    """Why a file cannot be decoded."""


def decoded(path, channels):
    """The PIL image in a file, upright, with 1 (grey) or 3 (RGB) channels; the first frame of an animation.

    EXIF orientation is applied. Transparency is dropped: a pixel keeps its colour. 16-bit values lose their low byte.
    Raises Unreadable, for more than 178,956,970 pixels too, where Pillow suspects an attack.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image = upright(image)
            if image.mode.startswith("I"):  # convert would clip 16-bit values to 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "transparency" in image.info:  # otherwise convert may blend, or warn
                image = image.convert("RGBA")
            return image.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except Image.UnidentifiedImageError:
        raise Unreadable(f"no image in a known format ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise many types: OSError, SyntaxError, ValueError, struct.error, ...
        raise Unreadable(" ".join(f"{error or type(error).__name__}".split())) from None


def upright(image):
    """The image, turned as its EXIF data say; as it is stored where these are damaged."""
    image.load()  # raises what is wrong with the pixels
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as many types as decoders raise
        return image


def read(path, size, channels):
    """The image in a file, uint8 [H, W, channels], scaled to size = (H, W): bilinear, with antialiasing."""
    image = decoded(path, channels)
    scaled = image if image.size == size[::-1] else image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(scaled).reshape(*size, channels)


def digest(path, channels):
    """SHA-256 of the size and the pixels of the image in a file, before scaling."""
    image = decoded(path, channels)
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def attempted(function, items):
    """Yields (item, function(item), "") for each item, in order, or (item, None, why its file is unreadable)."""

    def attempt(item):
        try:
            return item, function(item), ""
        except Unreadable as error:
            return item, None, str(error)

    items = iter(items)
    while block := list(itertools.islice(items, BLOCK)):
        yield from POOL.map(attempt, block)


def read_all(paths, size, channels, advance=lambda: None):
    """The images in files, uint8 [N, H, W, channels]; raises Refusal, after all were tried, naming the unreadable."""
    images = np.empty((len(paths), *size, channels), np.uint8)
    failed = []

    def fill(i):
        images[i] = read(paths[i], size, channels)

    for i, _, reason in attempted(fill, range(len(paths))):
        if reason:
            failed.append(f"{paths[i]} ({reason})")
        advance()
    if failed:
        raise Refusal(f"--data_dir: expected readable images; got {named(failed)}")
    return images
