"""Streamlearn measured beside other methods. Runs in a checkout only: the installed package leaves it out.

engine.py   what learning and verifying cost, in memory: `scripts/bench engine`
pm25_lstm   LSTMs and the pipeline `pm25`, an hour ahead: `streamlearn baseline`
"""
