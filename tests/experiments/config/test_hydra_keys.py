"""What Hydra would hear elsewhere: bptt does it, or says in one line that it does not."""

import pytest

from cli.run_plan import requested_launcher
from experiments.catalogue.choices import catalogue, claims_of_studies
from experiments.config import hydra_errors
from experiments.config.composing import compose
from experiments.config.grid import expand
from experiments.errors import UsageError
from experiments.sweeps.launchers import choose_launcher, launcher_overrides
from experiments.sweeps.plan import check_launcher_options, plan
from experiments.sweeps.sweep import sweep

IN_A_RUN = {
    "hydra.run.dir=x": "hydra.run.dir=x: has no effect; set results_dir=FOLDER and study=NAME",
    "hydra.sweep.dir=x": "hydra.sweep.dir=x: has no effect; set results_dir=FOLDER and study=NAME",
    "hydra.searchpath=[x]": "hydra.searchpath=[x]: has no effect; give --config-dir FOLDER",
    "hydra.verbose=true": "hydra.verbose=true: has no effect; the only keys of Hydra that bptt uses are",
    "+hydra.job.name=x": "+hydra.job.name=x: has no effect; the only keys of Hydra that bptt uses are",
    "hydra/job_logging=default": "hydra/job_logging=default: has no effect; the only keys of Hydra that bptt uses are",
    "~hydra.sweep": "~hydra.sweep: has no effect; set results_dir=FOLDER and study=NAME",
    "hydra/launcher=submitit_slurm": "hydra/launcher=submitit_slurm: a single run needs no launcher; `bptt sweep`",
    "hydra.launcher.partition=x": "hydra.launcher.partition=x: a single run needs no launcher; `bptt sweep` takes one",
    "hydra/sweeper=optuna": "hydra/sweeper=optuna: is for several runs; use `bptt sweep`",
    "hydra.sweeper.params.seed=1": "hydra.sweeper.params.seed=1: is for several runs; use `bptt sweep`",
    "~nonsense": "~nonsense: there is no such key",
    "~seed=5": "~seed=5: seed is 0",
    "~clip": "clip: needs a value",
    "+seed=1": "+seed: the key exists; leave out the +",
    "+claims=[x]": "+claims=[x]: applies to all runs of a study",
    "+scales.tiny=[]": "+scales.tiny=[]: applies to all runs of a study",
    "steps=2\r": "steps=2\r: ends with a carriage return; save the script with Unix line endings",
}

IN_A_SWEEP = {
    "hydra.run.dir=x": IN_A_RUN["hydra.run.dir=x"],
    "hydra.sweep.dir=x": IN_A_RUN["hydra.sweep.dir=x"],
    "hydra.verbose=true": IN_A_RUN["hydra.verbose=true"],
    "hydra/sweeper=ax": "hydra/sweeper=ax: there is no such sweeper; basic runs a grid, optuna searches",
    "hydra.sweeper.n_trials=3": "hydra.sweeper.n_trials=3: is an option of a search; add hydra/sweeper=optuna",
    "hydra.sweeper.max_batch_size=3": "hydra.sweeper.max_batch_size=3: is an option of a search",
    "hydra.sweeper.max_failure_rate=0.5": "hydra.sweeper.max_failure_rate=0.5: has no effect; a trial that fails gets",
    "seed=interval(0,1)": "seed=interval(0,1): a grid needs a list or a range; for a search, add hydra/sweeper=optuna",
    "hydra/sweeper/sampler=random": "hydra/sweeper/sampler=random: is an option of a search",
    "~hydra.sweeper.params": "~hydra.sweeper.params: a whole group of keys cannot be deleted",
    "~scale": "~scale: cannot be set here",
    "+claims=[x]": "+claims=[x]: cannot be set here",
}


@pytest.mark.parametrize("override", IN_A_RUN)
def test_what_a_run_does_not_hear_it_refuses(override):
    with pytest.raises(UsageError) as error:
        compose([override])
    assert str(error.value).startswith(IN_A_RUN[override])


@pytest.mark.parametrize("override", IN_A_SWEEP)
def test_what_a_sweep_does_not_hear_it_refuses(override):
    with pytest.raises(UsageError) as error:
        plan(["cell=rnn,lstm", override])
    assert str(error.value).startswith(IN_A_SWEEP[override])


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_axes_in_hydras_words_are_a_grid(sign):
    for axes in ("hydra.sweeper.params.seed='3,4'", "hydra.sweeper.params={seed: '3,4'}"):
        assert [config.seed for config in plan([sign + axes]).configs] == [3, 4]


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    return folder


def test_a_sweeper_in_a_study_makes_a_search(tmp_path):
    pytest.importorskip("optuna")
    write(
        tmp_path,
        {
            "study/hpo.yaml": "# @package _global_\ndefaults: [{override /hydra/sweeper: optuna}]\nstudy: {name: hpo}\n"
            "hydra: {sweeper: {n_trials: 2, params: {seed: 'choice(0,1,2,3)'}}}\n"
        },
    )
    assert expand(["study=hpo"], tmp_path).search
    assert not expand(["study=quickstart"]).search
    assert not expand(["seed=0,1", "hydra/sweeper=basic"]).search
    with pytest.raises(UsageError, match="study=hpo: is a search; use `bptt sweep`"):
        plan(["study=hpo"], tmp_path)


def test_a_launcher_on_the_command_line_or_in_a_study_counts(tmp_path):
    pytest.importorskip("submitit")
    write(
        tmp_path,
        {
            "study/far.yaml": "# @package _global_\ndefaults: [{override /hydra/launcher: submitit_local}]\n"
            "study: {name: far}\nhydra: {launcher: {cpus_per_task: 3}, sweeper: {params: {seed: '0,1'}}}\n"
        },
    )
    tiny = ["model.hidden_size=4", "batch_size=4", "steps=2", "task.length=10", "record.evaluate_samples=8"]
    far = plan(["study=far", *tiny, f'results_dir="{tmp_path}/it\'s"', "study.name=it's"], tmp_path)
    assert requested_launcher(None, far.launcher) == "submitit_local"
    with pytest.raises(UsageError, match="hydra/launcher=basic: --launcher is joblib; give only one of them"):
        requested_launcher("joblib", ["hydra/launcher=basic"])
    assert len(far.configs) == 2
    for launcher in ("submitit_local", "joblib", "basic"):
        check_launcher_options(far, launcher, 2)
    assert [result.status for result in sweep(far, launcher="basic")] == ["completed"] * 2
    near = plan(["seed=0,1", "hydra/launcher=basic"])
    assert choose_launcher(requested_launcher(None, near.launcher), None, 2) == ("basic", 1)
    assert launcher_overrides("basic", 1, near.launcher) == ["hydra/launcher=basic"]
    with pytest.raises(UsageError, match="--launcher nowhere: there is no such launcher"):
        choose_launcher(requested_launcher(None, ["hydra/launcher=nowhere"]), None, 2)


@pytest.mark.parametrize(
    ("launcher", "override", "said"),
    [
        ("joblib", "hydra.launcher.timeout=5", "hydra.launcher.timeout=5: would end a worker with all its runs"),
        (
            "joblib",
            "hydra.launcher.backend=threading",
            "hydra.launcher.backend=threading: bptt's workers are processes",
        ),
        ("joblib", "hydra.launcher.prefer=threads", "hydra.launcher.prefer=threads: bptt's workers are processes"),
        ("joblib", "hydra.launcher.n_job=3", "hydra.launcher.n_job=3: there is no such key"),
        ("joblib", "hydra.launcher.n_jobs=3", "hydra.launcher.n_jobs=3: is the number of workers; give --jobs N"),
        ("basic", "hydra.launcher.n_jobs=3", "hydra.launcher.n_jobs=3: there is no such key"),
        (
            "submitit_local",
            "results_dir='50%j'",
            "50%j/default: --launcher submitit_local replaces %j in a path by a number",
        ),
        (
            "submitit_slurm",
            "results_dir='50%u'",
            "50%u/default: --launcher submitit_slurm replaces %u in a path by a number",
        ),
    ],
)
def test_what_a_launcher_cannot_do_is_refused_before_it_starts(tmp_path, monkeypatch, launcher, override, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        check_launcher_options(plan(["seed=0,1", override]), launcher, 2)
    assert str(error.value).startswith(said)
    assert not list(tmp_path.iterdir())


def test_a_percent_sign_is_no_placeholder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for launcher in ("joblib", "submitit_local", "submitit_slurm"):
        check_launcher_options(plan(["seed=0,1", "results_dir='50%'"]), launcher, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hydra: {run: {dir: x}}", "hydra.run has no effect; set results_dir=FOLDER and study=NAME"),
        ("hydra: {verbose: true}", "hydra.verbose has no effect; the only keys of Hydra that bptt uses are"),
        ("defaults: [{override /hydra/job_logging: default}]", "hydra/job_logging has no effect"),
        (
            "hydra: {sweeper: {max_failure_rate: 0.5}}",
            "hydra.sweeper.max_failure_rate has no effect; a trial that fails",
        ),
        ("hydra: [", "while parsing"),
        ("claims: one", "claims=one: must be a list of names: [one]"),
    ],
)
def test_keys_of_hydra_in_a_study_are_refused(tmp_path, content, said):
    write(tmp_path, {"study/own.yaml": f"# @package _global_\nstudy: {{name: own}}\n{content}\n"})
    with pytest.raises(UsageError) as error:
        claims_of_studies(tmp_path) and compose(["study=own"], tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/study/own.yaml: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("study/half.yml", "study/half.yml: is not read; rename it to half.yaml"),
        ("cell/half.yml", "cell/half.yml: is not read; rename it to half.yaml"),
        ("config.yaml", "config.yaml: is not read; move its keys to study/NAME.yaml and add study=NAME"),
        (
            "figure/cost.py",
            "figure/cost.py: is not read; bptt has its own figure cost, so yours needs another name",
        ),
        ("cell/rnn.yaml", "cell/rnn.yaml: is not read; bptt has its own cell rnn, so yours needs another name"),
    ],
)
def test_a_file_that_is_not_read_is_said(tmp_path, file, said):
    write(tmp_path, {file: "steps: 3\n"})
    for command in (lambda: compose([], tmp_path), lambda: plan(["seed=0,1"], tmp_path), lambda: catalogue(tmp_path)):
        with pytest.raises(UsageError) as error:
            command()
        assert str(error.value) == f"{tmp_path}/{said}"


def test_comments_may_stand_above_the_package(tmp_path):
    write(
        tmp_path,
        {
            "study/leak.yaml": "# mine/study/leak.yaml\n\n# @package _global_\n# The leak\nstudy: {name: leak}\n"
            "steps: 3\n",
            "cell/plain.yaml": "# says @package in words\n_target_: models.rnn.RNN\n_partial_: true\n",
        },
    )
    config = compose(["study=leak", "cell=plain"], tmp_path)
    assert (config.study.name, config.steps, config.cell["name"]) == ("leak", 3, "plain")
    assert catalogue(tmp_path)["study"]["leak"] == "The leak"
    write(tmp_path, {"study/late.yaml": f"# {'long ' * 200}\n# @package _global_\nsteps: 3\n"})
    with pytest.raises(UsageError, match=r"late\.yaml: move the line '# @package \.\.\.' to the top"):
        compose([], tmp_path)


def test_what_is_not_installed_says_how_to(monkeypatch):
    monkeypatch.setattr(hydra_errors, "EXTRAS", {"nowhere": "optuna"})
    error = hydra_errors.explain(RuntimeError("In 'hydra/config': Could not find 'hydra/sweeper/nowhere'\n"), [])
    assert error.startswith("hydra/sweeper=nowhere: is not installed; pip install 'hydra-optuna-sweeper")
