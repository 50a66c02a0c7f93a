from __future__ import annotations

from pathlib import Path

from ffcore import load_network, read_annotations, train
from ffcore.training.validation import average_precision, ground_truth_of
from tests.training.toy_data import toy_config, write_photos


def test_eight_photos_can_be_learnt_by_heart(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data", 8)
    config = toy_config(
        data,
        data__batch_size=8,
        data__holdout=0.0,
        train__epochs=500,
        train__schedule="onecycle",
        train__rate=3e-3,
        augment__crop_scales=[1.0],
        augment__colour__probability=0.0,
        safety__save_minutes=60.0,
    )
    result = train(config, tmp_path / "run", device="cpu")
    assert result.weights is not None
    images = read_annotations(data).images
    photos = {image.name: image.path for image in images}
    ap = average_precision(load_network(result.weights), ground_truth_of(images), photos, device="cpu")
    assert ap["height>=10"] > 0.95
