"""Optional packages: the command that installs an extra of pyproject.toml."""

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires


def how_to_install(extra: str) -> str:
    """A pip command that installs an extra. It names the packages, since bptt itself is not on PyPI."""
    try:
        required = requires("bptt") or []
    except PackageNotFoundError:
        return f"pip install '.[{extra}]' in the checkout of bptt"
    packages = [need.partition(";")[0].strip() for need in required if re.search(rf"extra == ['\"]{extra}['\"]", need)]
    return f"pip install {shlex.join(packages)}"
