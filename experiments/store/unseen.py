"""What a watch did not see of a user's training, in words."""

from collections.abc import Mapping
from typing import Any


def say_unseen(info: Mapping[str, Any]) -> str:
    """Say which layers of a watched run were not seen, and why; empty if all were, and for runs of other kinds.

    Args:
        info: Content of run.json.
    """
    reasons = dict(info.get("not_seen") or {})
    misplaced = reasons.pop("watch.step", None)
    named = [f"watch.step: {misplaced}"] if misplaced else []
    if reasons:
        named.append("not seen: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()))
    said = "; ".join(named)
    return f"no layer was seen ({said.removeprefix('not seen: ')})" if said and not info.get("timesteps") else said
