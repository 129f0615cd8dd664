"""bptt check"""

import json
import tempfile
from pathlib import Path

import typer

from cli.commands.watch import Script, read_script, run_script
from cli.errors import one_line_errors
from cli.printing import print_wrapped


@one_line_errors
def check(script: Script) -> None:
    """Run your own training script up to its first backward pass and check the gradient, then end the script.

    The gradient of each timestep is compared with finite differences in float64. Also looked for: detached and reset
    states, inputs that do not reach the loss, padding that takes part, and a sample with most of the gradient. The code
    between the first call of the model and the backward pass runs once for each comparison, on the CPU. The exit code
    is 0 if no fault is found, 1 if one is, 2 if nothing could be checked, and that of the script if it fails before.

    Example: bptt check -- train.py --lr 0.01
    """
    from experiments.errors import UsageError

    is_module, name, arguments = read_script(script)
    with tempfile.TemporaryDirectory() as place:
        told = Path(place) / "told.json"
        task = {"begin": "script_check", "module": is_module, "script": name, "told": str(told)}
        code = run_script(task, arguments)
        found = json.loads(told.read_text()) if told.exists() else {}
    if "findings" in found:
        for layer, sentence, is_fault in found["findings"]:
            print_wrapped(f"{'fault' if is_fault else 'checked'}: {layer}: {sentence}")
        raise typer.Exit(int(any(is_fault for *_, is_fault in found["findings"])))
    if code:
        raise typer.Exit(code)
    raise UsageError(f"{name}: {found.get('error', 'made no backward pass through a recurrent layer')}")
