"""Find faces in a camera or a film as the frames come, and keep a copy in which they are hidden.

    python examples/watch_a_camera.py [0 | FILM] [--model v2] [--out hidden.mp4] [--frames 300]

0 is the first camera. Ctrl-C ends it, and the copy is kept. A missed face stays hidden for the frames around.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ffcore import FaceDetector, Faces, FeatherFaceError, anonymize, hold_faces
from ffcore.images import VideoReader, VideoWriter


def detected(
    video: VideoReader, detector: FaceDetector, limit: int | None
) -> Iterator[tuple[np.ndarray, Faces]]:
    """Frames with their faces, and a line a second about them."""
    begin = told = time.perf_counter()
    for number, frame in enumerate(video, start=1):
        faces = detector(frame)
        yield frame, faces
        now = time.perf_counter()
        if now - told > 1 or number == 1:
            told = now
            print(f"{video.time:.1f} s: {len(faces)} faces, {number / (now - begin):.1f} frames a second")
        if number == limit:
            return


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Find and hide the faces of a camera or a film.")
    parser.add_argument("source", nargs="?", default="0")
    parser.add_argument("--model", default="v2")
    parser.add_argument("--side", type=int, default=640, help="of the frame that the network sees at most")
    parser.add_argument("--out", type=Path, default=Path("hidden.mp4"))
    parser.add_argument("--frames", type=int)
    options = parser.parse_args()

    detector = FaceDetector.load(options.model, max_side=options.side)
    source = int(options.source) if options.source.isdecimal() else options.source
    written = 0
    with (
        VideoReader(source) as video,
        VideoWriter(options.out, fps=video.fps, size=video.size) as copy,
    ):
        try:
            for frame, faces in hold_faces(detected(video, detector, options.frames), gap=8):
                copy.write(anonymize(frame, faces, method="pixelate"))
                written += 1
        except KeyboardInterrupt:
            print("stopped")
    print(f"{options.out}: {written} frames")


if __name__ == "__main__":
    try:
        main()
    except FeatherFaceError as error:  # no such file, no camera: its message is one line that says so
        sys.exit(str(error))
