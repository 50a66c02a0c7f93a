"""Two JSON results of the same photos must hold the same faces: python compare_results.py A.json B.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PIXELS, SCORE = 0.01, 1e-4


def main() -> None:
    """Exits with a message where they differ."""
    ours, theirs = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    if [entry["image"] for entry in ours] != [entry["image"] for entry in theirs]:
        sys.exit("the results are about different images")
    count = 0
    for a, b in zip(ours, theirs, strict=True):
        if len(a["faces"]) != len(b["faces"]):
            sys.exit(f"{a['image']}: {len(a['faces'])} and {len(b['faces'])} faces")
        for one, other in zip(a["faces"], b["faces"], strict=True):
            apart = max(abs(x - y) for x, y in zip(one["box"], other["box"], strict=True))
            if apart > PIXELS or abs(one["score"] - other["score"]) > SCORE:
                sys.exit(f"{a['image']}: {one['box']} {one['score']} and {other['box']} {other['score']}")
            count += 1
    print(f"{count} faces in {len(ours)} images are equal within {PIXELS} pixels and {SCORE} of score")


if __name__ == "__main__":
    main()
