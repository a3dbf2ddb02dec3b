"""The forwardpass server. Start reading at `app.py`."""
