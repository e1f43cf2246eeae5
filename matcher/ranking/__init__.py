"""From a need to its ranked, explained labs: features, order, reasons, and the matcher that a server keeps.

In: an opened index and the records of one moment. Out: answers to "which labs for this need", "which needs for this
lab" and "which labs for these words". Nothing here writes to the database or knows what people decide about an
answer.
"""
