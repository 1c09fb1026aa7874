"""All checks of `area-supervisor doctor`, in their order: each needs only those before it."""

from service.diagnosis import (
    configuration,
    deployment,
    engine_checks,
    leftovers,
    process_checks,
)

CHECKS = [
    *configuration.CHECKS,
    *engine_checks.CHECKS,
    *deployment.CHECKS,
    *process_checks.CHECKS,
    *leftovers.CHECKS,
]
