"""`python -m producer digits` is `streamlearn replay digits`."""

from streamlearn.cli.replay import replay

if __name__ == "__main__":
    replay()
