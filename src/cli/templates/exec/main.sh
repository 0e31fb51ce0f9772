#!/bin/sh
# One process a call: the payload comes on stdin, what is printed is the result, and what goes to
# stderr is the log.
payload=$(cat)
echo "greeting ${payload:-world}" >&2
echo "Hello, ${payload:-world}!"
