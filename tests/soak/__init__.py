"""All four plugins of one host under load while things are broken at random, and every promise checked at the end.

`house` is the host as a process, `visitors` and the modules named after plugins are the load, `faults` break things,
`health` watches the process, `run` puts them together and judges, `report` writes it down.
"""
