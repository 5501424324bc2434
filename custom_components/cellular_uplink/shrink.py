"""Makes a picture fit a metered link, at the smallest loss that does."""

from io import BytesIO

from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
"""No camera of a house has more; a small file that claims to would fill the memory when it is unpacked."""

BEST_QUALITY = 92
WORST_QUALITY = 40
"""Below this, fewer pixels look better than coarser ones."""

MIN_EDGE = 32


class PictureError(Exception):
    """The picture cannot be made to fit. `key` names the message: not_a_picture, too_many_pixels, cannot_fit."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def shrink(content: bytes, *, max_width: int | None, max_bytes: int | None) -> bytes | None:
    """Return the picture as a JPEG within the limits, None where it already is within them as it stands.

    A picture that needs no change is left alone to the last byte. One that is changed keeps nothing but its pixels:
    it is turned as its orientation says, and place, time and camera are dropped.

    Raises:
        PictureError: it is no picture, a decompression bomb, or does not fit at any size.
    """
    try:
        with Image.open(BytesIO(content)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise PictureError("too_many_pixels")
            picture = ImageOps.exif_transpose(opened)
            if (max_width is None or picture.width <= max_width) and (max_bytes is None or len(content) <= max_bytes):
                return None
            picture = _flat(picture)
    except Image.DecompressionBombError as err:
        raise PictureError("too_many_pixels") from err
    except (OSError, SyntaxError, ValueError) as err:  # what Pillow raises for broken files, by format
        raise PictureError("not_a_picture") from err
    if max_width is not None and picture.width > max_width:
        picture = _scaled(picture, max_width / picture.width)
    return _encode(picture, BEST_QUALITY) if max_bytes is None else _fitted(picture, max_bytes)


def _fitted(picture: Image.Image, max_bytes: int) -> bytes:
    """Lower the quality first, and where that is not enough the size."""
    while True:
        if (fitting := _best_quality_within(picture, max_bytes)) is not None:
            return fitting
        # The size of a JPEG goes with its pixels: aim at the limit, and a little below to get there in few rounds.
        too_large = len(_encode(picture, WORST_QUALITY))
        picture = _scaled(picture, min(0.9, (max_bytes / too_large) ** 0.5 * 0.97))
        if min(picture.size) < MIN_EDGE:
            raise PictureError("cannot_fit")


def _best_quality_within(picture: Image.Image, max_bytes: int) -> bytes | None:
    best: bytes | None = None
    low, high = WORST_QUALITY, BEST_QUALITY
    while low <= high:
        quality = (low + high) // 2
        encoded = _encode(picture, quality)
        if len(encoded) <= max_bytes:
            best, low = encoded, quality + 1
        else:
            high = quality - 1
    return best


def _flat(picture: Image.Image) -> Image.Image:
    """JPEG knows no transparency: put it on white."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        background = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(background, picture)
    return picture.convert("RGB")


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _encode(picture: Image.Image, quality: int) -> bytes:
    # Pillow writes the metadata a picture carries in `info` again unless it is told not to.
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True, exif=b"", icc_profile=None, comment=b"", xmp=b"")
    return buffer.getvalue()
