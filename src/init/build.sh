#!/bin/sh
# usage: build.sh COMPILER INCLUDE-DIR OUTPUT DEPFILE SOURCE...
# One compiler call for all of magpie-init: it is small, and the optimizer sees it whole.
set -eu
compiler=$1 include=$2 output=$3 depfile=$4
shift 4

# -MD with several sources would write one file after the other into the same place.
"$compiler" -std=gnu17 -D_GNU_SOURCE -I"$include" -MM -MT "$output" "$@" |
        sed -e '/^[^ ]*:/s/^[^:]*://' | tr -d '\\\n' | sed -e "s|^|$output:|" >"$depfile"

exec "$compiler" -std=gnu17 -D_GNU_SOURCE -I"$include" -static -Os -flto -s \
        -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wswitch-enum -Wvla -Wformat=2 \
        -fstack-protector-strong -fno-strict-aliasing -ftrivial-auto-var-init=zero \
        -ffunction-sections -fdata-sections -Wl,--gc-sections \
        -o "$output" "$@"
