"""Streamlearn measured beside other methods. Runs in a checkout only: the installed package leaves it out.

__main__.py       `scripts/bench NAME`
everything.py     `scripts/bench all`, and the page of results
measuring.py      turns, CPU time of processes, tables, JSON, plots: what the others share
servers.py        starts a stack, a server, a Redis
engine.py         what learning and verifying cost, in memory
learn.py          the digits' job from a backlog, beside others
scaling.py        four partitions beside one
verifying.py      `verify` and learning again, beside the live job
serving.py        `infer` beside a constant; http_load.py sends the requests
fresh.py          how soon a record is learned and answered
recovery.py       a part's death, and a start
resources.py      memory and disk over millions of records; processors at rest
peers             what it is measured beside
studies           what is tried without a stack, to choose by
pm25_lstm         LSTMs and the pipeline `pm25`, an hour ahead: `streamlearn baseline`
"""
