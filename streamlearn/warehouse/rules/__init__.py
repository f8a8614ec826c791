"""Rules: one stream split into many, by conditions in SQL that change while it runs.

conditions.py  a condition in SQL, evaluated on one record
book.py        the rules and their history: which rules count for a record, by where it stands
log.py         the topic `streamlearn.rules`, in which every change stands
changes.py     adding and removing a rule, and the topics that rules write
router.py      where a record goes, as the job asks
"""
