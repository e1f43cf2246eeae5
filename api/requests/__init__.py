"""One request on its way: permission, transaction, idempotency, threads, refusals, paging, and what is around all."""
