"""The sentences that the pages' scripts show, in English; the script fills in each `%(name)s`.

Those of verdicts are in `streamlearn/operations/verdict.py`.
"""


def _(text: str) -> str:
    """Mark a text for translation; it is translated when a page is rendered."""
    return text


WORDS = {
    "lost": _("The server does not answer; trying again …"),
    "noModel": _("No model has been learned yet; waiting for the first …"),
    "served": _(
        "Version %(version)s is served, the newest that can be read, written %(age)s ago; %(samples)s records"
        " scored."
    ),
    "pinned": _(
        "Version %(version)s is served because it is pinned; learning goes on. %(samples)s records scored."
    ),
    "away": _("%(part)s does not answer; what depends on it is not updated."),
    "up": _("answers"),
    "down": _("does not answer"),
    "running": _("running"),
    "job": _("The Flink job is not running (%(state)s); nothing is learned until it runs again."),
    "noJob": _("Flink has no job for this pipeline; to learn, submit one: streamlearn train %(pipeline)s"),
    "trouble": _("Learning or serving is held up: %(reason)s"),
    "seconds": _("%(n)s s"),
    "minutes": _("%(n)s min"),
    "hours": _("%(n)s h"),
    "days": _("%(n)s days"),
    "drawFirst": _("Draw something first."),
    "drawHint": _("Draw with the mouse, a finger or a pen, or with the arrow keys."),
    "answered": _("Version %(version)s says %(digit)s, with a probability of %(share)s."),
    "again": _("Version %(version)s, which has learned it, says %(digit)s, with a probability of %(share)s."),
    "picture": _("The 8 by 8 picture that the model saw"),
    "sending": _("Sending %(digit)s to the stream …"),
    "sent": _("It is in the stream at offset %(offset)s; waiting for a version that has learned it …"),
    "learned": _("Version %(version)s has learned it after %(seconds)s s, and is now served."),
    "notYet": _(
        "The record at offset %(offset)s is stored, but no version has learned it within %(seconds)s s."
    ),
    "moved": _("The probability of %(digit)s went from %(before)s to %(after)s."),
    "badDrawing": _("The drawing cannot be read; clear it and draw again."),
    "tooMany": _("Too many requests; try again in a moment."),
    "feedbackOff": _("Feedback is switched off on this server."),
    "unauthorized": _("Feedback needs this server's token: enter it below, then try again."),
    "brokerAway": _("Kafka does not answer, so the feedback was not saved; try again in a moment."),
    "penDown": _("Pen down."),
    "penUp": _("Pen up."),
    "cleared": _("Cleared."),
    "model": _("the model"),
    "measured": _("measured"),
    "forecast": _("forecast"),
    "low": _("low (10 %)"),
    "high": _("high (90 %)"),
    "persistence": _("persistence"),
    "the commonest label": _("the commonest label"),
    "the last value": _("the last value"),
    "accuracy": _("accuracy"),
    "rmse": _("error (RMSE)"),
    "score": _("score"),
    "colon": _(": "),
    "offset": _("offset"),
    "version": _("version"),
    "step": _("step"),
    "time": _("time"),
    "fromStart": _("the start of the lineage"),
    "nothingToShow": _("Nothing to show yet."),
    "reading": _("It is being read …"),
    "outlook": _("Measured at %(ts)s: %(value)s. Forecast for %(ahead)s later: %(forecast)s."),
    "pastHigh": _(
        "%(ahead)s ahead, half of the last %(n)s forecasts were off by at most %(half)s. The worst, for"
        " %(time)s, was %(most)s too high."
    ),
    "pastLow": _(
        "%(ahead)s ahead, half of the last %(n)s forecasts were off by at most %(half)s. The worst, for"
        " %(time)s, was %(most)s too low."
    ),
    "noPast": _("No forecast %(ahead)s ahead can be compared with what came yet."),
    "range": _("The shaded range is made to hold the true value of 8 in 10 forecasts like these."),
    "curve": _("Latest: %(value)s; %(baseline)s: %(baseline_value)s; over the last %(window)s."),
    "worst": _("The worst that is shown: %(value)s, at %(place)s."),
    "worstAt": _("The worst that is shown: %(value)s, at %(label)s %(place)s."),
    "fell": _("It was worse than %(halfway)s from %(label)s%(from)s until %(until)s."),
    "fellSince": _("It is worse than %(halfway)s since %(label)s%(from)s."),
    "isServed": _("%(version)s, served"),
    "whole": _("Now: %(value)s, over %(window)s."),
    "wholeWithBaseline": _("Now: %(value)s; %(baseline)s: %(baseline_value)s; over %(window)s."),
    "lag": _("lag (%(unit)s); above 0 the driver leads"),
    "above": _("+2/√n"),
    "below": _("−2/√n"),
    "alsoLeads": _("Among the lags at which it leads, %(steps)s stands out."),
    "ago": _("%(time)s ago"),
    "leads": _("it leads by %(steps)s"),
    "follows": _("it follows by %(steps)s"),
    "sameStep": _("in the same step"),
    "largest": _("%(driver)s: r is largest where %(where)s, r = %(r)s; %(n)s steps."),
    "noLead": _("none"),
    "tooFewSteps": _("%(driver)s: too few steps have come yet, or it never changes."),
    "noNumber": _("%(field)s: %(value)s is not a number."),
    "wrongLength": _("%(field)s needs %(length)s elements, not %(n)s."),
    "ahead": _("%(steps)s ahead"),
    "says": _("Version %(version)s says:"),
    "pinnedNow": _("Version %(version)s is served until you choose the newest again; learning goes on."),
    "unpinnedNow": _("The newest version is served again."),
    "rollbackSure": _(
        "Let learning go on from version %(version)s? What was learned since is no longer used."
        " You can go back to a later version in the same way."
    ),
    "rollingBack": _("Sending the order to learn on from version %(version)s …"),
    "rolledBack": _("Learning goes on from version %(version)s."),
    "rollbackWaits": _(
        "The order is in the stream; the job will learn on from version %(version)s when it gets there."
    ),
    "tokenKept": _("The token is used until you close this tab; choose again."),
    "resetZoom": _("Show all again"),
    "zoomHint": _("Drag over a part to see it larger."),
    "stretch": _("%(from)s to %(to)s. What is looked at, the newest 5,000 answers, begins %(age)s ago."),
    "newest": _("the newest"),
    "label": _("label"),
    "recall": _("recall"),
    "confused": _(
        "%(right)s of the newest %(n)s predictions are right. The commonest mistake: %(truth)s taken for"
        " %(prediction)s, %(count)s of %(of)s times."
    ),
    "notConfused": _("All of the newest %(n)s predictions are right."),
    "pace": _("Now: %(rate)s a second; at most %(most)s."),
    "perSecond": _("records per second"),
    "median": _("half of the answers within"),
    "slow": _("95 of a hundred within"),
    "secondsAxis": _("seconds"),
    "delays": _(
        "Of the newest %(n)s answers half were written within %(median)s of their record, 95 of a hundred"
        " within %(slow)s."
    ),
    "waitingAxis": _("records waiting"),
    "waiting": _("Now: %(now)s; at most %(most)s."),
    "kindNew": _("come for the first time"),
    "kindRepeated": _("came before"),
    "kindFeedback": _("are feedback"),
    "kindsWhole": _("Of all %(n)s records that Kafka holds."),
    "kindsPart": _(
        "Of the newest answers. Whether a record came before is looked up in %(n)s records, the newest and"
        " the oldest; one from between seems new."
    ),
    "right": _("right"),
    "calibration": _(
        "Probabilities are %(points)s points away from the share that is right, on average (expected"
        " calibration error %(ece)s). Version %(version)s was asked about the %(n)s records that came after"
        " it, which it had not learned."
    ),
    "shift": _(
        "Of %(n)s fields %(much)s moved much, %(some)s some, %(little)s little: the newest %(now)s records"
        " against the oldest %(then)s."
    ),
    "shiftHour": _(
        "Of %(n)s fields %(much)s moved much, %(some)s some, %(little)s little: the newest %(now)s records"
        " against the last %(then)s of an hour ago."
    ),
    "noLetters": _("None lately: every record could be read."),
    "noEvents": _("Nothing lately: no restart, roll-back, pin, feedback or change of a setting."),
    "shiftNone": _("Too few records have come yet to compare."),
    "shiftNoHour": _("Kafka holds too few records that are older than an hour, or none has come since."),
    "shiftMore": _("Shown are the %(n)s fields that moved most."),
    "shiftLeftOut": _("Not compared, since nearly each record has a value of its own: %(names)s."),
    "moved_little": _("little"),
    "moved_some": _("some"),
    "moved_much": _("much"),
    "eventRestart": _("the job's worker started again"),
    "eventDropped": _("the job's worker started again, and rolled versions back"),
    "eventRollback": _("the model went back to version %(version)s, as a control record asked"),
    "eventSetting": _("a setting was changed by a control record"),
    "eventPin": _("version %(version)s was pinned"),
    "eventUnpin": _("the pin was taken off"),
    "eventFeedback": _("feedback came"),
    "records": _("%(n)s records"),
    "steps": _("%(n)s steps"),
    "summaryRows": _("%(n)s rows; the newest was written %(age)s ago."),
}
