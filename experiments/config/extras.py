"""Optional packages: the command that installs what an extra of pyproject.toml needs."""

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires


def how_to_install(extra: str) -> str:
    """A pip command that works wherever bptt came from: it names the packages, since bptt itself is in no index."""
    try:
        required = requires("bptt") or []
    except PackageNotFoundError:
        return f"pip install '.[{extra}]' in the checkout of bptt"
    packages = [need.partition(";")[0].strip() for need in required if re.search(rf"extra == ['\"]{extra}['\"]", need)]
    return f"pip install {shlex.join(packages)}"
