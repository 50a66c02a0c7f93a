"""Puts trained weights into the package: python .ci/ship_weights.py WEIGHTS NAME RESULT.json KEY=VALUE ...

RESULT.json is what `featherface eval-widerface --out` wrote for these very weights; its APs and protocol go
into the facts of both files, beside all that is given as KEY=VALUE (data, licence, score_threshold, ...).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ffcore import export_onnx, load_network, save_network
from ffcore.detection.shipped import SHIPPED


def main() -> None:
    """Writes the two files of the package."""
    weights, name, result, *pairs = sys.argv[1:]
    facts = dict(pair.split("=", 1) for pair in pairs)
    score = json.loads(Path(result).read_text(encoding="utf-8"))
    facts |= {f"ap.{subset}": f"{value['ap']:.4f}" for subset, value in score["subsets"].items()}
    facts |= {"ap.protocol": score["protocol"]["name"], "ap.photos": f"{score['images']} of WIDER FACE val"}
    network = load_network(weights, expect=name)
    save_network(network, SHIPPED[name].tensors, facts=facts)
    export_onnx(network, SHIPPED[name].onnx, facts=facts)
    for file in SHIPPED[name]:
        print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
