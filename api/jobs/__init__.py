"""Long work: jobs as rows with leases, and the worker that carries them out."""
