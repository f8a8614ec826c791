"""The pages: drawn by the server, kept up to date by one message a second.

watch.py      looks at a pipeline's stream for as long as somebody watches
views.py      what was seen → the message that the pages' scripts show
feed.py       messages as server-sent events, made once for all who watch
routes.py     the pages, and where their messages come from
language.py   English and Chinese: which one, and its texts
words.py      the sentences that the scripts say
locales/      the translations, as gettext catalogues
"""
