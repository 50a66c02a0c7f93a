"""Our augmentation of a photo against the plain sequence of passes, decoding included, in one run.

    python benchmarks/augmentation.py PHOTOS [--count 48] [--size 640] [--rounds 7]

PHOTOS is a folder of JPEG files; without it, pictures of 1024 × 768 with soft noise are drawn and saved
first. All take turns on the same photos, each with one face, on one thread; medians and ratios are printed.
The plain sequence is: cv2.imread, square crop, brightness, contrast, saturation and hue with float
conversions, resize with one of the five published interpolations, float, minus the mean.
"Plain, fast resizing" only uses the interpolations that ours uses.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.data.annotations import LabelledFaces
from ffcore.data.augment import PUBLISHED_SCALES, AugmentConfig, augment
from ffcore.data.sample import Sample
from ffcore.geometry import MEAN_BGR
from ffcore.images import read_image

PUBLISHED = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_LANCZOS4)
FAST = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)

FAST_PLAIN = "plain, fast resizing"


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = options.photos or drawn_photos(Path(folder), options.count)
        photos = sorted(source.rglob("*.jpg"))[: options.count]
        compare(photos, options.size, options.rounds)


def compare(photos: list[Path], size: int, rounds: int) -> None:
    """Measures both on the same photos in turn and prints medians."""
    faces = LabelledFaces.of([[300, 200, 330, 240]])
    config = AugmentConfig(sizes=(size,))
    times: dict[str, list[float]] = {name: [] for name in ("decode", "plain", FAST_PLAIN, "ours")}
    for turn in range(rounds + 1):
        rng = np.random.default_rng(turn)
        for name, spent in times.items():
            start = time.perf_counter()
            for path in photos:
                if name == "decode":
                    read_image(path)
                elif name == "ours":
                    augment(Sample(read_image(path), faces), config, size=size, rng=rng)
                else:
                    plain(path, size, rng, PUBLISHED if name == "plain" else FAST)
            if turn:  # the first round warms up
                spent.append((time.perf_counter() - start) / len(photos))
    medians = {name: 1e3 * statistics.median(spent) for name, spent in times.items()}
    print(f"OpenCV {cv2.__version__}, 1 thread, {platform.machine()}, {len(photos)} photos to {size} pixels")
    for name, value in medians.items():
        print(f"{name:20} {value:6.2f} ms a sample")
    for name in ("plain", FAST_PLAIN):
        print(f"ratio ours / {name}: {medians['ours'] / medians[name]:.2f}")


def plain(path: Path, size: int, rng: np.random.Generator, methods: tuple[int, ...]) -> NDArray[np.float32]:
    """The sequence of passes that most training code has, with operations in place where NumPy has them."""
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    height, width = image.shape[:2]
    side = int(rng.choice(PUBLISHED_SCALES) * min(height, width))
    left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    crop = image[top : top + side, left : left + side].copy()
    if rng.random() < 0.5:
        crop = scaled(crop, 1, rng.uniform(-32, 32))
    if rng.random() < 0.5:
        crop = scaled(crop, rng.uniform(0.5, 1.5), 0)
    stretch, turn = rng.random(2) < 0.5
    if stretch or turn:
        hsv = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2HSV), np.uint8)
        if stretch:
            hsv[..., 1] = scaled(hsv[..., 1], rng.uniform(0.5, 1.5), 0)
        if turn:
            hsv[..., 0] = (hsv[..., 0].astype(np.int16) + rng.integers(-18, 19, dtype=np.int16)) % 180
        crop = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    resized = cv2.resize(crop, (size, size), interpolation=methods[int(rng.integers(len(methods)))])
    result = resized.astype(np.float32)
    result -= np.array(MEAN_BGR, np.float32)
    return result.transpose(2, 0, 1)


def scaled(values: NDArray[np.uint8], gain: float, added: float) -> NDArray[np.uint8]:
    """Values × gain + added, computed in float and clipped."""
    result = values.astype(np.float32)
    result *= gain
    result += added
    return np.clip(result, 0, 255, out=result).astype(np.uint8)


def drawn_photos(folder: Path, count: int) -> Path:
    """Saves JPEGs that compress about as photos do."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        soft = cv2.resize(coarse, (1024, 768), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image = np.clip(soft + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder


if __name__ == "__main__":
    main()
