import pytest

from experiments.training import loop
from experiments.training.run import run


@pytest.fixture
def cut_off(monkeypatch):
    """Run, and interrupt the run in the middle of a step."""

    def cut_off_at(config, step, error=KeyboardInterrupt):
        left = step

        def failing(*arguments, **options):
            nonlocal left
            left -= 1
            if not left:
                raise error
            return backpropagate(*arguments, **options)

        backpropagate = loop.backpropagate
        with monkeypatch.context() as patch:
            patch.setattr(loop, "backpropagate", failing)
            if error is KeyboardInterrupt:
                with pytest.raises(KeyboardInterrupt):
                    run(config)
            else:
                assert run(config).status == "failed"

    return cut_off_at
