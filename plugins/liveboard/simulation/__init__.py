"""The board in a network that is as bad as one likes, simulated: a seed is a run, and the same run each time."""
