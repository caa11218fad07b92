"""Simulated providers: real HTTP servers on loopback with the real wire formats, token timing, and faults on command.

What they say is invented, and nothing hides that: their models are called `simulated…`, and every answer's headers,
fingerprint and system name say so. They are what the demonstration, the proof and the tests run on.
"""
