"""A researcher's own lab: works handed in, and what it would be found for."""
