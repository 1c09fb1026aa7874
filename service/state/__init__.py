"""What is kept in memory: live jobs, idempotency keys, readiness, launches and their limits."""
