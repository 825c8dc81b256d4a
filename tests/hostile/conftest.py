"""Longer runs by hand: ``pytest tests/hostile/test_state_machine.py --hypothesis-profile=long``."""

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)

settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=SLOW_IS_FINE)
