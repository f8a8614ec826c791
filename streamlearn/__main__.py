"""`python -m streamlearn` is the command `streamlearn`."""

from streamlearn.cli.main import main

if __name__ == "__main__":
    main(prog_name="streamlearn")
