"""Find the faces of photos and write a copy of each with them drawn.

    python examples/detect_faces.py MODEL PHOTO... [--out FOLDER]

MODEL is an .onnx file (needs no torch), a .pth or a .safetensors file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ffcore import FaceDetector, draw_faces, read_image, write_image


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Find faces and draw them.")
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("detections"))
    options = parser.parse_args()

    detector = FaceDetector.load(options.model, score=0.6)
    images = [read_image(photo) for photo in options.photos]
    for photo, image, faces in zip(options.photos, images, detector(images), strict=True):
        write_image(options.out / f"{photo.stem}.png", draw_faces(image, faces))
        print(f"{photo.name}: {len(faces)} faces")
        for face in faces:
            left, top, right, bottom = face.boxes[0]
            print(f"  {face.scores[0]:.2f} at {left:.0f},{top:.0f} - {right:.0f},{bottom:.0f}")


if __name__ == "__main__":
    main()
