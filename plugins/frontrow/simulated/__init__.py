"""A payment provider that is none: it moves no money, says so wherever it is seen, and can be told to misbehave."""
