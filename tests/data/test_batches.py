from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.data import BatchPlan
from ffcore.data.batches import even_order
from ffcore.errors import ConfigError

GROUPS = ["a"] * 60 + ["b"] * 30 + ["c"] * 6


def indices(plan: BatchPlan) -> list[list[int]]:
    return [[key.index for key in batch] for batch in plan]


def test_an_epoch_shows_every_image_once_in_another_order_each_time() -> None:
    plan = BatchPlan(GROUPS, batch_size=8)
    orders = []
    for epoch in range(3):
        plan.set_epoch(epoch)
        order = [index for batch in indices(plan) for index in batch]
        assert sorted(order) == list(range(96))
        orders.append(tuple(order))
    assert len(set(orders)) == 3


def test_the_same_seed_and_epoch_give_the_same_batches_and_another_seed_others() -> None:
    plans = [BatchPlan(GROUPS, batch_size=8, seed=seed, evenness=0.5) for seed in (1, 1, 2)]
    first, same, other = (list(plan) for plan in plans)
    assert first == same
    assert first != other


def test_an_epoch_goes_on_where_it_stopped() -> None:
    plan = BatchPlan(GROUPS, batch_size=8, sizes=(320, 480, 640), evenness=1)
    plan.set_epoch(4)
    whole = list(plan)
    plan.set_epoch(4, first_batch=5)
    assert len(plan) == len(whole) - 5
    assert list(plan) == whole[5:]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_batches_of_one_plan_without_overlap(world: int) -> None:
    one = indices(BatchPlan(GROUPS, batch_size=4 * world))
    parts = [indices(BatchPlan(GROUPS, batch_size=4, rank=rank, world_size=world)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    for number, batch in enumerate(one):
        mine = [part[number] for part in parts]
        assert all(len(each) == 4 for each in mine)
        assert sorted(index for each in mine for index in each) == sorted(batch)


def test_all_samples_of_a_batch_have_one_size_on_all_processes() -> None:
    plans = [
        BatchPlan(GROUPS, batch_size=2, sizes=(320, 480, 640), rank=rank, world_size=2) for rank in (0, 1)
    ]
    chosen = set()
    for first, second in zip(*plans, strict=True):
        (size,) = {key.size for key in (*first, *second)}
        chosen.add(size)
    assert chosen == {320, 480, 640}


@settings(max_examples=60)
@given(count=st.integers(1, 60), batch=st.integers(1, 8), world=st.integers(1, 4))
def test_without_dropping_every_process_gets_as_many_batches(count: int, batch: int, world: int) -> None:
    if count < world:
        with pytest.raises(ConfigError, match="fill no batch"):
            BatchPlan(["x"] * count, batch_size=batch, drop_last=False, world_size=world)
        return
    plans = [
        BatchPlan(["x"] * count, batch_size=batch, drop_last=False, rank=rank, world_size=world)
        for rank in range(world)
    ]
    parts = [indices(plan) for plan in plans]
    assert {len(part) for part in parts} == {len(plans[0])}
    assert all(each for part in parts for each in part)
    seen = [index for part in parts for each in part for index in each]
    assert len(set(seen)) == len(seen) > count - world


def test_without_shuffling_the_order_is_that_of_the_images() -> None:
    plan = BatchPlan(["x"] * 5, batch_size=2, shuffle=False, drop_last=False)
    assert indices(plan) == [[0, 1], [2, 3], [4]]


def groups_of(evenness: float, seeds: range) -> Counter[str]:
    drawn: Counter[str] = Counter()
    for seed in seeds:
        order, _ = even_order(GROUPS, evenness=evenness, rng=np.random.default_rng(seed))
        assert len(order) == len(GROUPS)
        drawn.update(GROUPS[index] for index in order)
    return drawn


def test_full_evenness_shows_each_group_equally_often() -> None:
    assert groups_of(1.0, range(5)) == {"a": 160, "b": 160, "c": 160}


def test_half_evenness_goes_by_the_square_root() -> None:
    drawn = groups_of(0.5, range(200))
    expected = np.sqrt([60, 30, 6]) / np.sqrt([60, 30, 6]).sum()
    np.testing.assert_allclose(np.array([drawn[name] for name in "abc"]) / (200 * 96), expected, atol=0.002)


def test_images_repeat_only_when_all_of_their_group_have_come_and_say_how_often() -> None:
    order, repeats = even_order(GROUPS, evenness=1.0, rng=np.random.default_rng(0))
    keys = list(zip(order.tolist(), repeats.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    times = Counter(index for index in order.tolist() if GROUPS[index] == "c")
    assert len(times) == 6
    assert max(times.values()) - min(times.values()) <= 1
    assert max(Counter(index for index in order.tolist() if GROUPS[index] == "a").values()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 97},
        {"rank": 1},
        {"seed": -1},
        {"sizes": ()},
        {"evenness": 2},
        {"evenness": 0.5, "shuffle": False},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BatchPlan(GROUPS, **{"batch_size": 4, **wrong})  # type: ignore[arg-type]


def test_an_epoch_has_no_batch_beyond_its_end() -> None:
    with pytest.raises(ConfigError, match="0 to 23"):
        BatchPlan(GROUPS, batch_size=4).set_epoch(0, first_batch=25)
