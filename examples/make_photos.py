"""Make the example photos from the pictures that scikit-image and matplotlib bring along.

Run it with both packages installed::

    python examples/make_photos.py [FOLDER]

It writes four small JPEGs into FOLDER, by default ``examples/photos``. Origin and licence of
each picture are in ``examples/photos/CREDITS.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.cbook
import numpy as np
import skimage.data
from PIL import Image, ImageOps

QUALITY = 88


def astronaut() -> Image.Image:
    """Eileen Collins, 512 × 512: one face of about 100 pixels."""
    return Image.fromarray(skimage.data.astronaut())


def grace_hopper() -> Image.Image:
    """Grace Hopper, 512 × 600: one large face, turned a little, with glasses."""
    file = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(str(file)) as image:
        return image.convert("RGB")


def cat() -> Image.Image:
    """Chelsea, 451 × 300: a face, but none that a detector of human faces should find."""
    return Image.fromarray(skimage.data.chelsea())


def group() -> Image.Image:
    """A collage, 1024 × 720: 18 faces of some 30 to 220 pixels, tilted, mirrored, grey and darkened."""
    canvas = Image.new("RGB", (1024, 720), (96, 108, 112))
    collins, hopper = astronaut(), grace_hopper()
    portrait = hopper.crop((60, 0, 460, 480))
    head = collins.crop((90, 0, 370, 330))
    canvas.paste(portrait, (0, 0))
    canvas.paste(head.resize((336, 396), Image.Resampling.LANCZOS), (400, 0))
    canvas.paste(ImageOps.mirror(portrait).resize((288, 346), Image.Resampling.LANCZOS), (736, 0))
    tilted = head.rotate(20, Image.Resampling.BICUBIC, fillcolor=(96, 108, 112))
    canvas.paste(tilted.resize((204, 240), Image.Resampling.LANCZOS), (0, 480))
    canvas.paste(
        ImageOps.grayscale(portrait).convert("RGB").resize((200, 240), Image.Resampling.LANCZOS), (204, 480)
    )
    dark = Image.fromarray((np.asarray(head) * 0.3).astype(np.uint8))
    canvas.paste(dark.resize((204, 240), Image.Resampling.LANCZOS), (404, 480))
    x, y = 640, 420
    for row, height in enumerate((110, 88, 72)):
        for column in range(4):
            small = (portrait, head)[(row + column) % 2]
            width = round(height * small.width / small.height)
            if column % 3 == 2:
                small = ImageOps.mirror(small)
            canvas.paste(small.resize((width, height), Image.Resampling.LANCZOS), (x + column * 96, y))
        y += height + 4
    return canvas


def main() -> None:
    """Write all photos."""
    parser = argparse.ArgumentParser(description="Make the example photos from pictures of other packages.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "photos")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (
        ("astronaut.jpg", astronaut),
        ("grace_hopper.jpg", grace_hopper),
        ("group.jpg", group),
        ("cat.jpg", cat),
    ):
        make().save(folder / name, quality=QUALITY, optimize=True)
        print(f"{folder / name}: {(folder / name).stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
