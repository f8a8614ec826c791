"""The pages: rendered by the server, then kept up to date by one message a second.

watch.py      polls Kafka, Redis and Flink for one pipeline while somebody watches it
views.py      a watch → the message that the pages' scripts show
feed.py       messages → server-sent events, made once for all watchers
words.py      the sentences that the scripts show, in English
language.py   chooses English or Chinese for a request, and translates
locales/      the translations, as gettext catalogues
routes.py     the pages, and `/live/<pipeline>`, where their messages come from
"""
