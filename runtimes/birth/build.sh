#!/bin/sh
# usage: build.sh COMPILER INCLUDE-DIR OUTPUT DEPFILE SOURCE...
# Apart from the project's own flags: the interpreter that loads it has no sanitizer.
set -eu
compiler=$1 include=$2 output=$3 depfile=$4
shift 4

# -MD with several sources would write one file after the other into the same place.
"$compiler" -std=gnu17 -D_GNU_SOURCE -I"$include" -MM -MT "$output" "$@" |
        sed -e '/^[^ ]*:/s/^[^:]*://' | tr -d '\\\n' | sed -e "s|^|$output:|" >"$depfile"

# No stack protector: between two processes the stack changes under a running function.
exec "$compiler" -std=gnu17 -D_GNU_SOURCE -I"$include" -shared -fPIC -O2 -s \
        -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wswitch-enum -Wvla -Wformat=2 \
        -fvisibility=hidden -fno-stack-protector -fno-strict-aliasing -Wl,-z,relro -Wl,-z,now \
        -o "$output" "$@"
