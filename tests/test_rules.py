"""Rules of the house: late imports, and the public keys and columns, which may grow but never lose a name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.store.csv_columns import COLUMNS
from experiments.store.studies import Run


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_command_line_loads_nothing_heavy():
    assert not {"torch", "pandas", "matplotlib", "hydra", "numpy", "rich"} & loaded_by("import cli.main")


@pytest.mark.parametrize(
    "module",
    [
        "store.studies",
        "analysis.summary",
        "analysis.configuration_findings",
        "plotting.image_files",
        "reports.study_report",
        "reports.claims_report",
        "figures.gradient_flow",
        "catalogue.choices",
    ],
)
def test_what_reads_the_csv_files_does_without_torch(module):
    assert "torch" not in loaded_by(f"import experiments.{module}")


def test_no_production_module_imports_unittest():
    root = Path(__file__).parents[1]
    modules = [path for folder in ("cli", "experiments", "models") for path in (root / folder).rglob("*.py")]
    for path in [root / "bptt_start.py", *modules]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.partition(".")[0] == "unittest" for name in names), path


def test_the_public_keys_are_there():
    def flat(values, prefix=""):
        for key, value in values.items():
            yield prefix + key
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")

    options = ["cell=lstm", "init=orthogonal", "clip=norm"]
    keys = set(flat(compose(options).model_dump())) | set(flat(compose([]).model_dump()))
    assert keys >= {
        *("cell", "cell.nonlinearity", "cell.forget_bias", "init", "init.gain", "model.hidden_size"),
        *("model.num_layers", "task", "task.length", "clip", "clip.threshold", "optimizer", "optimizer.lr"),
        *("batch_size", "steps", "seed", "dtype", "device", "record.every", "record.windows", "study", "results_dir"),
    }


def test_the_public_columns_are_there(tmp_path):
    public = {
        "metrics": ("step", "loss", "grad_norm", "clipped_grad_norm", "clip_scale", "lr"),
        "evaluation": ("step", "loss", "error", "solved", "chance_loss", "chance_error"),
        "gradients": ("step", "layer", "state", "timestep", "lag", "grad_norm"),
        "contributions": ("step", "parameter", "first_timestep", "last_timestep", "grad_norm", "share"),
        "parameters": (
            *("step", "parameter", "grad_norm", "weight_norm", "update_norm", "spectral_radius", "sigma_max"),
        ),
        "gates": (
            *("step", "layer", "gate", "timestep", "mean", "std", "saturated_low", "saturated_high"),
            *("marked", "mean_marked", "mean_unmarked"),
        ),
        "activations": ("step", "layer", "state", "timestep", "mean", "std", "rms", "saturated"),
        "jacobian": (
            *("layer", "timestep", "lag", "log10_sv_max", "log10_sv_mean", "log10_sv_min", "mean_squared_sv"),
        ),
        "lyapunov": ("layer", "index", "exponent"),
        "data_lags": ("lag", "column", "dependence", "bound", "rows"),
    }
    for name, columns in public.items():
        assert COLUMNS[name][: len(columns)] == columns
    assert set(
        summarize_runs([Run(tmp_path, {}, {"status": "running", "timesteps": 1, "readout_steps": 1, "parameters": 1})])[
            0
        ]
    ) >= {
        *("final_loss", "best_error", "solved", "solved_at_step", "diverged_at_step", "gain_per_timestep"),
        *("gain_at_init", "horizon", "max_grad_norm", "clipped_fraction", "parameters", "seconds"),
    }
