"""What holds for every test: no time limit of Hypothesis, for a loaded machine is slow and not wrong.

Without this an example that takes 200 ms fails, and so does a strategy that is slow to generate. Where CI is set,
Hypothesis has these off by itself, and draws the same examples each time; that stays so.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("quartet", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quartet")
