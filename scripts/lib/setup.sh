# shellcheck shell=bash
# What the scripts need of the machine: packages, root, Rust. Source it, then:
#
#   say WORDS            a line on standard error, with the script's name
#   die WORDS            the same, and the end
#   need PACKAGE:WHAT... install the Debian packages of which WHAT is missing: a command, or a function have_...
#   beside FOLDER PACKAGE...    unpack Debian packages there, with what the machine lacks for them, and install nothing
#   need_python FOLDER PACKAGE==VERSION...   a virtual environment there that has these packages of PyPI
#   as_root COMMAND...   as root, through sudo where needed
#   find_cargo           sets the array CARGO to the command that runs cargo

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

PATH="$PATH:/usr/sbin:/sbin"

have_pcap_headers() { echo '#include <pcap.h>' | cc -E -x c - >/dev/null 2>&1; }
have_venv() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }
have_c_headers() { echo '#include <stdlib.h>' | cc -E -x c - >/dev/null 2>&1; }
have_ssl_headers() { echo '#include <openssl/ssl.h>' | cc -E -x c - >/dev/null 2>&1; }

# missing WHAT... - prints the packages that are not there.
missing() {
    local pair what
    for pair; do
        what=${pair#*:}
        case $what in
            have_*) "$what" ;;
            *) command -v "$what" >/dev/null ;;
        esac || printf '%s\n' "${pair%%:*}"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo; please type as root: $*"
    fi
}

# elsewhere MANAGER DEBIAN-PACKAGE... - what they are called there.
elsewhere() {
    local manager=$1 package; shift
    for package; do
        case $manager:$package in
            apk:libc6-dev) echo musl-dev ;;
            dnf:libc6-dev | zypper:libc6-dev) echo glibc-devel ;;
            pacman:libc6-dev) echo glibc ;;
            dnf:libpcap-dev | zypper:libpcap-dev) echo libpcap-devel ;;
            pacman:libpcap-dev | brew:libpcap-dev) echo libpcap ;;
            brew:gcc | brew:libc6-dev) ;; # xcode-select --install
            dnf:iproute2) echo iproute ;;
            dnf:bind9-dnsutils | zypper:bind9-dnsutils) echo bind-utils ;;
            pacman:bind9-dnsutils | brew:bind9-dnsutils) echo bind ;;
            apk:bind9-dnsutils) echo bind-tools ;;
            dnf:tshark | pacman:tshark) echo wireshark-cli ;;
            zypper:tshark | brew:tshark) echo wireshark ;;
            dnf:shellcheck | zypper:shellcheck) echo ShellCheck ;;
            pacman:python3) echo python ;;
            *) echo "$package" ;;
        esac
    done | sort -u | tr '\n' ' '
}

# please_install DEBIAN-PACKAGE... - for package managers that are not driven from here: the line to type.
please_install() {
    local pair manager
    for pair in 'dnf:sudo dnf install' 'pacman:sudo pacman -S --needed' 'apk:sudo apk add' \
        'zypper:sudo zypper install' 'brew:xcode-select --install; brew install'; do
        manager=${pair%%:*}
        if command -v "$manager" >/dev/null; then
            die "please type this, then run ${0##*/} again: ${pair#*:} $(elsewhere "$manager" "$@")"
        fi
    done
    die "no package manager that is known here; please install what Debian calls $*, then run ${0##*/} again"
}

need() {
    local packages log policy=/usr/sbin/policy-rc.d ours="" rc=0
    mapfile -t packages < <(missing "$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || please_install "${packages[@]}"
    say "installing ${packages[*]}"
    # The scripts run servers themselves, in namespaces: the packages must not start them on the machine.
    if [ ! -e $policy ]; then
        # shellcheck disable=SC2016  # $1 is the inner shell's
        as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' sh $policy && ours=yes
    fi
    log=$(mktemp)
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}")
    { as_root "${install[@]}" || { as_root apt-get update && as_root "${install[@]}"; }; } >"$log" 2>&1 || rc=$?
    [ -z "$ours" ] || as_root rm -f $policy
    [ $rc -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    [ $rc -eq 0 ] || die "apt-get could not install ${packages[*]}"
}

# For packages that exclude each other, or would replace what the machine runs.
beside() {
    local folder=$1 package inside; shift
    [ ! -e "$folder/whole" ] || return 0
    command -v apt-get >/dev/null || please_install "$@"
    say "unpacking $* in $folder"
    rm -rf "$folder"
    mkdir -p "$folder/packages"
    for package; do
        # Each alone, for together they may not be installed.
        inside=$(would_install "$package" || { as_root apt-get update >/dev/null 2>&1 && would_install "$package"; }) ||
            die "apt-get knows no package $package"
        # shellcheck disable=SC2086  # a list of names
        (cd "$folder/packages" && apt-get download $package $inside >/dev/null 2>&1) || die "apt-get could not download $package"
    done
    for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder"; done
    touch "$folder/whole"
}

would_install() {
    LC_ALL=C apt-get install -s --no-install-recommends "$1" 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p' && apt-cache show "$1" >/dev/null 2>&1
}

need_python() {
    local folder=$1 log rc=0; shift
    [ "$(cat "$folder/packages" 2>/dev/null)" != "$*" ] || return 0
    need python3-venv:have_venv
    say "installing $* for Python in $folder"
    log=$(mktemp)
    { rm -rf "$folder" && python3 -m venv "$folder" && "$folder/bin/pip" install --no-cache-dir "$@" &&
        echo "$*" >"$folder/packages"; } >"$log" 2>&1 || rc=$?
    [ $rc -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    [ $rc -eq 0 ] || die "pip could not install $* into $folder; the tests need it"
}

# Rust lives in somebody's home: under sudo it is that of the user behind it, who then owns what is built, too.
# shellcheck disable=SC2034  # for the scripts that source this file
find_cargo() {
    local home
    CARGO=(cargo)
    ! command -v cargo >/dev/null || return 0
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        CARGO=("${CARGO_HOME:-$HOME/.cargo}/bin/cargo")
    elif [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] &&
        home=$(getent passwd "$SUDO_USER" | cut -d: -f6) && [ -x "$home/.cargo/bin/cargo" ]; then
        CARGO=(sudo -H -u "$SUDO_USER" "$home/.cargo/bin/cargo")
    else
        die "Rust is missing: install it (https://rustup.rs has the command), then run ${0##*/} again"
    fi
}
