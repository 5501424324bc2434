"""The picture of the demo, drawn here: a cabin on a winter night, as a camera under the eaves would see it."""

from datetime import datetime
import io
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 1280, 720
_HORIZON = 470


def draw_picture(when: datetime, *, target_bytes: int = 48_000) -> bytes:
    """Return the scene as a JPEG of about `target_bytes` (the largest quality that fits)."""
    scene = _scene(when)
    best = b""
    for quality in (25, 35, 45, 55, 62, 68, 74, 80, 85, 89, 92):
        buffer = io.BytesIO()
        scene.save(buffer, "JPEG", quality=quality, optimize=True)
        if best and buffer.tell() > target_bytes:
            break
        best = buffer.getvalue()
    return best


def _scene(when: datetime) -> Image.Image:
    dice = random.Random(20260719)  # noqa: S311  the same stars and trees every time
    image = _sky()
    draw = ImageDraw.Draw(image)
    _stars(draw, dice)
    _moon(image)
    draw = ImageDraw.Draw(image)
    _mountains(draw, dice)
    _snow(draw)
    for _ in range(70):
        _tree(draw, dice.randint(-20, WIDTH), _HORIZON + dice.randint(-6, 18), dice.randint(26, 60), (16, 26, 38))
    _cabin(draw)
    _light(image)
    draw = ImageDraw.Draw(image)
    for x, foot, height in ((90, 640, 250), (205, 600, 180), (1030, 610, 210), (1150, 655, 290), (1235, 600, 170)):
        _tree(draw, x, foot, height, (9, 17, 26))
    _fox(draw)
    grain = Image.effect_noise((WIDTH, HEIGHT), 10).convert("RGB")
    image = ImageChops.add(image, grain, scale=1.0, offset=-128)
    _caption(image, when)
    return image


def _sky() -> Image.Image:
    column = Image.new("RGB", (1, HEIGHT))
    for y in range(HEIGHT):
        share = min(1.0, y / _HORIZON)
        column.putpixel((0, y), (round(8 + 34 * share), round(14 + 50 * share), round(38 + 66 * share)))
    return column.resize((WIDTH, HEIGHT))


def _stars(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    for _ in range(240):
        x, y, light = dice.randrange(WIDTH), dice.randrange(_HORIZON - 120), dice.randint(110, 255)
        size = 1 if light > 215 else 0
        draw.ellipse((x, y, x + size, y + size), fill=(light, light, min(255, light + 14)))


def _moon(image: Image.Image) -> None:
    halo = Image.new("L", image.size)
    ImageDraw.Draw(halo).ellipse((930, 40, 1110, 220), fill=90)
    image.paste((190, 205, 230), mask=halo.filter(ImageFilter.GaussianBlur(38)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((980, 90, 1060, 170), fill=(236, 238, 228))
    for x, y, radius in ((1003, 112, 9), (1032, 138, 12), (1028, 106, 5), (1000, 145, 6)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(216, 219, 211))


def _mountains(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    for base, spread, colour in ((250, 110, (30, 46, 76)), (340, 70, (24, 37, 60))):
        points = [(0, _HORIZON + 20)]
        points += [(x, base + dice.randint(0, spread)) for x in range(0, WIDTH + 81, 80)]
        draw.polygon([*points, (WIDTH, _HORIZON + 20)], fill=colour)


def _snow(draw: ImageDraw.ImageDraw) -> None:
    for y in range(_HORIZON, HEIGHT):
        share = (y - _HORIZON) / (HEIGHT - _HORIZON)
        draw.line((0, y, WIDTH, y), fill=(round(74 + 60 * share), round(92 + 64 * share), round(124 + 60 * share)))
    draw.polygon([(610, 596), (690, 596), (860, HEIGHT), (420, HEIGHT)], fill=(104, 118, 142))


def _tree(draw: ImageDraw.ImageDraw, x: int, foot: int, height: int, colour: tuple[int, int, int]) -> None:
    draw.rectangle((x - height // 30, foot - height // 8, x + height // 30, foot), fill=(28, 22, 20))
    for step in range(4):
        top, half = foot - height + step * height // 5, height * (step + 2) // 20
        bottom = top + height * 2 // 5
        draw.polygon([(x, top), (x + half, bottom), (x - half, bottom)], fill=colour)
        draw.polygon(
            [(x, top), (x + half // 3, top + height // 9), (x - half // 3, top + height // 9)], fill=(150, 166, 190)
        )


def _cabin(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((430, 400, 870, 600), fill=(58, 38, 28))
    for y in range(400, 600, 20):
        draw.line((430, y, 870, y), fill=(38, 24, 18), width=3)
    draw.rectangle((740, 230, 790, 330), fill=(52, 46, 46))
    draw.rectangle((734, 222, 796, 236), fill=(170, 184, 204))
    draw.polygon([(390, 410), (650, 250), (910, 410)], fill=(44, 34, 34))
    draw.polygon([(378, 406), (650, 232), (922, 406), (902, 412), (650, 258), (398, 412)], fill=(176, 190, 212))
    draw.rectangle((606, 470, 694, 600), fill=(84, 52, 32))
    draw.ellipse((676, 532, 686, 542), fill=(212, 178, 96))
    for left in (470, 740):
        draw.rectangle((left, 452, left + 92, 536), fill=(250, 196, 96))
        draw.rectangle((left + 6, 458, left + 86, 530), fill=(255, 216, 132))
        draw.line((left + 46, 452, left + 46, 536), fill=(58, 38, 28), width=6)
        draw.line((left, 494, left + 92, 494), fill=(58, 38, 28), width=6)


def _light(image: Image.Image) -> None:
    glow = Image.new("L", image.size)
    draw = ImageDraw.Draw(glow)
    for left in (470, 740):
        draw.ellipse((left - 50, 410, left + 142, 580), fill=70)
        draw.polygon([(left, 600), (left + 92, 600), (left + 170, 700), (left - 78, 700)], fill=80)
    image.paste((255, 190, 96), mask=glow.filter(ImageFilter.GaussianBlur(24)))
    smoke = Image.new("L", image.size)
    draw = ImageDraw.Draw(smoke)
    for step in range(9):
        x, y, radius = 766 + step * 13, 206 - step * 20, 14 + step * 5
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=66 - step * 6)
    image.paste((168, 178, 196), mask=smoke.filter(ImageFilter.GaussianBlur(9)))


def _fox(draw: ImageDraw.ImageDraw) -> None:
    """Draw what moved: a fox on the path."""
    coat, dark, pale = (172, 88, 40), (60, 34, 22), (222, 208, 190)
    draw.polygon([(560, 652), (470, 636), (486, 664), (560, 668)], fill=coat)
    draw.polygon([(470, 636), (486, 664), (456, 648)], fill=pale)
    draw.ellipse((540, 630, 650, 676), fill=coat)
    for x in (556, 574, 620, 636):
        draw.rectangle((x, 664, x + 8, 700), fill=dark)
    draw.polygon([(634, 634), (656, 604), (700, 632), (664, 654), (640, 656)], fill=coat)
    draw.polygon([(650, 610), (650, 590), (664, 606)], fill=dark)
    draw.polygon([(664, 608), (670, 588), (680, 612)], fill=dark)
    draw.polygon([(700, 632), (676, 634), (664, 654)], fill=pale)
    draw.ellipse((668, 618, 673, 623), fill=(250, 244, 180))


def _caption(image: Image.Image, when: datetime) -> None:
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(28)
    draw.rectangle((0, 0, WIDTH, 46), fill=(10, 14, 22))
    draw.text((16, 7), "CABIN  north path", font=font, fill=(232, 236, 240))
    draw.text((WIDTH - 16, 7), when.strftime("%Y-%m-%d  %H:%M:%S"), font=font, fill=(232, 236, 240), anchor="ra")
