"""All checks of `area-supervisor doctor`, in their order: each needs only those before it."""

from service.diagnosis import (
    configuration,
    deployment,
    engine_checks,
    history_check,
    leftovers,
    process_checks,
)

CHECKS = [
    *configuration.CHECKS,
    *engine_checks.CHECKS,
    *deployment.CHECKS,
    *process_checks.CHECKS,
    *history_check.CHECKS,
    *leftovers.CHECKS,
]
