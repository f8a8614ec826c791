"""The pages: rendered by the server, then kept up to date by one message a second.

watch.py      polls Kafka, Redis and Flink for one pipeline while somebody watches it
views.py      a watch → the message that the pages' scripts show
feed.py       messages → server-sent events, made once for all watchers
words.py      the sentences that the scripts show, in English
language.py   chooses English or Chinese for a request, and translates
locales/      the translations, as gettext catalogues
quality.py    how good stream and answers are lately, and what happened
overview.py   a line for every pipeline, with its verdict
records.py    the newest answers and dead letters as rows, and one record
pictures.py   a record's picture, as an image for a page
versions.py   versions and lineages side by side
summary.py    what the page of summaries draws, and which pipelines have any
forms.py      a form for one record of any pipeline
routes.py     the pages, and `/live/<pipeline>`, where their messages come from
"""
