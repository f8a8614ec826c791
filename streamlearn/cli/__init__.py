"""The command `streamlearn`.

main.py      the group, which collects the commands of the modules below
targets.py   what a command is about: the pipeline, the stack
terminal/    help, tables, progress and completion
stack.py     `up`, `down`, `status`, `chaos`; `container` for docker-compose.yml
replay.py    `replay`: send a data set into its topic
train.py     `train`, `reset`: begin, continue or end learning
serve.py     `serve`: the models over HTTP
models.py    `models`: versions, pins, rollbacks, lags
verify.py    `verify`: repeat the learning offline, and compare
offline.py   `init`, `check`, `evaluate`: without Kafka, Flink and Redis
history/     `backtest`, `backfill`, `repair`: records that are there, learned in another way
lags.py      `lags`: which series leads which
report.py    `report`: a page about a pipeline's answers
warehouse/   `topics`, `sql`, `accept`: the catalogue of topics, and SQL on them
baseline.py  `baseline`: the LSTM that pm25 is compared with
"""
