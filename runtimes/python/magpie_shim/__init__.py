"""The python3 shim: speaks the worker protocol on descriptor 3 and calls the user's handler."""
