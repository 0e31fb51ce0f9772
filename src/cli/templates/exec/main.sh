#!/bin/sh
# One process a call: the payload comes on stdin, what is printed is the result.
payload=$(cat)
echo "Hello, ${payload:-world}!"
