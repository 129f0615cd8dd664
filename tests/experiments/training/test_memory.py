"""A run that needs more memory than the machine has fails with one line, and a sweep continues."""

import pytest

from experiments.config.composing import compose
from experiments.config.parts import draft
from experiments.errors import in_a_line
from experiments.store.files import read_json
from experiments.store.run_folders import folders_with_status
from experiments.sweeps.plan import plan
from experiments.sweeps.sweep import sweep
from experiments.training import memory
from experiments.training.run import run

SMALL = ["model.hidden_size=4", "batch_size=4", "steps=2", "task.length=10", "record.evaluate_samples=8"]


@pytest.mark.parametrize("too_much", ["model.hidden_size=10000000", "task.length=1000000000000"])
def test_too_much_for_this_machine(tmp_path, too_much):
    result = run(compose([*SMALL, too_much, f"results_dir={tmp_path}"]))
    assert result.status == "failed"
    assert result.error.startswith("out of memory (")
    assert result.error.endswith("reduce task.length, batch_size or model.hidden_size")
    info = read_json(result.folder / "run.json")
    assert (info["status"], info["error"]) == ("failed", result.error)
    assert info["parameters"] > 0


def test_a_sweep_continues_after_a_run_that_is_too_large(tmp_path):
    planned = plan([*SMALL, "model.hidden_size=4,10000000", f"results_dir={tmp_path}"])
    assert sorted(result.status for result in sweep(planned)) == ["completed", "failed"]
    assert len(folders_with_status(planned.folders, "failed")) == 1


def test_an_error_of_the_allocator_gives_the_same_line(tmp_path, monkeypatch):
    """The size of the memory is unknown, so the allocator raises."""
    monkeypatch.setattr(memory, "_installed", lambda: None)
    result = run(compose([*SMALL, "model.hidden_size=10000000", f"results_dir={tmp_path}"]))
    assert result.status == "failed"
    assert result.error.startswith("out of memory (372,529.0 GiB requested)")


def test_a_run_that_fits_is_accepted():
    config = compose(SMALL)
    memory.check_memory(config, draft(config))
    assert in_a_line(RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")).startswith(
        "out of memory (20 GiB requested)"
    )
    assert in_a_line(RuntimeError("it broke")) == "RuntimeError: it broke"
