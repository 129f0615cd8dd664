import pytest

from tests.e2e.sweeps import Sweep


@pytest.fixture
def sweep(tmp_path, warm):
    """Start a sweep; nothing of it is left when the test is over."""
    sweeps = []

    def begin(*arguments, before=None, **options):
        sweeps.append(Sweep(tmp_path, *arguments, before=before, warm=None if before else warm, **options))
        return sweeps[-1]

    yield begin
    for one in sweeps:
        one.kill(*one.processes())
        one.end()
