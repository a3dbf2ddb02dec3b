"""The forms in which a spec is read and written: JSON, messages, safetensors, and nodes by name."""
