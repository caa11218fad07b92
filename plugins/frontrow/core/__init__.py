"""What FrontRow decides, as functions of their arguments: no Trio, no I/O, no clock, no randomness."""
