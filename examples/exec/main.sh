#!/bin/sh
# One process a call: the payload comes on stdin (and in $1 while it is short), what goes to stdout
# is the result, what goes to stderr is the log. Try: magpie invoke exec -d magpie

payload=$(cat)
echo "greeting ${payload:-world}" >&2
echo "Hello, ${payload:-world}!"
