"""`python -m kiosk` is `stayby`."""

from kiosk.cli import app

if __name__ == "__main__":
    app(prog_name="stayby")
