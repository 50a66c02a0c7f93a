from __future__ import annotations

from dataclasses import replace

import torch

from ffcore.data import LabelledFaces, Sample
from ffcore.data.collate import collate
from ffcore.models.featherface import build_network
from ffcore.models.variants import VARIANTS
from ffcore.training.objective import DetectionObjective, ForwardConfig
from tests.training.test_trainer import batch


def test_an_unlabelled_photo_changes_neither_the_terms_nor_the_counts_of_the_others() -> None:
    torch.manual_seed(0)
    objective = DetectionObjective(build_network(VARIANTS["v2"])).eval()
    labelled = batch(0)
    photo = labelled.images[0].permute(1, 2, 0).numpy()
    unlabelled = collate([Sample(photo, LabelledFaces.of([]), labelled=False)])
    both = replace(
        labelled,
        images=torch.cat([labelled.images, unlabelled.images]),
        targets=type(labelled.targets)(
            boxes=torch.cat([labelled.targets.boxes, torch.zeros(1, 1, 4)]),
            landmarks=torch.cat([labelled.targets.landmarks, torch.zeros(1, 1, 10)]),
            is_face=torch.cat([labelled.targets.is_face, torch.zeros(1, 1, dtype=torch.bool)]),
            has_landmarks=torch.cat([labelled.targets.has_landmarks, torch.zeros(1, 1, dtype=torch.bool)]),
        ),
        weights=torch.cat([labelled.weights, torch.zeros(1, 1)]),
        ignored=torch.zeros(5, 0, 4),
        labelled=torch.tensor([True] * 4 + [False]),
    )
    with torch.no_grad():
        alone, together, nothing = objective(labelled), objective(both), objective(unlabelled)
    for name, value in alone.terms.items():
        torch.testing.assert_close(together.terms[name], value)
        assert nothing.terms[name] == 0


def test_a_mixture_with_an_unlabelled_photo_keeps_its_faces_and_has_no_background() -> None:
    torch.manual_seed(0)
    objective = DetectionObjective(build_network(VARIANTS["v2"])).eval()
    labelled = batch(0)
    with torch.no_grad():
        whole = objective(labelled).terms
        partly = objective(replace(labelled, labelled=torch.zeros(4, dtype=torch.bool))).terms
    assert partly["box"] == whole["box"]
    assert 0 < partly["classification"] < whole["classification"]


def test_recomputing_gives_the_same_outputs_and_features() -> None:
    torch.manual_seed(0)
    network = build_network(VARIANTS["v2-ca"]).eval()
    pixels = torch.randn(2, 3, 64, 64)
    plain = DetectionObjective(network).run(pixels)
    again = DetectionObjective(network, config=ForwardConfig(recompute=True)).run(pixels)
    torch.testing.assert_close(again, plain)
