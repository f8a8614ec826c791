"""`python -m producer digits` is `streamlearn replay digits`."""

from producer.commands import replay

if __name__ == "__main__":
    replay()
