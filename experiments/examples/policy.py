"""A recurrent policy that learns in chunks, for `bptt watch -- policy.py`: it recalls which way it was told to go.

In each of 16 corridors, the first observation says left or right. The observations after it are noise. Each step in the
right direction is rewarded with 1. The state goes on from chunk to chunk, detached, so the gradient reaches back over
one chunk at most.
"""

import argparse

import torch
from torch import nn

CORRIDORS, LENGTH, CHUNK = 16, 24, 8


class Policy(nn.Module):
    """A GRU and the logits of two actions."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 16)
        self.readout = nn.Linear(16, 2)

    def forward(self, seen: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (time, corridor, action) and the state after the chunk."""
        output, state = self.gru(seen, state)
        return self.readout(output), state


def main() -> None:
    """Learn from --episodes episodes by REINFORCE, one update for each chunk."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=20)
    episodes = parser.parse_args().episodes
    torch.manual_seed(0)
    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    for episode in range(1, episodes + 1):
        goal = torch.randint(2, (CORRIDORS,))
        seen = 0.1 * torch.randn(LENGTH, CORRIDORS, 2)
        seen[0] = nn.functional.one_hot(goal, 2).float()
        state, total = None, 0.0
        for chunk in seen.split(CHUNK):  # type: ignore[no-untyped-call]
            logits, state = policy(chunk, state)
            actions = torch.distributions.Categorical(logits=logits)
            taken = actions.sample()  # type: ignore[no-untyped-call]
            rewards = (taken == goal).float()
            loss = -(actions.log_prob(taken) * (rewards - 0.5)).mean()  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state, total = state.detach(), total + float(rewards.sum())
        if episode % 10 == 0:
            print(f"episode {episode} reward {total / rewards[0].numel() / LENGTH:.3f} a step")


if __name__ == "__main__":
    main()
