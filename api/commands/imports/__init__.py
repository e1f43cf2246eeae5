"""What `gloria import` does: lists of an office, and files of registers.

In: paths and what was said of them. Out: stored records, and what is told of it.
"""
