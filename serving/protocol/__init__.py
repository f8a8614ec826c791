"""The Open Inference Protocol (V2) and the older V1, in the order in which a request flows.

v2.py          the routes of V2: health, readiness, the models, `infer`
v1.py          the routes of V1: the models, `predict`
tensors.py     parses a V2 request into arrays, and encodes a response of arrays, in JSON and in binary form
signature.py   describes a pipeline's inputs and outputs, and turns arrays and JSON objects into its records
"""
