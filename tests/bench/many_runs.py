"""Benchmark of commands that read a study of many finished runs: `make bench`.

The study is synthetic. Each run is a copy of one real run, with the configuration of a point of a grid and randomly
scaled gradient norms, so no two runs are the same. Each command runs in its own process. The table shows its run time
and its peak memory.
"""

import argparse
import csv
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from experiments.config.composing import compose, from_saved
from experiments.store.integrity import CONFIG, content_of
from experiments.training.run import run

SMALL = ["task.length=50", "model.hidden_size=8", "steps=100", "record.every=10", "record.evaluate_samples=50"]
LENGTHS, GAINS = (50, 100, 200, 400), tuple(round(0.1 * i, 1) for i in range(5, 25))


def make_study(results_dir: Path, number: int) -> Path:
    """Make a study of `number` runs with four lengths, twenty gains, and as many seeds as needed."""
    one = run(compose([*SMALL, "init=orthogonal", f"results_dir={results_dir / 'one'}"])).folder
    config = yaml.safe_load((one / ".hydra" / "config.yaml").read_text())
    info = json.loads((one / "run.json").read_text())
    tables = {path.name: path.read_text() for path in one.glob("*.csv")}
    values = random.Random(0)
    points = ((seed, length, gain) for seed in itertools.count() for length in LENGTHS for gain in GAINS)
    for seed, length, gain in itertools.islice(points, number):
        config["seed"], config["task"]["length"], config["init"]["gain"] = seed, length, gain
        config |= {"results_dir": str(results_dir), "study": {"name": "many"}}
        folder = from_saved(config).run_folder
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False))
        for name, text in tables.items():
            (folder / name).write_text(text if name != "gradients.csv" else _scaled(text, values))
        files = {name: content_of(folder / name)._asdict() for name in (CONFIG, *tables)}
        (folder / "run.json").write_text(
            json.dumps({**info, "run_id": folder.name, "seed": seed, "files": files}, indent=2)
        )
    return results_dir / "many"


def _scaled(text: str, values: random.Random) -> str:
    """gradients.csv with norms that shrink or grow with the lag."""
    gain = values.uniform(0.8, 1.1)
    rows = list(csv.DictReader(text.splitlines()))
    for row in rows:
        row["grad_norm"] = repr(float(row["grad_norm"]) * gain ** int(row["lag"]))
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows), ""])


def cost(*command: str) -> tuple[float, float]:
    """Run time in seconds and peak memory in GiB of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return time.perf_counter() - began, used.ru_maxrss / 2**20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder in which to make the study and keep it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        study = str(folder / "many" if (folder / "many").exists() else make_study(folder, arguments.runs))
        bptt = str(Path(sys.executable).with_name("bptt"))
        imports = "from pathlib import Path; from experiments.analysis.summary import write_summary"
        summarize = f"{imports}; write_summary(Path({study!r}))"
        print(f"| {arguments.runs} runs | seconds | GiB |\n| --- | ---: | ---: |")
        for name, command in {
            "status": (bptt, "status", study),
            "summary": (sys.executable, "-c", summarize),
            "plot": (bptt, "plot", study),
        }.items():
            seconds, memory = cost(*command)
            print(f"| {name} | {seconds:.1f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
