"""Small sources for jobs: the example photos at other sizes and qualities, in tar files."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "photos"
SIDES = (96, 128, 160, 192, 224)


@cache
def _example(name: str) -> Any:
    return cv2.imread(str(EXAMPLES / f"{name}.jpg"))


def jpegs(count: int, *, seed: int = 0, broken: int = 0) -> Iterator[bytes]:
    """JPEGs of different sizes and qualities; of every `broken` one is cut off, 0 leaves all whole."""
    rng = random.Random(seed)
    for i in range(count):
        image = _example(rng.choice(("astronaut", "cat", "grace_hopper", "group")))
        scale = rng.choice(SIDES) / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        content = encoded(small, quality=rng.randint(40, 95))
        yield content[: len(content) // 2] if broken and i % broken == broken - 1 else content


def encoded(image: Any, *, suffix: str = ".jpg", quality: int = 90) -> bytes:
    """An image as the content of a file."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, image, parameters)[1])


def one_jpeg(side: int = 128) -> bytes:
    """The example with one large face."""
    return encoded(cv2.resize(_example("astronaut"), (side, side), interpolation=cv2.INTER_AREA))


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """A tar file with these members, as WebDataset has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def tar_shards(folder: Path, *, shards: int, photos: int, broken: int = 25) -> Path:
    """A folder of tar files, each with photos and a record beside every one."""
    for number in range(shards):
        members: list[tuple[str, bytes]] = []
        for i, content in enumerate(jpegs(photos, seed=number, broken=broken)):
            members += [(f"{i:06d}.jpg", content), (f"{i:06d}.json", b"{}")]
        write_tar(folder / f"shard-{number:04d}.tar", members)
    return folder


def read_tar(path: Path) -> dict[str, bytes]:
    """Name of each member to its content."""
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def noise(height: int, width: int) -> np.ndarray:
    """Pixels without any face."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
