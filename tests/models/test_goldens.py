"""The four networks compute what the published ones compute, output by output and block by block."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ffcore.losses import AnchorGrid, MultiBoxLoss, Targets
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace
from ffcore.models.published import published_names
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import load_network
from tests.models.random_weights import fingerprint, random_network

STEMS = {name: name.replace("-", "_") for name in VARIANTS}
FINGERPRINTS = {
    "v1": "0e171fd8b32653fa5e82a05bf19d58cc0cd50ac895514587a6490842c0d5be55",
    "v1-original": "7d793a5afd8f6e54f1b526508789bc1d195473962e8e334fec8c48ba27e00d52",
    "v2-ca": "199239ec77558e43fc867e61bb0f3ab7cc3abb18dcb3f444fba9d1d6997a473f",
    "v2": "4454d4e877f2df1d68df0146085aba41d3c7ca79ad12aaec01a2313b641c0f99",
}
CARRIED = Path(__file__).parent.parent / "golden" / "random_cases.npz"


def network_input(images: NDArray[np.uint8]) -> Tensor:
    pixels = images.astype(np.float32) - np.float32([104, 117, 123])
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())


def tolerance(stem: str) -> float:
    return 2e-4 if stem == "v1_original_random" else 1e-4


def worst(found: Tensor, gold: NDArray[Any]) -> float:
    return float(np.abs(found.detach().numpy() - gold).max())


@pytest.fixture(scope="module", params=VARIANTS)
def random_case(request: pytest.FixtureRequest) -> tuple[str, FeatherFace]:
    return request.param, random_network(VARIANTS[request.param])


def test_random_weights_are_those_of_the_recipe(random_case: tuple[str, FeatherFace]) -> None:
    name, network = random_case
    assert fingerprint(network) == FINGERPRINTS[name]


@pytest.mark.parametrize("size", ["64x64", "97x131"])
def test_carried_cases_are_met_without_the_reference_folder(
    random_case: tuple[str, FeatherFace], size: str
) -> None:
    name, network = random_case
    gold, stem = np.load(CARRIED), STEMS[name]
    step = 1 if size == "64x64" else 8
    with torch.no_grad():
        outputs = network(network_input(gold[f"input/{size}"]))
    for kind, tensor in zip(("bbox", "logits", "landm"), outputs, strict=True):
        assert worst(tensor[:, ::step], gold[f"{stem}/{size}/{kind}"]) <= tolerance(f"{stem}_random")


def check_outputs(network: FeatherFace, folder: Path, stem: str) -> None:
    images, gold = np.load(folder / "inputs.npz"), np.load(folder / f"{stem}.npz")
    checked = 0
    for size in images.files:
        if f"{size}/bbox" not in gold:
            continue
        with torch.no_grad():
            outputs = network(network_input(images[size]))
        for kind, tensor in zip(("bbox", "logits", "landm"), outputs, strict=True):
            assert worst(tensor, gold[f"{size}/{kind}"]) <= tolerance(stem), (size, kind)
        bound = 2e-5 if stem == "v1_original_random" else 1e-5
        assert worst(outputs.logits.softmax(-1), gold[f"{size}/prob"]) <= bound, size
        checked += 1
    assert checked >= 3


@pytest.mark.reference
def test_random_weights_give_the_golden_outputs_at_all_sizes(
    random_case: tuple[str, FeatherFace], reference: Path
) -> None:
    name, network = random_case
    check_outputs(network, reference / "golden", f"{STEMS[name]}_random")


@pytest.mark.reference
@pytest.mark.parametrize("name", ["v1", "v1-original", "v2-ca"])
def test_public_weights_give_the_golden_outputs_at_all_sizes(name: str, reference: Path) -> None:
    network = load_network(reference / "weights" / f"{STEMS[name]}_public.pth", expect=name)
    check_outputs(network, reference / "golden", f"{STEMS[name]}_public")


OUR_MODULES: list[tuple[str, str]] = [
    (r"body\.(stage\d)\.(\d)", r"backbone.\1.\2"),
    (r"bacbkbone_0_cbam\.ChannelGate", "backbone_attention.channel.0"),
    (r"bacbkbone_0_cbam\.SpatialGate", "backbone_attention.spatial.0"),
    (r"bacbkbone_0_cbam", "backbone_attention.spatial.0"),
    (r"bifpn\.0\.(p\d)_down_channel_2", r"neck.0.projections.\1_again"),
    (r"bifpn\.0\.(p\d)_down_channel", r"neck.0.projections.\1"),
    (r"bifpn\.0\.p[45]_downsample", "neck.0.down"),
    (r"bifpn\.0\.(conv\d_\w+)", r"neck.0.\1"),
    (r"ssh1\.conv3[xX]3", "context.0.conv3"),
    (r"ssh1\.conv5[xX]5_(\d)", r"context.0.conv5_\1"),
    (r"ssh1\.conv7[xX]7_(\d)", r"context.0.conv7_\1"),
]
"""Published name of a module whose output was recorded, and ours."""


def recorded_blocks(network: FeatherFace, images: Tensor) -> dict[str, list[Tensor]]:
    """Every call of every module, in order, and the stages of the network."""
    calls: dict[str, list[Tensor]] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: object, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                calls.setdefault(name, []).append(output.clone())
            elif isinstance(output, list):
                calls.setdefault(name, []).extend(level.clone() for level in output)

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in network.named_modules() if name]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    return calls


def find_feature(calls: dict[str, list[Tensor]], key: str) -> Tensor:
    """Our output for a key of the golden files."""
    kind, _, rest = key.partition("/")
    if kind == "mod":
        for pattern, ours in OUR_MODULES:
            if match := re.fullmatch(pattern, rest):
                # the pooling has two names there and one here: the second name is its second call
                return calls[match.expand(ours)][1 if rest.endswith("p5_downsample") else 0]
    level = int(rest[-1]) - 3
    stage = rest.rpartition(".")[0] or rest.rpartition("_")[0]
    if rest in ("c3", "c4", "c5"):
        return calls["backbone"][level]
    if stage == "attn":
        return calls[f"{'backbone' if rest[-2] == 'c' else 'pyramid'}_attention"][level]
    if stage.startswith("bifpn"):
        return calls[f"neck.{stage[-1]}"][level]
    if stage == "ca":
        return calls["context_attention"][level]
    return calls[f"{'context' if stage == 'ssh' else stage}.{level}"][0]


@pytest.mark.reference
def test_every_block_gives_its_golden_output(random_case: tuple[str, FeatherFace], reference: Path) -> None:
    name, network = random_case
    gold = np.load(reference / "golden" / f"{STEMS[name]}_random.npz")
    image = np.load(reference / "golden" / "inputs.npz")["64x64"]
    calls = recorded_blocks(network, network_input(image))
    checked = 0
    for key in gold.files:
        if not key.startswith(("feat/", "mod/")) or key.endswith(("offset_conv", "modulator_conv")):
            continue  # those two run as one convolution here; the units behind them are compared
        found = find_feature(calls, key)
        assert worst(found, gold[key]) <= 1e-4 * max(1.0, float(np.abs(gold[key]).max())), key
        checked += 1
    assert checked >= 30


@pytest.mark.reference
def test_offsets_and_factors_of_the_first_unit_are_golden(
    random_case: tuple[str, FeatherFace], reference: Path
) -> None:
    name, network = random_case
    if network.config.ssh != "deformable":
        assert name == "v2"
        return
    gold = np.load(reference / "golden" / f"{STEMS[name]}_random.npz")
    image = np.load(reference / "golden" / "inputs.npz")["64x64"]
    with torch.no_grad():
        pyramid = network.features(network_input(image)).pyramid[0]
        unit = network.context[0].conv3.unit
        for conv in ("offset_conv", "modulator_conv"):
            found = getattr(unit, conv)(pyramid)
            assert worst(found, gold[f"mod/ssh1.conv3X3.0.{conv}"]) <= 1e-4


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With random weights a sampling point may lie on the border of two cells, where the gradient jumps:
    another order of summation, which more threads bring, can put it on the other side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.reference
@pytest.mark.usefixtures("one_thread")
def test_a_training_step_gives_the_golden_loss_gradients_and_statistics(
    random_case: tuple[str, FeatherFace], reference: Path
) -> None:
    name, _ = random_case
    network = random_network(VARIANTS[name]).train()  # its own copy: the step changes it
    gold, stem = np.load(reference / "golden" / "train_step.npz"), STEMS[name]
    images = network_input(gold["input_u8"])
    targets = Targets.from_rows([torch.from_numpy(gold[f"targets_{i}"]) for i in range(4)])
    grid = AnchorGrid.of(96, 128)
    loss = MultiBoxLoss()

    outputs = network(images)
    for kind, tensor in zip(("bbox", "logits", "landm"), outputs, strict=True):
        assert worst(tensor, gold[f"{stem}/{kind}"]) <= 2e-4
    terms = loss(RawOutputs(*outputs), targets, grid)
    found = [terms.box, terms.classification, terms.landmark, terms.total]
    np.testing.assert_allclose(
        [float(term.detach()) for term in found], gold[f"{stem}/loss_l_c_landm_total"], rtol=1e-5
    )

    names = published_names(network.state_dict(), network.config)
    ours = {theirs: key for key, theirs in names.items()}
    state = network.state_dict()
    for key, mean in zip(gold[f"{stem}/bn_names"], gold[f"{stem}/bn_means_after"], strict=True):
        assert float(state[ours[key]].double().mean()) == pytest.approx(mean, rel=1e-5, abs=1e-6), key

    terms.total.backward()
    norms = gold[f"{stem}/grad_norms"]
    parameters = dict(network.named_parameters())
    assert {names[key] for key in parameters} == set(gold[f"{stem}/grad_names"])
    for key, norm in zip(gold[f"{stem}/grad_names"], norms, strict=True):
        gradient = parameters[ours[key]].grad
        found_norm = 0.0 if gradient is None else float(gradient.double().norm())
        assert abs(found_norm - norm) <= 1e-3 * norm + 1e-6 * norms.max(), key

    torch.optim.SGD(network.parameters(), lr=1e-4).step()
    with torch.no_grad():
        again = loss(RawOutputs(*network(images)), targets, grid)
    assert float(again.total) == pytest.approx(float(gold[f"{stem}/total_after_sgd_1e-4"]), rel=1e-5)
