"""The index: what a search reads, built from records and vectors, published whole, opened only if intact.

In: passages, their vectors and terms. Out: generations on disk, and the snapshot that each is in memory once it was
opened. Only `vectors` knows FAISS, only `words` bm25s.
"""
