"""Many runs: grids, searches and replays, and the workers that make them."""
