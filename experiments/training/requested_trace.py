"""The trace of a step that a measure asks for although the step was not due to be recorded, such as a spike."""

from collections.abc import Mapping

from experiments.measures.measure import Measure, check_rows
from experiments.remedies import Remedy
from experiments.store.csv_writer import CsvWriter
from experiments.tasks.task import Batch, Task
from experiments.training.backpropagation import Start, backpropagate
from models.network import RecurrentNetwork
from models.trace import cut


def answer_requests(
    asking: Mapping[Measure, CsvWriter],
    step: int,
    norm: float,
    start: Start,
    network: RecurrentNetwork,
    task: Task,
    batch: Batch,
    remedy: Remedy,
    *,
    overflowed: bool,
) -> None:
    """Trace a step at every timestep if a measure wants that, and write the measure's rows.

    The batch is backpropagated once more, with the same random numbers. The gradients of the parameters stay the
    tensors that they were.

    Args:
        asking: Measures that may ask, each with its table.
        step: Number of the step.
        norm: Norm of the gradient of all parameters.
        start: What the step's own pass started from.
        network: Network, with its gradients.
        task: Task that computes the loss.
        batch: Batch of the step.
        remedy: Remedy whose penalties are added to the loss.
        overflowed: Whether a nan in the trace means a value beyond the range of the dtype.
    """
    wanted = {measure: table for measure, table in asking.items() if measure.wants(norm)}
    if not wanted:
        return
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    length = len(batch.inputs)
    try:
        with start.again():
            windows = cut(length, length)
            trace = backpropagate(network, task, batch, remedy=remedy, windows=windows, overflowed=overflowed).trace
            assert trace is not None
            for measure, table in wanted.items():
                table.append(check_rows(measure, measure.on_request(step, network, batch, trace)))
    finally:
        for name, parameter in network.named_parameters():
            parameter.grad = gradients[name]
