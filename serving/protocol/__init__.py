"""The Open Inference Protocol (V2) and the older V1, in the order in which a request flows.

v2.py          the routes of V2: health, readiness, the models, `infer`
direct.py      answers plain V2 requests before Flask sees them
inference.py   answers one V2 request: bytes in, bytes out
v1.py          the routes of V1: the models, `predict`
repository.py  the routes that list models, as V2's and Triton's clients ask
tensors.py     parses a V2 request into arrays, from JSON and from binary form
signature.py   describes a pipeline's inputs and outputs, and turns arrays and JSON objects into its records
outputs.py     chooses the outputs that a V2 request wants, and encodes them, in JSON and in binary form
"""
