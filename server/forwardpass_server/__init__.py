"""The server: how the promise is kept. Start reading at `app.py`."""
