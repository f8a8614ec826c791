"""digits_sgd: the digits once more, by the tutorial's linear classifier.

It answers the records of the topic `handwritten_digit` in a topic of its own, beside digits or without it.
The stack runs it only where it is named: `streamlearn.pipelines.digits_sgd:pipeline`.
"""

from dataclasses import replace

from streamlearn.pipelines import digits

pipeline = replace(digits.first, name="digits_sgd", prediction_topic="digit_sgd_predict")
