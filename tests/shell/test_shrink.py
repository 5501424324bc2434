"""Pictures made to fit."""

from io import BytesIO
from unittest.mock import patch

from PIL import Image
import pytest

from custom_components.cellular_uplink import shrink as module
from custom_components.cellular_uplink.shrink import PictureError, shrink

from .conftest import jpeg


def opened(content: bytes | None) -> Image.Image:
    assert content is not None
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


def saved(picture: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def test_leaves_a_picture_that_fits_alone() -> None:
    content = jpeg(320, 240)
    assert shrink(content, max_width=320, max_bytes=len(content)) is None


def test_scales_to_the_width() -> None:
    smaller = opened(shrink(jpeg(640, 480), max_width=320, max_bytes=None))
    assert (smaller.size, smaller.format) == ((320, 240), "JPEG")


@pytest.mark.parametrize("max_bytes", [40_000, 20_000])
def test_gives_up_no_more_quality_than_it_must(max_bytes: int) -> None:
    content = jpeg(640, 480, quality=97)
    smaller = shrink(content, max_width=None, max_bytes=max_bytes)
    assert smaller is not None
    assert 0.8 * max_bytes < len(smaller) <= max_bytes
    assert opened(smaller).size == (640, 480)


def test_scales_where_quality_is_not_enough() -> None:
    smaller = shrink(jpeg(640, 480), max_width=None, max_bytes=4_000)
    assert smaller is not None
    assert len(smaller) <= 4_000
    assert opened(smaller).width < 640


def test_says_when_it_cannot_fit() -> None:
    with pytest.raises(PictureError) as caught:
        shrink(jpeg(640, 480), max_width=None, max_bytes=300)
    assert caught.value.key == "cannot_fit"


def test_turns_the_picture_and_drops_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    exif[0x010F] = "SENTINEL"  # make
    content = jpeg(640, 480, exif=exif, comment=b"SENTINEL")
    smaller = shrink(content, max_width=240, max_bytes=None)
    assert smaller is not None
    assert opened(smaller).size == (240, 320)
    assert b"SENTINEL" in content
    assert b"SENTINEL" not in smaller
    assert not opened(smaller).getexif()


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1", "LA", "CMYK"])
def test_takes_any_kind_of_picture(mode: str) -> None:
    image_format = "TIFF" if mode == "CMYK" else "PNG"
    smaller = opened(shrink(saved(Image.new(mode, (100, 50)), image_format), max_width=50, max_bytes=None))
    assert (smaller.size, smaller.mode) == ((50, 25), "RGB")


def test_puts_what_is_transparent_on_white() -> None:
    smaller = opened(shrink(saved(Image.new("RGBA", (100, 50), (0, 0, 0, 0)), "PNG"), max_width=50, max_bytes=None))
    assert smaller.getpixel((10, 10)) == (255, 255, 255)


@pytest.mark.parametrize("content", [b"", b"<html>", jpeg()[:200], b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_refuses_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        shrink(content, max_width=50, max_bytes=None)
    assert caught.value.key == "not_a_picture"


def test_refuses_to_unpack_bombs() -> None:
    bomb = saved(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(PictureError) as caught:
        shrink(bomb, max_width=50, max_bytes=None)
    assert caught.value.key == "too_many_pixels"
    with patch.object(module, "MAX_PIXELS", 100), pytest.raises(PictureError) as caught:
        shrink(jpeg(), max_width=50, max_bytes=None)
    assert caught.value.key == "too_many_pixels"
