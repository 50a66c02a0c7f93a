"""The commands of the documents that need two machines, run on two that are namespaces of this one."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffcore import FaceDetector
from ffcore.images import read_image
from tests.documents.documents import ROOT, all_commands
from tests.documents.exceptions import AS_WRITTEN, SMALL
from tests.documents.machines import FIRST, Machine, NoMachinesError, finish, two_machines
from tests.documents.world import make_programs
from tests.jobs.cluster_settings import RAY_SETTINGS, store_settings
from tests.jobs.sources import write_tar
from tests.training.toy_data import write_photos

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="namespaces are for the administrator of a Linux"
)
LIMIT = 7200.0 if AS_WRITTEN else 600.0
COMMANDS = list(dict.fromkeys(each.text for each in all_commands() if not each.is_synopsis))
TRAINING = [text for text in COMMANDS if text.startswith("torchrun --nnodes 2 ")]
HEAD, JOIN, STOP = ("ray start --head --port 6379", f"ray start --address {FIRST}:6379", "ray stop")
CONVERT = "featherface convert s3://bucket/faces --coco faces.json --crops crops"
DETECTING = [text for text in COMMANDS if "--engine ray --address auto" in text]
PHOTOS = tuple(sorted((ROOT / "examples" / "photos").glob("*.jpg")))
STORE = 5000  # the port
FILL = """
import socket
import sys
import time
import s3fs
while socket.socket().connect_ex((sys.argv[2], int(sys.argv[3]))):
    time.sleep(0.2)
store = s3fs.S3FileSystem()
if store.exists("bucket/faces"):
    store.rm("bucket/faces", recursive=True)
store.put(sys.argv[1], "bucket", recursive=True)
"""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    programs = make_programs(tmp_path / "programs")
    path = [str(programs), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(ROOT),
        "OMP_WAIT_POLICY": "PASSIVE",
        **store_settings(f"http://{FIRST}:{STORE}"),
        **RAY_SETTINGS,
    }
    shared = tmp_path / "shared"
    shared.mkdir()
    try:
        with two_machines(shared, environment) as pair:
            yield pair
    except NoMachinesError as reason:
        pytest.skip(f"no machines can be made of this one: {reason}")


def test_the_documents_have_these_commands() -> None:
    assert {HEAD, JOIN, STOP, CONVERT} <= set(COMMANDS)
    assert TRAINING
    assert DETECTING


def test_they_know_each_other_by_name_and_share_a_folder(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    first, second = machines
    script = "import socket, sys; print(socket.gethostname(), socket.gethostbyname(sys.argv[1]))"
    printed = [each.run(f'python -c "{script}" {FIRST}', tmp_path, limit=60).split() for each in machines]
    assert printed == [["first", first.address], ["second", first.address]]
    first.run("echo here > /mnt/file", tmp_path, limit=60)
    assert second.run("cat /mnt/file", tmp_path, limit=60) == "here\n"
    assert len(second.run("ls -d /proc/[0-9]*", tmp_path, limit=60).split()) < 10


@pytest.mark.parametrize("command", TRAINING)
def test_two_machines_train_one_network(
    command: str, machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    per_machine = 4 if AS_WRITTEN else 1
    if not AS_WRITTEN:
        command = f"{command.replace('--nproc-per-node 4', '--nproc-per-node 1')} {SMALL}"
    shared = tmp_path / "shared"
    write_photos(shared / "wider" / "train", 80 if AS_WRITTEN else 24)
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    started = [each.start(command, tmp_path, log) for each, log in zip(machines, logs, strict=True)]
    printed = [finish(each, command, log, limit=LIMIT) for each, log in zip(started, logs, strict=True)]
    assert f"on {2 * per_machine} processes" in printed[0]
    assert "epoch" not in printed[1]
    run = shared / "run"
    assert (run / "best.safetensors").stat().st_size > 0
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [each for each in steps if each["kind"] == "validation"]


def test_two_machines_detect_in_photos_of_a_store(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    for package in ("ray", "moto.server", "s3fs"):
        pytest.importorskip(package, reason='needs pip install ".[dev]"')
    first, second = machines
    cores = "" if AS_WRITTEN else " --num-cpus 1"
    bucket = tmp_path / "bucket"
    (bucket / "photos").mkdir(parents=True)
    for photo in PHOTOS:
        shutil.copy(photo, bucket / "photos")
    write_tar(bucket / "shards" / "0.tar", [(photo.name, photo.read_bytes()) for photo in PHOTOS])
    detector = FaceDetector.load("v2", device="cpu")
    expected = {photo.name: len(detector(read_image(photo))) for photo in PHOTOS}

    first.start(f"python -m moto.server -H 0.0.0.0 -p {STORE}", tmp_path, tmp_path / "store.log")
    first.run(f"{HEAD}{cores}", tmp_path, limit=LIMIT)
    second.run(f"{JOIN}{cores}", tmp_path, limit=LIMIT)
    for command in DETECTING:
        first.run(f"python -c '{FILL}' {bucket}/ {FIRST} {STORE}", tmp_path, limit=60)
        second.run(command, tmp_path, limit=LIMIT)
        first.run(CONVERT, tmp_path, limit=LIMIT)
        coco = json.loads((tmp_path / "faces.json").read_text("utf-8"))
        names = {each["id"]: re.split("[/#]", each["file_name"])[-1] for each in coco["images"]}
        found = Counter(names[each["image_id"]] for each in coco["annotations"])
        assert {name: found[name] for name in names.values()} == expected
        assert len([path for path in (tmp_path / "crops").rglob("*") if path.is_file()]) == sum(
            expected.values()
        )
        shutil.rmtree(tmp_path / "crops")
        (tmp_path / "faces.json").unlink()
    nodes = second.run("ray status", tmp_path, limit=LIMIT)
    assert len(re.findall(r"^ 1 node_", nodes, re.MULTILINE)) == 2
    for each in (second, first):
        each.run(STOP, tmp_path, limit=LIMIT)
