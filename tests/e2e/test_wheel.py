"""The wheel, built from the tracked files alone and installed outside the checkout."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.experiments.watching.test_import import make_project

ROOT = Path(__file__).parents[2]


def check(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path):
    """The tracked files, as they are now."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the wheel is built from what git tracks: this is not a git checkout")
    for name in check("git", "-C", ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).exists():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


@pytest.fixture
def install(tmp_path):
    """Install into a new environment that sees the installed dependencies, but not our packages."""
    for needed in ("hatchling", "pip"):
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is missing, which builds or installs the wheel: pip install {needed}")
    new = tmp_path / "environment"
    check(sys.executable, "-m", "venv", "--without-pip", new)
    (site,) = new.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(folder for folder in sys.path if "site-packages" in folder))

    def pip_install(*arguments):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", new / "bin" / "python"]
        check(*pip, "install", "--no-deps", "--no-index", *arguments, cwd=tmp_path)
        return new / "bin", site

    return pip_install


def place_of_packages(programs, tmp_path):
    return check(programs / "python", "-c", "import bptt_start, cli; print(*cli.__path__)", cwd=tmp_path).strip()


def test_the_quickstart_runs_from_the_wheel(clone, install, tmp_path):
    check(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=clone)
    (wheel,) = tmp_path.glob("bptt-*.whl")
    programs, site = install(f"{wheel}[optuna,slurm,tensorboard]")
    shutil.rmtree(clone)
    small = ["steps=2", "seed=0", "cell=lstm", "model.hidden_size=8", "record.evaluate_samples=20"]
    printed = check(programs / "bptt", "sweep", "study=quickstart", *small, "--jobs", "1", cwd=tmp_path)
    assert printed.splitlines()[-1] == "results/quickstart"
    infos = [json.loads(path.read_text()) for path in tmp_path.glob("results/quickstart/runs/*/run.json")]
    assert [info["status"] for info in infos] == ["completed"] * 2
    assert [info["git"] for info in infos] == [None] * 2  # the code that ran is not this checkout's
    assert place_of_packages(programs, tmp_path) == str(site / "cli")
    read = "from experiments.analysis.remedy_findings import MEASURED; print(MEASURED)"
    measured = Path(check(programs / "python", "-c", read, cwd=tmp_path).strip())
    assert measured.is_relative_to(site)
    assert measured.read_bytes() == (ROOT / "results" / "reference" / "remedies" / "summary.csv").read_bytes()
    assert (site / "bptt.py").exists()
    make_project(tmp_path / "yours")  # with packages of the same names as ours
    check(programs / "python", "train.py", cwd=tmp_path / "yours")
    told = "from experiments.config.optional_packages import how_to_install; print(how_to_install('optuna'))"
    assert check(programs / "python", "-c", told, cwd=tmp_path).startswith("pip install 'hydra-optuna-sweeper")


def test_an_editable_installation_runs_the_checkout(clone, install, tmp_path):
    programs, _ = install("--no-build-isolation", "--editable", clone)
    assert "lstm" in check(programs / "bptt", "list", "cell", cwd=tmp_path)
    assert place_of_packages(programs, tmp_path) == str(clone / "cli")
