# shellcheck shell=bash
# What the developer's scripts share: speaking, becoming root, installing what is missing.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${CI:-}" ]; then
        bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'
else
        bold='' red='' plain=''
fi

say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }
die() {
        printf '%s%s%s\n' "$red" "$*" "$plain" >&2
        exit 1
}

as_root() {
        if [ "$(id -u)" = 0 ]; then
                "$@"
        elif command -v sudo >/dev/null; then
                sudo "$@"
        else
                die "this needs root, and there is no sudo: run it as root: $*"
        fi
}

# The same, as the last thing that a script does: a signal for the script is a signal for it.
exec_as_root() {
        if [ "$(id -u)" = 0 ]; then exec "$@"; fi
        command -v sudo >/dev/null || as_root "$@"
        exec sudo "$@"
}

# Debian's packages, by what they are needed for.
packages_for() {
        case $1 in
        build)
                echo gcc libc6-dev musl-tools meson ninja-build pkg-config check \
                        libsodium-dev libssl-dev libsqlite3-dev libarchive-dev libseccomp-dev \
                        libcjson-dev libyaml-dev libcurl4-openssl-dev
                ;;
        run) echo python3 curl skopeo nftables ;;
        test)
                echo g++ clang libclang-rt-14-dev python3-pytest python3-pytest-timeout procps \
                        iproute2 conntrack qemu-system-x86 cpio docker-registry zstd util-linux \
                        cmake make autoconf automake libtool openssl chromium
                ;;
        lint) echo clang clang-format clang-tidy cppcheck shellcheck pyflakes3 git ;;
        clang) echo clang libclang-rt-14-dev llvm ;;
        coverage) echo gcovr ;;
        bench)
                echo wrk nghttp2-client hey nginx-light uwsgi-core uwsgi-plugin-python3 bubblewrap \
                        runc crun docker-registry
                ;;
        *) die "no package list is called '$1'" ;;
        esac
}

# The sandbox runs /usr/bin/node: one that is there may be newer than Debian's own.
node_is_there() {
        local version
        version=$(/usr/bin/node --version 2>/dev/null) || return 1
        version=${version#v}
        [ "${version%%.*}" -ge 18 ]
}

missing_packages() {
        local package
        for package in "$@"; do
                [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                        echo "$package"
        done
}

apt_install() {
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
                -o DPkg::Lock::Timeout=300 "$@"
}

# need PURPOSE...: at once, and without the network, where everything is there already.
need() {
        local wanted=() purpose missing log=build/apt.log
        for purpose in "$@"; do
                read -ra wanted <<<"${wanted[*]} $(packages_for "$purpose")"
                if [ "$purpose" = run ] && ! node_is_there; then wanted+=(nodejs); fi
                if [ "$purpose" = test ] && ! command -v npm >/dev/null; then wanted+=(npm); fi
        done
        mapfile -t missing < <(missing_packages "${wanted[@]}")
        if [ ${#missing[@]} = 0 ]; then return 0; fi

        say "installing ${missing[*]}"
        mkdir -p build
        if ! apt_install "${missing[@]}" >"$log" 2>&1; then
                # The package lists are absent or old: fetch them, once, and only now.
                as_root apt-get update -q >>"$log" 2>&1 || true
                apt_install "${missing[@]}" >>"$log" 2>&1 ||
                        die "apt-get could not install ${missing[*]}; $log says why:
$(tail -n 5 "$log")"
        fi
}
