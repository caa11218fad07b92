"""Breaking what FrontRow stands on in the middle of a stampede: `faults` does it, `trials` strikes and judges."""
