#!/bin/sh
# A shell script as a function: the payload is on stdin, the result goes to stdout.
read -r line || [ -n "$line" ]
printf %s "$line"
