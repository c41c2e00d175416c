"""Tables of every kind, the strategies that search them, and what is said of their regret."""

from __future__ import annotations

import itertools
import json
import random
from math import log
from pathlib import Path

import pytest

pytest.importorskip("torch")

from jsonschema import Draft202012Validator

from memprof.base.errors import InputError, UsageError
from memprof.nas.rank.choosing import (
    Promise,
    bases_on_front,
    by_area,
    choose_for_front,
    choose_for_metric,
    front_area,
)
from memprof.nas.rank.fronts import by_layers, pareto_front
from memprof.nas.rank.metric import Measures, Metric
from memprof.nas.rank.rankers import Candidate
from memprof.nas.rank.simulate import Simulation, SimulationPlan, simulate
from memprof.nas.rank.strategies import STRATEGIES, World
from memprof.nas.rank.tables import read_table

SCHEMA = Path(__file__).parents[3] / "memprof" / "schemas" / "nas-simulation-1.json"


def measured(accuracy: float, size: int) -> Measures:
    return Measures(accuracy=accuracy, peak_intermediate_bytes=1, parameter_bytes=size)


def made_up(places: int = 5, options: int = 4) -> list[tuple[Candidate, float]]:
    """Return a whole space of one-hot choices: bytes add up, accuracy saturates in what the choices add."""
    rng = random.Random(7)
    worth = [[rng.random() for _ in range(options)] for _ in range(places)]
    cells = []
    for choices in itertools.product(range(options), repeat=places):
        code = "".join("1" if i == choice else "0" for choice in choices for i in range(options))
        size = 100 * (1 + sum(choice * (place + 1) for place, choice in enumerate(choices)))
        total = sum(worth[place][choice] + 0.3 * choice for place, choice in enumerate(choices))
        cells.append((Candidate((code,), size), 0.9 - 0.6 * 2**-total + 0.01 * rng.random()))
    return cells


@pytest.fixture(scope="module")
def found() -> Simulation:
    return simulate(made_up(), SimulationPlan(table="made up", trained=40, seeds=3, ranker="ridge"))


def test_regret_falls_and_stays_within_its_band(found: Simulation) -> None:
    assert found.counts[-1] == 40
    for curve in found.curves.values():
        assert list(curve.means) == sorted(curve.means, reverse=True)
        assert all(
            0 <= low <= mean <= high for low, mean, high in zip(curve.lows, curve.means, curve.highs, strict=True)
        )
    assert found.curves["memnas"].lead == (0, 0, 0)


def test_ranked_rounds_beat_chance_on_a_space_that_can_be_learnt(found: Simulation) -> None:
    assert found.curves["random"].lead[1] > 0


def test_a_simulation_is_a_document_of_its_schema(found: Simulation) -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(json.dumps(found.to_json())))


def test_the_same_seed_gives_the_same_curves_and_another_others() -> None:
    cells = made_up(4, 3)
    one, again, other = (
        simulate(cells, SimulationPlan(table="t", trained=20, seeds=1, seed=seed, ranker="parameters"))
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one.curves != other.curves


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("metric", [None, Metric(accuracy_weight=0.9)])
def test_a_strategy_trains_only_who_is_there_and_can_train_everybody(name: str, metric: Metric | None) -> None:
    world = World(made_up(3, 3), metric)
    known: dict[int, Measures] = {}
    for batch in STRATEGIES[name](world, known, random.Random(0), "parameters"):
        assert set(batch) <= set(range(27))
        known.update((i, world.measures[i]) for i in batch)
        if len(known) >= 26:  # of 27: that there is nobody left is the caller's to see
            break
    assert len(known) >= 26


def test_neighbours_in_a_whole_space_differ_in_one_choice() -> None:
    cells = made_up(8, 3)[:6561]
    world = World(cells, None)
    code = cells[100][0].codes[0]
    near = [cells[i][0].codes[0] for i in world.neighbours(100)]
    assert len(near) == 16
    assert all(sum(a != b for a, b in zip(code, other, strict=True)) == 2 for other in near)


def test_the_metric_finds_the_best_score_of_its_table() -> None:
    cells = made_up(4, 3)
    found = simulate(
        cells,
        SimulationPlan(table="t", trained=80, seeds=1, metric=Metric(accuracy_weight=0.5), ranker="parameters"),
    )
    assert found.curves["memnas"].means[-1] == 0
    assert found.to_json()["goal"] == "metric"


def test_more_trained_than_there_are_is_an_error() -> None:
    with pytest.raises(UsageError, match="81 networks, and 81 are"):
        simulate(made_up(4, 3), SimulationPlan(table="t", trained=81))


def test_a_table_without_a_front_is_an_error() -> None:
    alike = [(candidate, 0.5) for candidate, _ in made_up(4, 3)]
    with pytest.raises(UsageError, match="No larger network"):
        simulate(alike, SimulationPlan(table="t", trained=10))
    with pytest.raises(UsageError, match="same score"):
        simulate(alike, SimulationPlan(table="t", trained=10, metric=Metric(accuracy_weight=1)))


def test_a_metric_by_a_median_accuracy_of_0_is_an_error() -> None:
    cells = [(candidate, 0.0) for candidate, _ in made_up(4, 3)[:-1]] + made_up(4, 3)[-1:]
    with pytest.raises(UsageError, match="accuracy of 0"):
        simulate(cells, SimulationPlan(table="t", trained=10, metric=Metric(accuracy_weight=0.9)))


def test_a_network_in_several_rows_is_one_with_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("code,accuracy,bytes\n01,0.5,10\n10,0.7,20\n01,0.9,10\n01,0.2,30\n", encoding="utf-8-sig")
    assert read_table(path) == [
        (Candidate(("01",), 10), pytest.approx(0.7)),
        (Candidate(("10",), 20), 0.7),
        (Candidate(("01",), 30), 0.2),
    ]


def test_the_area_under_a_front_by_hand() -> None:
    found = [measured(0.6, 9), measured(0.8, 99), measured(0.7, 199)]  # totals 10, 100, 200; the last is beaten
    end = log(200) + 0.1
    expected = 0.1 * (log(100) - log(10)) + 0.3 * (end - log(100))
    assert front_area(found, found, floor=0.5) == pytest.approx(expected)


def test_a_batch_takes_who_adds_area_before_who_adds_none() -> None:
    known = [measured(0.5, 10), measured(0.8, 1000)]
    accuracies = {1: measured(0.7, 2000), 2: measured(0.7, 100), 3: measured(0.69, 101), 4: measured(0.9, 1500)}
    offered = {i: Promise(found) for i, found in accuracies.items()}
    chosen = choose_for_front(known, offered, 4)
    assert set(chosen.chosen[:2]) == {2, 4}
    assert set(chosen.chosen) == {1, 2, 3, 4}
    assert chosen.gain > 0
    assert choose_for_front(known, {1: offered[1]}, 1).gain == 0


def test_what_a_candidate_promises_is_the_mean_area_over_all_accuracies_it_may_have() -> None:
    known = [measured(0.5, 9), measured(0.8, 99)]  # totals 10 and 100
    for size, mean, deviation in ((19, 0.55, 0.1), (4, 0.3, 0.05), (149, 0.95, 0.2), (99, 0.7, 0.0), (9, 0.6, 0.0)):
        promise = Promise(measured(mean, size), deviation)
        rng = random.Random(size)
        gains = []
        for _ in range(20_000):
            accuracy = min(1.0, rng.gauss(mean, deviation))
            start, end = log(size + 1), log(2 * max(100, size + 1))  # an octave beyond the largest
            parts = [(log(1), log(10), 0.1), (log(10), log(100), 0.5), (log(100), end, 0.8)]
            gains.append(sum(max(0, b - max(a, start)) * max(0, accuracy - level) for a, b, level in parts))
        expected = sum(gains) / len(gains)
        assert choose_for_front(known, {1: promise}, 1, floor=0.1).gain == pytest.approx(expected, rel=0.03)


def test_a_smaller_network_than_any_known_adds_area_above_guessing() -> None:
    known = [measured(0.6, 99), measured(0.8, 999)]
    offered = {1: Promise(measured(0.5, 79)), 2: Promise(measured(0.65, 899))}
    assert choose_for_front(known, offered, 2, floor=0.1).chosen == [1, 2]
    assert choose_for_front(known, {1: offered[1]}, 1).gain == 0


def test_an_order_by_area_is_the_most_accurate_then_who_is_far_from_it_then_the_rest() -> None:
    found = {1: measured(0.9, 1000), 2: measured(0.89, 900), 3: measured(0.8, 20), 4: measured(0.7, 5000)}
    assert by_area(found, 0.1) == [1, 3, 2, 4]
    assert by_area(found, 0.1, 2) == [1, 3]
    assert by_area({}, 0.1) == []
    # whoever is less accurate than guessing adds nothing, and is last of the front
    assert by_area({1: measured(0.9, 1000), 2: measured(0.05, 10), 3: measured(0.5, 20)}, 0.1) == [1, 3, 2]


def test_a_front_of_small_networks_alone_still_sees_worth_in_much_larger_ones() -> None:
    known = [measured(0.74, 1), measured(0.78, 2)]
    offered = {1: Promise(measured(0.76, 2), 0.01), 2: Promise(measured(0.85, 11), 0.05)}
    batch = choose_for_front(known, offered, 1)
    assert batch.chosen == [2]
    assert batch.gain > choose_for_front(known, {1: offered[1]}, 1).gain > 0


def test_batches_of_several_bases_count_the_same_area() -> None:
    known = [measured(0.5, 10), measured(0.6, 100)]
    small = {1: Promise(measured(0.7, 50))}
    alone, beside = choose_for_front(known, small, 1), choose_for_front(known, small, 1, largest=10_000)
    assert beside.gain > alone.gain
    larger = choose_for_front(known, {**small, 2: Promise(measured(0.1, 9999))}, 1)
    assert beside.gain == pytest.approx(larger.gain)


def quadratic_by_area(measures: dict[int, Measures], floor: float) -> list[int]:
    """Return the order by area as its definition says it: the whole area anew for each that could come next."""
    front = {number: measures[number] for number in pareto_front(measures)}
    taken = list(front)[:1]
    while len(taken) < len(front):
        before = [front[number] for number in taken]
        area = front_area(before, front.values(), floor)
        added = {
            number: front_area([*before, found], front.values(), floor) - area
            for number, found in front.items()
            if number not in taken
        }
        number = max(added, key=lambda n: (added[n], front[n].accuracy, -n))
        if added[number] <= 1e-12:
            break
        taken.append(number)
    return [*taken, *by_layers({n: found for n, found in measures.items() if n not in taken})]


def test_an_order_by_area_is_that_of_its_definition() -> None:
    rng = random.Random(5)
    for case in range(60):
        found = {
            i: Measures(
                accuracy=rng.uniform(0.05, 1) if case % 3 else rng.choice([0.2, 0.5, 0.8, 0.9]),
                parameter_bytes=rng.randint(1, 3000),
                peak_intermediate_bytes=rng.randint(1, 3000),
            )
            for i in range(rng.randint(1, 25))
        }
        assert by_area(found, 0.1) == quadratic_by_area(found, 0.1)
        assert by_area(found, 0.1, 3) == quadratic_by_area(found, 0.1)[:3]


def test_a_batch_by_the_metric_takes_the_highest_scores() -> None:
    offered = {i: Promise(measured(0.1 * i, 10)) for i in range(1, 6)}
    chosen = choose_for_metric(lambda m: m.accuracy, 0.25, offered, 4)
    assert chosen.chosen == [5, 4, 3, 2]
    assert chosen.gain == pytest.approx(0.25 + 0.15 + 0.05)


def test_a_batch_by_the_metric_takes_who_may_be_best_before_who_surely_is_not() -> None:
    offered = {1: Promise(measured(0.5, 10), 0.2), 2: Promise(measured(0.55, 10), 0.01)}
    assert choose_for_metric(lambda m: 0.9 * m.accuracy, 0.54, offered, 2).chosen == [1, 2]
    assert choose_for_metric(lambda m: 0.9 * m.accuracy, 0.54, {}, 2).chosen == []


def test_bases_are_those_of_the_front_that_were_used_least() -> None:
    known = {1: measured(0.5, 10), 2: measured(0.8, 1000), 3: measured(0.4, 500)}
    assert bases_on_front(known, [], 0.1) == [2, 1]
    assert bases_on_front(known, [2], 0.1) == [1, 2]


DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_5x5', 0), ('dil_conv_3x3', 2), "
    "('max_pool_3x3', 1), ('avg_pool_3x3', 3), ('dil_conv_5x5', 4), ('skip_connect', 0)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_5x5', 0), ('dil_conv_3x3', 2), "
    "('max_pool_3x3', 1), ('avg_pool_3x3', 3), ('dil_conv_5x5', 4), ('skip_connect', 0)], reduce_concat=range(2, 6))"
)


def test_every_kind_of_table_is_read(tmp_path: Path) -> None:
    macro = tmp_path / "macro.json"
    macro.write_text(json.dumps({"021": {"mean_acc": 90.0, "params": 5}, "110": {"mean_acc": 80.0, "params": 4}}))
    assert read_table(macro) == [(Candidate(("100001010",), 20), 0.9), (Candidate(("010010100",), 16), 0.8)]
    cell = tmp_path / "cell.csv"
    edges = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    cell.write_text(f"cell,val_accuracy\n{edges},70.5\n")
    ((candidate, accuracy),) = read_table(cell)
    assert (len(candidate.codes[0]), candidate.parameter_bytes, accuracy) == (30, 11, pytest.approx(0.705))
    darts = tmp_path / "darts.csv"
    darts.write_text(f'genotype,accuracy\n"{DARTS}",0.94\n')
    ((candidate, accuracy),) = read_table(darts)
    assert [(len(code), code.count("1")) for code in candidate.codes] == [(98, 8), (98, 8)]
    assert accuracy == 0.94


@pytest.mark.parametrize(
    "text",
    [
        "Code;Accuracy;Bytes\n01;0.5;2000\n10;0.25;1000\n",
        "bytes\taccuracy\tname\tcode\n2000.0\t50\ta,b\t01\n1e3\t25\tc\t10\n",
        ' "code" , accuracy , bytes \r\n01, 0.5, 2000\r\n\r\n10, 0.25, 1000\r\n',
    ],
)
def test_a_table_as_other_programs_write_it_is_the_same_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert read_table(path) == [(Candidate(("01",), 2000), 0.5), (Candidate(("10",), 1000), 0.25)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "", "none of the columns"),
        ("t.csv", "code,accuracy,bytes\n", "no networks"),
        ("t.csv", "code,accuracy,bytes\n01,0.5,0\n", "line 2, is no network"),
        ("t.csv", "code,accuracy,bytes\n01,0.5,1\n011,0.5,1\n", "line 3, is no network"),
        ("t.csv", f'genotype,accuracy\n"{DARTS.replace("sep_conv_3x3", "conv")}",0.9\n', "line 2, is no network"),
        ("t.csv", "arch;acc\n01;0.5\n", "first line has: arch, acc"),
        ("t.csv", "code,bytes\n01,5\n", "none for its accuracy"),
        ("t.csv", "code,accuracy\n01,0.5\n", "none for its bytes"),
        ("t.csv", "code,accuracy,bytes,accuracy\n01,0.5,5,0.6\n", "accuracy more than once"),
        ("t.csv", "code,accuracy,bytes\n01,0.5,5\n\n1,0,0.5,5\n", "line 4, .* it has 4 fields, the first line 3"),
        ("t.csv", "code,accuracy,bytes\n01,95.2%,5\n", "accuracy holds '95.2%', which is no number"),
        ("t.csv", "code,accuracy,bytes\n01,nan,5\n", "its accuracy is nan"),
        ("t.csv", "code,accuracy,bytes\n01,0.5,inf\n", "has inf bytes"),
        ("t.csv", "code,accuracy,bytes\n01,0.5,5.5\n", "has 5.5 bytes, which are whole"),
        ("t.json", "{", "Cannot read"),
        ("t.json", '{"02": {"mean_acc": 1}}', "'02', is no network"),
        ("t.json", '{"02": {"mean_acc": "x", "params": 1}}', "'02', is no network"),
        ("t.json", "[1]", "no networks"),
    ],
)
def test_what_is_no_table_is_one_clear_error(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_table(path)
