"""The csv task: windows, split, scaling, chance levels, and files that are refused with the row and what to do."""

import hashlib
import math
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator

from experiments.errors import UsageError
from experiments.tasks.series import Series

ROWS = 200


@pytest.fixture
def frame():
    """A column of row numbers, a noisy column, a label, a machine and a time."""
    generator = np.random.default_rng(0)
    number = np.arange(ROWS, dtype=float)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "a": number,
            "b": generator.normal(5, 3, ROWS),
            "state": np.where(generator.random(ROWS) < 0.7, "on", "off"),
        }
    )


@pytest.fixture
def make(tmp_path):
    """Write a table, or a text, to pump.csv, and make the task."""

    def one(table, length=10, **arguments):
        path = tmp_path / "pump.csv"
        if isinstance(table, pd.DataFrame):
            table.to_csv(path, index=False)
        else:
            path.write_bytes(table if isinstance(table, bytes) else table.encode())
        return Series(length, str(path), **arguments)

    return one


def draw(task, size=500):
    return task.draw(size, Generator().manual_seed(0))


def unscaled(task, values, column):
    place = task.data["columns"].index(column)
    return values.double() * task.data["stds"][place] + task.data["means"][place]


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_forecast_asks_for_the_row_after_the_window(make, frame, horizon):
    task = make(frame, columns=["a", "b"], target="a", horizon=horizon)
    inputs, targets = draw(task)
    read = unscaled(task, inputs[..., 0], "a").round()
    assert (read[1:] - read[:-1] == 1).all()
    assert torch.equal(unscaled(task, targets[0, :, 0], "a").round(), read[-1] + horizon)
    noisy = unscaled(task, inputs[..., 1], "b")
    expected = torch.tensor(frame["b"].to_numpy())[read.long()]
    torch.testing.assert_close(noisy, expected, atol=1e-5, rtol=0)


def test_training_never_sees_the_held_out_rows(make, frame):
    task = make(frame, columns=["a"], target="a", horizon=3)
    training = draw(task, 3000)
    assert {*unscaled(task, training.targets, "a").round().int().flatten().tolist()} == set(range(12, 160))
    (held,) = task.held_out(1000, Generator())
    assert unscaled(task, held.inputs, "a").min().round() == 160
    assert unscaled(task, held.targets, "a").max().round() == 199
    assert held.inputs.shape[1] == 40 - 12
    (few,) = task.held_out(5, Generator().manual_seed(3))
    assert unscaled(task, few.inputs[0, :, 0], "a").round().tolist() == [160, 166, 173, 180, 187]


def test_columns_are_scaled_with_the_numbers_of_the_training_part(make, frame):
    task = make(frame, columns=["a", "b"], target="b", held_out=0.25)
    training = frame.iloc[:150]
    assert task.data["means"] == pytest.approx([training["a"].mean(), training["b"].mean()])
    assert task.data["stds"] == pytest.approx([training["a"].std(ddof=0), training["b"].std(ddof=0)])
    changed = frame.assign(b=frame["b"].where(frame.index < 150, 1e6))
    again = make(changed, columns=["a", "b"], target="b", held_out=0.25)
    assert again.data["means"] == task.data["means"]
    assert torch.equal(draw(again).inputs, draw(task).inputs)


def test_chance_of_a_forecast_is_the_better_one_of_mean_and_last_value(make, frame):
    smooth = make(frame, columns=["a", "b"], target="a")
    noisy = make(frame, columns=["a", "b"], target="b", tolerance=0.3)
    for task, column in ((smooth, "a"), (noisy, "b")):
        values = (frame[column] - frame[column][:160].mean()) / frame[column][:160].std(ddof=0)
        held = values.to_numpy()[160:]
        last, mean = np.diff(held[9:]), held[10:]
        expected = {"mean": np.mean(mean**2), "last value": np.mean(last**2)}
        assert task.data["chance_losses"] == pytest.approx(expected, rel=1e-5)
        best = min((last, mean), key=lambda off: np.mean(off**2))
        assert task.chance_loss == pytest.approx(np.mean(best**2), rel=1e-5)
        assert task.chance_error == pytest.approx(np.mean(np.abs(best) > task.tolerance))
    assert smooth.chance_loss == pytest.approx(smooth.data["chance_losses"]["last value"])
    assert noisy.chance_loss == pytest.approx(noisy.data["chance_losses"]["mean"])
    assert "last value" not in make(frame, columns=["b"], target="a").data["chance_losses"]


def test_a_memoryless_answer_scores_the_chance_level(make, frame):
    task = make(frame, columns=["a", "b"], target="b")
    (held,) = task.held_out(1000, Generator())
    mean = torch.zeros_like(held.targets)
    assert task.losses(mean, held.targets).mean().item() == pytest.approx(task.chance_loss)
    assert task.errors(mean, held.targets).mean().item() == pytest.approx(task.chance_error)
    task = make(frame, columns=["a"], label="state", horizon=0)
    (held,) = task.held_out(1000, Generator())
    shares = frame["state"][:160].value_counts(normalize=True)
    logits = torch.tensor([math.log(shares["off"]), math.log(shares["on"])]).expand(1, held.targets.shape[1], 2)
    assert task.losses(logits, held.targets).mean().item() == pytest.approx(task.chance_loss, rel=1e-5)
    assert task.errors(logits, held.targets).mean().item() == pytest.approx(task.chance_error)
    assert task.chance_error == pytest.approx(np.mean(frame["state"][169:] == "off"))


@pytest.mark.parametrize("answer", ["target", "label"])
def test_a_loss_at_all_timesteps_asks_for_each_row_and_chance_is_what_an_answer_without_memory_scores(
    make, frame, answer
):
    asked = {"target": {"target": "b", "horizon": 3}, "label": {"label": "state", "horizon": 0}}[answer]
    last, every = (make(frame, columns=["a", "b"], loss_at=loss_at, **asked) for loss_at in ("last", "all"))
    one, whole = draw(last), draw(every)
    assert (last.readout_steps, every.readout_steps) == (1, None)
    assert torch.equal(one.inputs, whole.inputs)
    assert torch.equal(one.targets, whole.targets[-1:])
    assert every.data["held_out_windows"] == last.data["held_out_windows"] > 1
    read = unscaled(every, whole.inputs[..., 0], "a").round().long()
    answers = frame["b"] if answer == "target" else (frame["state"] == "on").astype(int)
    answered = unscaled(every, whole.targets[..., 0], "b") if answer == "target" else whole.targets.double()
    expected = torch.tensor(answers.to_numpy(dtype=float))[read + every.horizon]
    torch.testing.assert_close(answered, expected, atol=1e-5, rtol=0)
    (held,) = every.held_out(1000, Generator())
    shares = frame["state"][:160].value_counts(normalize=True)
    logits = torch.tensor([math.log(shares["off"]), math.log(shares["on"])], dtype=torch.float64)
    guess = torch.zeros_like(held.targets) if answer == "target" else logits.expand(*held.targets.shape, 2)
    assert every.losses(guess, held.targets).mean().item() == pytest.approx(every.chance_loss, rel=1e-5)
    assert every.errors(guess, held.targets).mean().item() == pytest.approx(every.chance_error)
    assert every.chance_loss != pytest.approx(last.chance_loss, rel=1e-5)
    if answer == "target":
        of_last_value = every.losses(held.inputs[..., 1:], held.targets).mean().item()
        assert of_last_value == pytest.approx(every.data["chance_losses"]["last value"], rel=1e-5)
    assert every.dependence() == last.dependence()


@pytest.mark.parametrize("horizon", [0, 2])
def test_labels_are_those_of_the_asked_row(make, frame, horizon):
    task = make(frame, columns=["a"], label="state", horizon=horizon)
    inputs, targets = draw(task)
    asked = unscaled(task, inputs[-1, :, 0], "a").round().int() + horizon
    assert [["off", "on"][label] for label in targets[0].tolist()] == frame["state"][asked.tolist()].tolist()


def test_windows_stay_within_a_group_whose_rows_may_be_mixed(make, frame):
    machines = pd.concat([frame.assign(machine=m, a=frame["a"] + 1000 * m) for m in (1, 2)])
    mixed = machines.sort_values("time", kind="stable")
    task = make(mixed, columns=["a"], target="a", group="machine", time="time")
    assert (task.data["groups"], task.data["training_rows"], task.data["held_out_rows"]) == (2, 320, 80)
    for batch in (draw(task), *task.held_out(1000, Generator())):
        read = unscaled(task, batch.inputs[..., 0], "a").round()
        assert (read[1:] - read[:-1] == 1).all()
        assert torch.equal(unscaled(task, batch.targets[0, :, 0], "a").round(), read[-1] + 1)


def test_what_the_file_was_is_described(make, frame, tmp_path):
    task = make(frame, time="time", label="state", horizon=0)
    assert task.data["sha256"] == hashlib.sha256((tmp_path / "pump.csv").read_bytes()).hexdigest()
    assert task.data["columns"] == ["a", "b"]
    assert (task.data["rows"], task.data["training_windows"], task.data["held_out_windows"]) == (200, 151, 31)


GERMAN = "zeit;druck;fluss\n" + "".join(f"{i:02d}.01.2024;{i},5;{i * i}\n" for i in range(1, 29))


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        (b"\xef\xbb\xbf" + GERMAN.encode(), {"decimal": "comma"}),
        (GERMAN.replace("druck", "압력").encode("cp949"), {"decimal": "comma", "encoding": "cp949", "target": "압력"}),
        (GERMAN.replace(",", ".").replace(";", "\t"), {}),
        (GERMAN.replace(",", ".").replace(";", " , "), {}),
        (GERMAN.replace(",", ".").replace(";", "|").replace("\n", "\r\n"), {"separator": "pipe"}),
    ],
)
def test_exports_of_other_programs_are_read(make, content, arguments):
    target = arguments.pop("target", "druck")
    task = make(content, length=3, time="zeit", target=target, **arguments)
    assert task.data["columns"] == [target, "fluss"]
    assert unscaled(task, task._inputs[:, 0], target).tolist() == pytest.approx([i + 0.5 for i in range(1, 29)])


def table(*rows):
    return "time,a,b\n" + "".join(f"{i},{i}.0,{i % 3}\n" for i in range(1, 60)) + "".join(f"{row}\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", {}, "is empty"),
        ("time,a,b\n", {}, "has a header, but no rows"),
        (
            "time,a,b\n1,2,3\n",
            {},
            "the training part has 1 row in sequence, but task.length=10 and task.horizon=1 need 11",
        ),
        (table("60,,1"), {}, "row 60, column a: the value is missing; fill it in or delete the row"),
        (table("60,nan,1", "61,1,1", "62,,1"), {}, r"row 60, column a: .* \(one of 2 missing values in this column\)"),
        (table("60,inf,1"), {}, "row 60, column a: inf is too large; it must be below 1e[+]15"),
        ("a\n" + "1\n" * 30 + "\n" + "2\n" * 30 + "\n\n", {}, "row 31, column a: the value is missing"),
        (table("60,1e200,1"), {}, r"row 60, column a: 1e[+]200 is too large; it must be below 1e[+]15"),
        (table().replace("time,a,b", "time,a,a"), {}, "two columns are called a; rename one of them in the first line"),
        (table("60;1;1"), {}, "row 60, column time: '60;1;1' is not a number; does the file mix separators"),
        (table("60,1,1,9,9"), {}, "line 61 has 5 fields instead of 3; separate all fields with ','"),
        (
            table("60,2,broken"),
            {},
            "b: 'broken' is not a number; correct it, or leave the column out: .task.columns=.time,a",
        ),
        (table("60,broken,1"), {}, "row 60, column a: 'broken' is not a number; correct it$"),
        (GERMAN, {"target": "druck", "time": "zeit"}, "'1,5' is not a number; .* add task.decimal=comma"),
        (table("5,1.0,1"), {"time": "time"}, "row 60, column time: 5 is before 59 in row 59; sort the rows by time"),
        (table(), {"target": "c"}, "task.target=c: .* has no such column, but time, a, b"),
        (table()[9:], {}, "two columns are called 1; if the first line is a row already, put a line with the names"),
        (
            table()[25:],
            {},
            "task.target=a: .* no such column, but 3, 3.0, 0; if the first line is a row already, put",
        ),
        (table().replace(",", " "), {}, "no such column, but time a b; if its fields are separated otherwise, give"),
        ("a,b\n" + "on,1\noff,1\n" * 45, {}, "'on' is not a number; to tell classes apart, give task.label=a in place"),
        (table(), {"columns": ["x"]}, "task.columns=x: .* has no such column"),
        (table(), {"group": "g"}, "task.group=g: .* has no such column"),
        (table().replace("time", "시간").encode("cp949"), {}, r"byte 0x.. is not UTF-8; add task.encoding=cp949"),
        (table(), {"encoding": "utf-99"}, "task.encoding=utf-99: there is no such encoding"),
        (table(), {"target": None}, "task.target=null task.label=null: give one of them"),
        (table(), {"label": "b"}, "task.target=a task.label=b: give one of them"),
        (table(), {"horizon": 0}, r"the answer a would be an input; leave it out: .task.columns=\[time,b\]"),
        (
            table("60,1,7"),
            {"target": None, "label": "b"},
            "row 60, column b: the label '7' is not in the training part",
        ),
        ("a,b\n" + "1,1\n" * 90, {}, "task.target=a: is constant in the training part"),
        ("a,b\n" + "1,1\n" * 90, {"target": None, "label": "b"}, "task.label=b: all training rows have the label '1'"),
        ("time,a\n" + "x,1\n" * 90, {"time": "time"}, "task.time=time: pandas cannot read it as time"),
        (b"\0" * 100, {}, "holds null bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_row_and_what_to_do(make, content, arguments, message):
    with pytest.raises(UsageError, match=message) as refused:
        make(content, **{"target": "a", **arguments})
    assert "\n" not in str(refused.value)


def test_a_changed_file_is_read_again(make, frame):
    assert make(frame, target="a", columns=["a"]).data["rows"] == 200
    assert make(frame.iloc[:150], target="a", columns=["a"]).data["rows"] == 150


def test_windows_are_cut_when_they_are_drawn_and_not_kept(make):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    table = "a\n" + "\n".join(map(str, np.arange(100_000) % 97)) + "\n"
    draw(make(table, 100, target="a"))
    before = resident()
    task = make(table + "1\n", 100, target="a")
    for _ in range(100):
        draw(task)  # 0.2 MiB
    assert resident() - before < 15  # all windows would be 38 MiB
