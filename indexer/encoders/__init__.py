"""From texts to vectors: the encoders, the weights that come with them, and the memory of what was encoded.

In: texts. Out: unit vectors, from whichever encoder the settings name, kept so that no text is encoded twice. Only
`transformer_encoder` knows torch.
"""
