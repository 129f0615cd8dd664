"""An interrupted run resumes, and its CSV files equal those of an uninterrupted run."""

import json
import random

import pytest
import torch
from torch import nn

from experiments.config.composing import compose
from experiments.errors import UsageError
from experiments.store import files as results
from experiments.store.integrity import CONFIG
from experiments.store.locks import lock_run, read_info
from experiments.store.run_folders import delete_run, prepare_folder
from experiments.store.studies import read_runs
from experiments.sweeps.replay import prepare_replay
from experiments.training import checkpoint
from experiments.training.checkpoint import CHECKPOINT, load_checkpoint
from experiments.training.provenance import code_version
from experiments.training.run import run
from models.rnn import RNN

SMALL = ["task.length=12", "model.hidden_size=6", "batch_size=3", "steps=30", "record.every=4", "record.windows=3"]
EVERY_STEP = [*SMALL, "record.evaluate_samples=20", "record.evaluate_every=7", "checkpoint_seconds=0"]


def small(folder, *overrides):
    return compose([*EVERY_STEP, f"results_dir={folder}", *overrides])


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def info_of(config):
    return json.loads((config.run_folder / "run.json").read_text())


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The CSV files of the small run that nothing happened to."""
    config = small(tmp_path_factory.mktemp("unbroken"))
    run(config)
    return contents(config.run_folder)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_run_that_is_interrupted_again_and_again_writes_the_same_files(tmp_path, cut_off, cell, optimizer):
    options = [f"cell={cell}", f"optimizer={optimizer}", "model.num_layers=2", "clip=norm", "task=temporal_order"]
    unbroken, broken = (small(tmp_path / name, *options) for name in ("unbroken", "broken"))
    run(unbroken)
    moments = random.Random(f"{cell} {optimizer}")
    while True:
        try:
            cut_off(broken, moments.randint(2, 9))
        except pytest.fail.Exception:  # it finished before it could be interrupted
            break
        assert info_of(broken)["status"] == "interrupted"
    assert contents(broken.run_folder) == contents(unbroken.run_folder)
    stages = info_of(broken)["continued"]
    assert len(stages) > 2
    assert [stage["after_step"] for stage in stages] == sorted({stage["after_step"] for stage in stages})
    assert info_of(broken)["status"] == "completed"
    networks = [torch.load(c.run_folder / "network.pt", weights_only=True) for c in (unbroken, broken)]
    assert all(torch.equal(one, other) for one, other in zip(*(n.values() for n in networks), strict=True))
    assert not (broken.run_folder / CHECKPOINT).exists()
    assert (len(read_runs(broken.study_folder)), read_runs(broken.study_folder).damaged) == (1, [])
    sealed = [{**info_of(config)["files"], CONFIG: None} for config in (unbroken, broken)]
    assert sealed[0] == sealed[1]
    assert len(sealed[0]) == 1 + len(contents(broken.run_folder))


def test_seconds_cover_all_parts_of_an_interrupted_run(tmp_path, cut_off):
    config = small(tmp_path)
    cut_off(config, 20)
    saved = load_checkpoint(config.run_folder, code_version(config))
    assert (saved.step, saved.seconds > 0) == (19, True)
    (config.run_folder / CHECKPOINT).rename(tmp_path / "kept")
    saved = saved._replace(seconds=1000.0)
    torch.save(saved._asdict(), config.run_folder / CHECKPOINT)
    run(config)
    assert 1000 < info_of(config)["seconds"] < 1100


def test_processor_time_is_known_of_runs_that_were_not_interrupted(tmp_path, cut_off):
    whole, broken = small(tmp_path / "whole"), small(tmp_path / "broken")
    run(whole)
    info = info_of(whole)
    assert 0 < info["processor_seconds"] < info["seconds"] + 0.1  # one thread
    cut_off(broken, 20)
    run(broken)
    assert (info_of(broken)["status"], info_of(broken)["processor_seconds"]) == ("completed", None)


def test_rows_after_the_checkpoint_are_written_again(tmp_path, unbroken, cut_off):
    broken = small(tmp_path)
    cut_off(broken, 20)
    for path in broken.run_folder.glob("*.csv"):
        with path.open("a") as file:
            file.write("20,1,2,3,4,5\n21,1,")
    run(broken)
    assert contents(broken.run_folder) == unbroken


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "pickle", "shorter table", "other version"])
def test_a_run_with_an_unusable_checkpoint_starts_over(tmp_path, unbroken, cut_off, damage):
    broken = small(tmp_path)
    cut_off(broken, 20)
    path = broken.run_folder / CHECKPOINT
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "shorter table":
        (broken.run_folder / "metrics.csv").write_text("step\n")
    elif damage == "other version":
        values = torch.load(path, weights_only=True)
        torch.save({**values, "code": {**values["code"], "versions": {}}}, path)
    else:
        harmful = b"cos\nsystem\n(S'touch /tmp/harmed'\ntR."
        path.write_bytes({"other": b"?" * 1000, "empty": b"", "pickle": harmful}[damage])
    assert run(broken).status == "completed"
    assert "continued" not in info_of(broken)
    assert contents(broken.run_folder) == unbroken


def test_the_checkpoint_interval_does_not_change_the_id(tmp_path):
    assert small(tmp_path).run_id == small(tmp_path, "checkpoint_seconds=99").run_id
    with pytest.raises(UsageError, match="checkpoint_seconds=-1: must be greater than or equal to 0"):
        small(tmp_path, "checkpoint_seconds=-1")


class Noisy(RNN):
    """A cell that draws from torch's global generator."""

    def forward(self, x, state):
        return super().forward(nn.functional.dropout(x, 0.3), state)


def test_a_cell_that_draws_random_numbers_is_repeatable_and_resumes(tmp_path, cut_off):
    configs = [small(tmp_path / name) for name in "abc"]
    noisy = [c.model_copy(update={"cell": {**c.cell, "_target_": f"{__name__}.Noisy"}}) for c in configs]
    run(noisy[0])
    torch.randn(7)
    run(noisy[1])
    cut_off(noisy[2], 15)
    torch.randn(7)
    run(noisy[2])
    assert info_of(noisy[2])["continued"][0]["after_step"] == 14
    first, *others = [contents(config.run_folder) for config in noisy]
    assert others == [first, first]
    run(configs[0])
    assert contents(configs[0].run_folder) != first


def test_a_run_resumes_after_a_full_disk_but_not_after_its_own_fault(tmp_path, unbroken, cut_off):
    broken = small(tmp_path)
    cut_off(broken, 10, OSError(28, "No space left on device"))
    assert info_of(broken)["error"].startswith("OSError: [Errno 28] No space left on device")
    prepare_folder(broken.run_folder)
    run(broken)
    assert info_of(broken)["continued"][0]["after_step"] == 9
    assert contents(broken.run_folder) == unbroken

    faulty = small(tmp_path / "faulty")
    cut_off(faulty, 10, ValueError("my mistake"))
    prepare_folder(faulty.run_folder)
    assert run(faulty).skipped
    prepare_folder(faulty.run_folder, retry=True)
    assert run(faulty).status == "completed"
    assert "continued" not in info_of(faulty)


def test_a_folder_that_becomes_read_only_during_a_run(tmp_path, unbroken, monkeypatch):
    """Rows in open files are kept, the error says why the run failed, and it resumes once the folder is writable."""
    broken = small(tmp_path)
    written = checkpoint.write_whole
    closed = []

    def closing(path, content):
        if closed or load_checkpoint(broken.run_folder, code_version(broken)) is not None:
            closed.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        written(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", closing)
        patch.setattr(results, "write_whole", closing)
        result = run(broken)
    assert result.status == "failed"
    assert result.error.startswith("PermissionError: [Errno 13] Permission denied")
    assert read_info(broken.run_folder)["status"] == "interrupted"
    assert run(broken).status == "completed"
    assert contents(broken.run_folder) == unbroken


def test_only_one_process_at_a_time_executes_a_run(tmp_path):
    config = small(tmp_path)
    config.run_folder.mkdir(parents=True)
    with lock_run(config.run_folder) as free:
        assert free
        result = run(config)
        assert (result.status, result.skipped) == ("running", True)
        with pytest.raises(UsageError, match="another process is running it"):
            delete_run(config.run_folder)
    assert run(config).status == "completed"


@pytest.mark.parametrize("content", ["", '{"status": "comp', "[1]"])
def test_a_damaged_run_json_is_reported_and_kept(tmp_path, content):
    config = small(tmp_path)
    run(config)
    (config.run_folder / "run.json").write_text(content)
    tables = contents(config.run_folder)
    prepare_folder(config.run_folder, retry=True)
    result = run(config)
    assert (result.status, result.skipped) == ("damaged", True)
    assert result.error.startswith("run.json cannot be read")
    with pytest.raises(UsageError, match=f"{config.run_id}: run.json cannot be read .*; run it again with --fr"):
        prepare_replay(config.run_folder, tmp_path)
    assert contents(config.run_folder) == tables
    prepare_folder(config.run_folder, fresh=True)
    assert run(config).status == "completed"
    assert contents(config.run_folder) == tables


def test_a_run_that_resumes_goes_on_with_the_record_that_it_began_with(tmp_path, cut_off):
    """Its tables would be of two kinds otherwise; its id does not depend on what it records."""
    config, finer = small(tmp_path), small(tmp_path, "record.windows=all")
    assert finer.run_folder == config.run_folder
    cut_off(config, 20)
    assert load_checkpoint(config.run_folder, code_version(config)).step == 19
    result = run(finer)
    assert (result.status, result.unrecorded) == ("completed", {"windows": "all"})
    assert [stage["after_step"] for stage in info_of(config)["continued"]] == [19]
    assert contents(finer.run_folder) == contents(run(small(tmp_path / "whole")).folder)
    assert run(finer).unrecorded == {"windows": "all"}


def test_a_run_on_a_table_of_the_users_resumes_with_the_reach_of_the_data_that_it_began_with(tmp_path, cut_off):
    table = tmp_path / "pump.csv"
    table.write_text("a,b\n" + "".join(f"{row % 7},{row * row % 11}\n" for row in range(400)))
    options = ["task=csv", f"task.path={table}", "task.target=a", "task.loss_at=all"]
    unbroken, broken = (small(tmp_path / name, *options) for name in ("unbroken", "broken"))
    run(unbroken)
    cut_off(broken, 20)
    run(broken)
    assert [stage["after_step"] for stage in info_of(broken)["continued"]] == [19]
    assert contents(broken.run_folder) == contents(unbroken.run_folder)
    assert contents(broken.run_folder)["data_lags.csv"].count(b"\n") > 10


def test_a_run_starts_over_if_a_data_file_changed_since_the_checkpoint(tmp_path, cut_off):
    data = tmp_path / "data.csv"
    data.write_text("1")
    config = small(tmp_path)
    config = config.model_copy(update={"cell": {**config.cell, "_target_": f"{__name__}.Reader", "path": str(data)}})
    cut_off(config, 20)
    assert load_checkpoint(config.run_folder, code_version(config)).step == 19
    data.write_text("2")
    assert load_checkpoint(config.run_folder, code_version(config)) is None


class Reader(RNN):
    """A cell with a data file."""

    def __init__(self, *arguments, path, **options):
        super().__init__(*arguments, **options)
