from __future__ import annotations

import csv
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffcore.config import NetworkConfig
from ffcore.errors import CheckpointError, ConfigError, FeatherFaceError, InputError, ModelError
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.published import published_names
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import (
    KeyMismatchError,
    load_backbone,
    load_network,
    read_checkpoint,
    save_network,
)


def same_weights(a: FeatherFace, b: FeatherFace) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def published_state(network: FeatherFace) -> dict[str, torch.Tensor]:
    state = network.state_dict()
    names = published_names(state, network.config)
    return {names[key]: value for key, value in state.items()}


@pytest.fixture(scope="module")
def v2() -> FeatherFace:
    torch.manual_seed(0)
    return build_network(VARIANTS["v2"])


@pytest.mark.reference
@pytest.mark.parametrize("name", VARIANTS)
def test_published_names_and_shapes_are_those_of_the_public_files(name: str, reference: Path) -> None:
    with (reference / "keys" / f"{name.replace('-', '_')}.tsv").open() as file:
        wanted = {row["published_key"]: row["shape"] for row in csv.DictReader(file, delimiter="\t")}
    state = published_state(build_network(VARIANTS[name]))
    assert {key: "x".join(map(str, value.shape)) or "scalar" for key, value in state.items()} == wanted


@pytest.mark.reference
@pytest.mark.parametrize("name", ["v1-original", "v1", "v2-ca"])
def test_public_files_are_recognised(name: str, reference: Path) -> None:
    found = read_checkpoint(reference / "weights" / f"{name.replace('-', '_')}_public.pth")
    assert (found.name, found.layout) == (name, "published")


@pytest.mark.reference
@pytest.mark.parametrize("name", VARIANTS)
def test_the_imagenet_backbone_loads_into_every_network(name: str, reference: Path) -> None:
    network = build_network(VARIANTS[name])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_backbone(network, reference / "weights" / "mobilenetV1X0.25_pretrain.tar")
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in changed} == {"backbone"}
    assert "backbone.stage3.1.pointwise.conv.weight" in changed


@pytest.mark.reference
def test_the_backbone_of_a_detector_loads_into_another(reference: Path) -> None:
    path = reference / "weights" / "v1_public.pth"
    network = build_network(VARIANTS["v2"])
    load_backbone(network, path)
    teacher = load_network(path)
    assert torch.equal(network.backbone.stage1[0].conv.weight, teacher.backbone.stage1[0].conv.weight)


@pytest.mark.reference
def test_the_imagenet_backbone_is_not_taken_for_a_detector(reference: Path) -> None:
    with pytest.raises(CheckpointError, match="ImageNet backbone, not a detector"):
        read_checkpoint(reference / "weights" / "mobilenetV1X0.25_pretrain.tar")


@pytest.mark.reference
def test_a_retinaface_checkpoint_is_called_another_network(reference: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nearest network is|another network"):
        read_checkpoint(reference / "peers" / "retinaface_mnet025_640_fd1mb.pth")


WRAPPINGS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer": {"lr": 0.1}},
    "module prefix": lambda state: {f"module.{key}": value for key, value in state.items()},
    "profiled": lambda state: {
        **state,
        "total_ops": torch.zeros(1, dtype=torch.float64),
        "ssh1.total_params": torch.zeros(1, dtype=torch.float64),
    },
    "half precision": lambda state: {
        key: value.half() if value.is_floating_point() else value for key, value in state.items()
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_published_layouts_load_however_they_are_wrapped(
    wrapping: str, v2: FeatherFace, tmp_path: Path
) -> None:
    path = tmp_path / "v2.pth"
    torch.save(WRAPPINGS[wrapping](published_state(v2)), path)
    found = read_checkpoint(path)
    assert (found.name, found.layout) == ("v2", "published")
    if wrapping != "half precision":
        assert same_weights(found.network(), v2)


def test_files_in_the_legacy_pickle_format_load(v2: FeatherFace, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(published_state(v2), path, _use_new_zipfile_serialization=False)
    assert same_weights(load_network(path), v2)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_saving_and_loading_keeps_weights_configuration_and_facts(suffix: str, tmp_path: Path) -> None:
    network = build_network(NetworkConfig(out_channel=24, bifpn_repeats=3, backbone_attention="cbam"))
    path = tmp_path / "new folder" / f"custom{suffix}"
    save_network(network, path, facts={"licence": "MIT", "data": "drawn by a test"})
    found = read_checkpoint(path)
    assert found.name == "custom"
    assert found.config == network.config
    assert found.facts["data"] == "drawn by a test"
    assert same_weights(found.network(), network)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_saving_in_the_published_layout_gives_the_published_file(v2: FeatherFace, tmp_path: Path) -> None:
    path = tmp_path / "v2.pth"
    save_network(v2, path, layout="published")
    plain = torch.load(path, weights_only=True)
    assert plain.keys() == published_state(v2).keys()
    assert same_weights(load_network(path), v2)


def test_what_was_never_published_cannot_be_saved_under_published_names(tmp_path: Path) -> None:
    network = build_network(NetworkConfig(pyramid_attention="coordinate"))
    with pytest.raises(ModelError, match="no name in the published layout"):
        save_network(network, tmp_path / "ca.pth", layout="published")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "layout"), [("v2.onnx", "featherface"), ("v2.safetensors", "published")])
def test_a_suffix_that_does_not_fit_is_refused(
    name: str, layout: str, v2: FeatherFace, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        save_network(v2, tmp_path / name, layout=layout)  # type: ignore[arg-type]


def test_asking_for_another_network_says_which_one_it_is(v2: FeatherFace, tmp_path: Path) -> None:
    save_network(v2, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="holds the network v2, not v1"):
        load_network(tmp_path / "weights.safetensors", expect="v1")


def test_every_missing_unexpected_and_misshaped_key_is_named(v2: FeatherFace, tmp_path: Path) -> None:
    state = published_state(v2)
    del state["bifpn.0.p4_w1"]
    state["surprise"] = torch.zeros(2)
    state["bifpn.0.p3_w1"] = torch.zeros(3)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(KeyMismatchError) as caught:
        read_checkpoint(tmp_path / "odd.pth")
    error = caught.value
    assert error.missing == ["bifpn.0.p4_w1"]
    assert error.unexpected == ["surprise"]
    assert error.misshaped == [("bifpn.0.p3_w1", (3,), (2,))]
    for part in (
        "nearest network is v2",
        "1 missing (bifpn.0.p4_w1)",
        "1 unexpected (surprise)",
        "(3,) instead of (2,)",
    ):
        assert part in str(error)


def test_a_failed_training_is_recognised(v2: FeatherFace, tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in published_state(v2).items()}
    state["ssh1.conv3x3.0.weight"][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match=r"ssh1.conv3x3.0.weight holds values that are not finite"):
        read_checkpoint(tmp_path / "nan.pth")


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Malicious()}, "evil.pth")
    Path("raw.pth").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match=r"wants to run code \((posix|nt)\.system\)"):
        read_checkpoint("evil.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        read_checkpoint("raw.pth")
    assert not Path("executed").exists()


def onnx_bytes() -> bytes:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    same = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [same])
    return helper.make_model(graph).SerializeToString()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"just some words\n", "a text file"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "a JPEG image"),
        (onnx_bytes(), "an ONNX file"),
        (bytes(range(200, 256)), "not a checkpoint"),
        ((10).to_bytes(8, "little") + b"{broken}  ", "damaged or truncated"),
        (b"PK\x03\x04" + bytes(100), "truncated"),
        # an end that tells of several disks, for which Python has an error of its own
        (
            b"PK\x03\x04"
            + bytes(100)
            + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2)
            + b"PK\x05\x06"
            + bytes(18),
            "truncated",
        ),
        (pickle.dumps([1, 2, 3]), "more than tensors"),
        (pickle.dumps({"a": 1}), "more than tensors"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value.replace(" ", "_"),
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is on its way out
def test_a_program_of_torch_is_called_what_it_is_and_the_kinds_that_are_read_are_named(
    tmp_path: Path,
) -> None:
    network, example = torch.nn.Conv2d(3, 4, 1).eval(), torch.zeros(1, 3, 8, 8)
    torch.jit.save(torch.jit.trace(network, (example,)), str(tmp_path / "net.ts"))
    torch.export.save(torch.export.export(network, (example,)), tmp_path / "net.pt2")
    for name, kind in (("net.ts", "a TorchScript file"), ("net.pt2", "a torch.export program")):
        with pytest.raises(CheckpointError, match=rf"is {kind}, .* by detect \.onnx too") as caught:
            read_checkpoint(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@given(where=st.floats(0, 1), flip=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_in_one_line_or_loads_as_the_same_network(
    suffix: str, where: float, flip: int, cut: bool, v2: FeatherFace, tmp_path: Path
) -> None:
    good = tmp_path / f"good{suffix}"
    if not good.exists():
        save_network(v2, good)
    content = bytearray(good.read_bytes())
    place = int(where * (len(content) - 1))
    if cut:
        content = content[:place]
    else:
        content[place] ^= flip
    bad = tmp_path / f"bad{suffix}"
    bad.write_bytes(content)
    try:
        found = read_checkpoint(bad)
    except FeatherFaceError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  # both outcomes are right
    else:
        assert not cut
        assert found.name in ("v2", "custom")


def test_saving_never_leaves_half_a_file(
    v2: FeatherFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v2.pth"
    save_network(v2, path)
    before = path.read_bytes()

    def full_disk(content: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match="disk is full"):
        save_network(v2, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["v2.pth"]


def test_files_of_ours_need_no_code_of_ours_to_load(v2: FeatherFace, tmp_path: Path) -> None:
    save_network(v2, tmp_path / "v2.pth", facts={"licence": "MIT"})
    script = (
        "import sys, torch; content = torch.load(sys.argv[1], weights_only=True);"
        "assert 'ffcore' not in sys.modules; print(content['network'], len(content['state_dict']))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path / "v2.pth")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["v2", "488"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there are another matter")
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_saved_file_has_the_permissions_of_any_new_file(
    suffix: str, v2: FeatherFace, tmp_path: Path
) -> None:
    (tmp_path / "plain").touch()
    save_network(v2, tmp_path / f"v2.{suffix}")
    assert (tmp_path / f"v2.{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode
