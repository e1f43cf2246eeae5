"""The map of the field: the places that are kept, and their drawing from the vectors of an index."""
