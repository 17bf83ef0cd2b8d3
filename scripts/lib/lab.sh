# shellcheck shell=bash
# A small network in network namespaces, for scripts that record or test on real traffic. Source it, then:
#
#   lab_up              build it (removed again when the script exits, however it exits)
#   pair_up             or, quicker, a client and a resolver only; see there
#   hidden_pair_up      the same with a resolver that answers over TLS and HTTPS too
#   tapped_pair_up      the same with two resolvers that send dnstap
#   on HOST COMMAND...  run a command on a host, with that host's resolv.conf
#   start HOST COMMAND  the same in the background; its process id is in $started
#   record FILE HOST TCPDUMP-ARGUMENTS...    begin a recording, return once tcpdump listens
#   stop_recordings     end all of them, once tcpdump has read all that the kernel has counted
#
#   clients c9 c11 ... c19 (10.9.0.N, fd00:9::N) ─┐
#   www (10.9.0.80) ──────────────────────────────┤
#                                     switch sw: br-lan ── resolver res (10.9.0.53, fd00:9::53): unbound
#                                     switch sw: br-core ─┘ (10.9.1.53)
#                                         └── auth (10.9.1.54): nsd, every zone from the root down
#   sensor mon: lan-in   a copy of each frame that enters a port of br-lan
#               lan-out  a copy of each frame that leaves a port of br-lan (after lab_mirror_out)
#               core-in  a copy of each frame that enters a port of br-core
#               span0    lan-in and core-in together, as a sensor bundles the legs of a tap
#
# Nothing has a default route, so nothing leaves the namespaces. Neighbour entries are static.

# shellcheck source=scripts/lib/setup.sh
. "${BASH_SOURCE[0]%/*}/setup.sh"

LAB="lab$$"
LAB_DIR=""
LAB_PIDS=()
LAB_HOSTS=()
LAB_RECORDERS=()
LAB_CLIENTS=(9 11 12 13 14 15 16 17 18 19)
# shellcheck disable=SC2034  # for the scripts that source this file
started=""

on() { local host=$1; shift; ip netns exec "$LAB-$host" "$@"; }

start() {
    local host=$1; shift
    ip netns exec "$LAB-$host" "$@" >>"$LAB_DIR/$host.log" 2>&1 &
    started=$!
    LAB_PIDS+=("$started")
}

# wait_for WHAT COMMAND... - until the command succeeds, 15 s at most.
wait_for() {
    local what=$1 i; shift
    for ((i = 0; i < 300; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    tail -n 20 "$LAB_DIR"/*.log >&2 || true
    die "gave up waiting for $what"
}

lab_down() {
    local pid host
    trap - EXIT INT TERM
    for pid in "${LAB_RECORDERS[@]%%:*}" "${LAB_PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
    for host in "${LAB_HOSTS[@]}"; do
        # What is left in our own namespaces was started here.
        for pid in $(ip netns pids "$LAB-$host" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns del "$LAB-$host" 2>/dev/null || true
        rm -rf "/etc/netns/$LAB-$host"
    done
    rmdir /etc/netns 2>/dev/null || true
    wait 2>/dev/null || true
    [ -z "$LAB_DIR" ] || rm -rf "$LAB_DIR"
}

# new_host NAME - a namespace of its own, with a stub resolver that asks nobody yet.
new_host() {
    ip netns add "$LAB-$1"
    LAB_HOSTS+=("$1")
    ip -n "$LAB-$1" link set lo up
    # Twice, because another lab that ends may take the empty folder away under us.
    mkdir -p "/etc/netns/$LAB-$1" 2>/dev/null || mkdir -p "/etc/netns/$LAB-$1"
    : >"/etc/netns/$LAB-$1/resolv.conf"
    # The machine's own file may send getent to a daemon outside of the namespace.
    echo 'hosts: files dns' >"/etc/netns/$LAB-$1/nsswitch.conf"
}

# resolv_conf HOST LINE... - what the host's stub resolver uses.
resolv_conf() { local host=$1; shift; printf '%s\n' "$@" >"/etc/netns/$LAB-$host/resolv.conf"; }

# cable HOST1 IF1 HOST2 IF2 - a cable between two hosts; frames on it are what a wire would carry: checksums
# filled in, nothing larger than the MTU.
cable() {
    ip -n "$LAB-$1" link add "$2" type veth peer name "$4" netns "$LAB-$3"
    on "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
    on "$3" ethtool -K "$4" tx off tso off gso off gro off >/dev/null
    ip -n "$LAB-$1" link set "$2" up
    ip -n "$LAB-$3" link set "$4" up
}

# mirror PORT ingress|egress IFACE - on the switch.
mirror() {
    on sw tc filter add dev "$1" "$2" protocol all u32 match u32 0 0 action mirred egress mirror dev "$3"
}

# plug HOST IFACE BRIDGE - a cable from a host to a bridge of the switch, mirrored to the sensor.
plug() {
    cable "$1" "$2" sw "p-$1-$2"
    on sw ip link set "p-$1-$2" master "$3"
    on sw tc qdisc add dev "p-$1-$2" clsact
    case $3 in
        br-lan) mirror "p-$1-$2" ingress m-lan-in ;;
        br-core) mirror "p-$1-$2" ingress m-core-in ;;
    esac
}

# bundle LEG - the sensor's leg joins span0.
bundle() {
    on mon ip link set "$1" master span0
    on mon ip link set "$1" type bridge_slave isolated on learning off flood off mcast_flood off bcast_flood off
}

# lab_mirror_out - mirror what leaves the ports of the LAN too, to lan-out.
lab_mirror_out() {
    local port
    for port in $(on sw sh -c 'ls -d /sys/class/net/br-lan/brif/*'); do
        mirror "${port##*/}" egress m-lan-out
    done
}

lab_mirror_out_off() {
    local port
    for port in $(on sw sh -c 'ls -d /sys/class/net/br-lan/brif/*'); do
        on sw tc filter del dev "${port##*/}" egress
    done
}

address() { # HOST IFACE NUMBER
    on "$1" ip link set "$2" address "02:00:0a:09:00:$(printf %02d "$3")"
    on "$1" ip addr add "10.9.0.$3/24" dev "$2"
    on "$1" ip addr add "fd00:9::$3/64" dev "$2" nodad
}

know() { # HOST IFACE NUMBER - a static neighbour
    local mac
    mac="02:00:0a:09:00:$(printf %02d "$3")"
    on "$1" ip neigh replace "10.9.0.$3" lladdr "$mac" dev "$2" nud permanent
    on "$1" ip neigh replace "fd00:9::$3" lladdr "$mac" dev "$2" nud permanent
}

# lab_begin - what every lab begins with: a folder, and the end of it all when the script exits.
lab_begin() {
    [ "$(id -u)" = 0 ] || die "network namespaces need root: run this with sudo"
    LAB_DIR=$(mktemp -d)
    chmod 755 "$LAB_DIR"
    trap lab_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    export LC_ALL=C
}

# What the labs themselves need.
LAB_PACKAGES=(iproute2:ip ethtool:ethtool tcpdump:tcpdump bind9-dnsutils:dig unbound:unbound nsd:nsd curl:curl
    python3:python3)

# run_here NAME - the settings of an unbound that runs in the lab's folder.
run_here() {
    cat <<END
    num-threads: 1
    username: ""
    chroot: ""
    directory: "$LAB_DIR"
    pidfile: "$LAB_DIR/$1.pid"
    use-syslog: no
    logfile: ""
END
}

# known_zones - everything below these has one address.
known_zones() {
    cat <<END
    local-zone: "ngrok.io." redirect
    local-data: "ngrok.io. 60 A 3.134.39.220"
    local-zone: "example.com." redirect
    local-data: "example.com. 60 A 192.0.2.1"
END
}

# pair_settings NAME - what the configurations of the pair's unbounds end with: they run here, and know two zones.
pair_settings() {
    run_here "$1"
    known_zones
    cat <<END
remote-control:
    control-enable: no
END
}

# pair_up - two hosts and two cables: c (10.9.5.1 on eth0, 10.9.6.1 on eth1) and d (10.9.5.2 and 10.9.5.3, 10.9.6.2),
# where unbound knows that everything below ngrok.io and example.com has one address.
pair_up() {
    lab_begin
    need "${LAB_PACKAGES[@]}"
    new_host c
    new_host d
    cable c eth0 d eth0
    cable c eth1 d eth1
    on c ip addr add 10.9.5.1/24 dev eth0
    on c ip addr add 10.9.6.1/24 dev eth1
    on d ip addr add 10.9.5.2/24 dev eth0
    on d ip addr add 10.9.5.3/24 dev eth0
    on d ip addr add 10.9.6.2/24 dev eth1
    resolv_conf c 'nameserver 10.9.5.2'
    cat >"$LAB_DIR/pair.conf" <<END
server:
    interface: 0.0.0.0
    interface: ::0
    interface-automatic: yes
    access-control: 0.0.0.0/0 allow
    access-control: ::0/0 allow
$(pair_settings pair)
END
    # A copy, because a security profile for the installed path would keep it out of our folder.
    cp "$(command -v unbound)" "$LAB_DIR/unbound"
    start d "$LAB_DIR/unbound" -d -c "$LAB_DIR/pair.conf"
    wait_for "unbound" on c dig +tries=1 +time=1 @10.9.5.2 example.com
    wait_for "unbound on the second cable" on c dig +tries=1 +time=1 @10.9.6.2 example.com
}

# hidden_server HOST ADDRESS PUBLIC - on the host, unbound answers on ADDRESS over TLS, and on PUBLIC, the address of a public
# resolver, over HTTPS too. Everything below ngrok.io and example.com has one address.
hidden_server() {
    local host=$1 address=$2 public=$3
    need openssl:openssl
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=dns.google \
        -addext "subjectAltName=DNS:dns.google,IP:$public" -keyout "$LAB_DIR/hidden.key" -out "$LAB_DIR/hidden.pem" 2>/dev/null
    cat >"$LAB_DIR/hidden.conf" <<END
server:
    interface: $address@853
    interface: $public@853
    interface: $public@443
    tls-port: 853
    https-port: 443
    tls-service-key: "$LAB_DIR/hidden.key"
    tls-service-pem: "$LAB_DIR/hidden.pem"
    access-control: 0.0.0.0/0 allow
$(pair_settings hidden)
END
    [ -e "$LAB_DIR/unbound" ] || cp "$(command -v unbound)" "$LAB_DIR/unbound"
    start "$host" "$LAB_DIR/unbound" -d -c "$LAB_DIR/hidden.conf"
    wait_for "unbound over TLS" on "$host" dig +tries=1 +time=1 +tls "@$address" example.com
    wait_for "unbound over HTTPS" on "$host" dig +tries=1 +time=1 +https "@$public" example.com
}

# tapped_unbound HOST SOCKET LINE... - an unbound on the host, with these lines in its configuration, that sends dnstap to the
# socket.
tapped_unbound() {
    local host=$1 socket=$2; shift 2
    {
        printf 'server:\n    access-control: 0.0.0.0/0 allow\n    access-control: ::0/0 allow\n'
        run_here tapped
        printf '%s\n' "$@" 'remote-control:' '    control-enable: no' 'dnstap:'
        printf '    %s\n' 'dnstap-enable: yes' "dnstap-socket-path: \"$socket\"" 'dnstap-send-identity: yes' \
            'dnstap-identity: "unbound"' 'dnstap-send-version: yes'
        printf '    dnstap-log-%s-messages: yes\n' {client,resolver,forwarder}-{query,response}
    } >"$LAB_DIR/tapped.conf"
    [ -e "$LAB_DIR/unbound" ] || cp "$(command -v unbound)" "$LAB_DIR/unbound"
    start "$host" "$LAB_DIR/unbound" -d -c "$LAB_DIR/tapped.conf"
}

# kresd_settings ADDRESS SOCKET LINE... - the configuration of a Knot Resolver that answers over UDP, TCP, TLS and HTTPS, and sends
# dnstap to the socket; the lines are the rest of it.
kresd_settings() {
    local address=$1 socket=$2; shift 2
    need knot-resolver:kresd openssl:openssl
    [ -e "$LAB_DIR/kresd.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=kresd.test -keyout "$LAB_DIR/kresd.key" -out "$LAB_DIR/kresd.pem" 2>/dev/null
    printf "net.listen('%s', %s, {kind='%s'})\n" "$address" 53 dns "$address" 853 tls "$address" 443 doh2
    printf '%s\n' "net.tls('$LAB_DIR/kresd.pem', '$LAB_DIR/kresd.key')" 'cache.size = 10*MB' "modules.load('dnstap')" \
        "dnstap.config({socket_path='$socket', identity='kresd', client={log_queries=true, log_responses=true}})" \
        "trust_anchors.remove('.')" "$@"
}

# tapped_kresd HOST ADDRESS SOCKET LINE... - that Knot Resolver on the host. The socket has to be there.
tapped_kresd() {
    local host=$1; shift
    mkdir -p "$LAB_DIR/kresd"
    kresd_settings "$@" >"$LAB_DIR/kresd.conf"
    start "$host" kresd -n -c "$LAB_DIR/kresd.conf" "$LAB_DIR/kresd"
    wait_for "Knot Resolver over TLS" on "$host" dig +tries=1 +time=1 +tls "@$1" example.com
}

# hidden_pair_up - pair_up, where 10.9.5.2 answers over TLS, and so does 8.8.8.8, which also does over HTTPS.
hidden_pair_up() {
    pair_up
    need knot-dnsutils:kdig dnsmasq-base:dnsmasq
    on d ip addr add 8.8.8.8/32 dev eth0
    on c ip route add 8.8.8.8/32 dev eth0
    hidden_server d 10.9.5.2 8.8.8.8
}

# tapped_pair_up - pair_up with another unbound on d (10.9.5.2), over TLS and on port 5300, which sends dnstap to $LAB_TAP as soon as
# somebody listens there. In the folder of that socket lies kresd.conf, that of a Knot Resolver for c (10.9.5.1) which does the
# same and asks the unbound on port 53; it has to be started when somebody listens.
tapped_pair_up() {
    pair_up
    need fstrm-bin:fstrm_replay
    kresd_settings 10.9.5.1 "$LAB_TAP" "policy.add(policy.all(policy.FORWARD('10.9.5.2')))" >"${LAB_TAP%/*}/kresd.conf"
    tapped_unbound d "$LAB_TAP" '    interface: 10.9.5.2@853' '    interface: 10.9.5.2@5300' '    tls-port: 853' \
        "    tls-service-key: \"$LAB_DIR/kresd.key\"" "    tls-service-pem: \"$LAB_DIR/kresd.pem\"" "$(known_zones)"
    wait_for "unbound that sends dnstap" on c dig +tries=1 +time=1 -p 5300 @10.9.5.2 example.com
}

lab_up() {
    local n leg
    lab_begin
    need "${LAB_PACKAGES[@]}"

    say "building the network"
    new_host sw
    new_host mon
    on sw ip link add br-lan type bridge ageing_time 360000
    on sw ip link add br-core type bridge ageing_time 360000
    on mon ip link add span0 type bridge mcast_snooping 0
    for leg in lan-in lan-out core-in; do
        cable sw "m-$leg" mon "$leg"
    done
    bundle lan-in
    bundle core-in
    for leg in br-lan br-core; do on sw ip link set "$leg" up; done
    on mon ip link set span0 up

    new_host res
    plug res lan br-lan
    address res lan 53
    plug res core br-core
    on res ip addr add 10.9.1.53/24 dev core
    new_host auth
    plug auth core br-core
    on auth ip addr add 10.9.1.54/24 dev core
    on auth ip addr add 10.9.1.55/24 dev core
    new_host www
    plug www eth0 br-lan
    address www eth0 80
    know res lan 80
    know www eth0 53
    for n in "${LAB_CLIENTS[@]}"; do
        new_host "c$n"
        plug "c$n" eth0 br-lan
        address "c$n" eth0 "$n"
        know "c$n" eth0 53
        know "c$n" eth0 80
        know res lan "$n"
        know www eth0 "$n"
        resolv_conf "c$n" 'nameserver 10.9.0.53' 'search corp.test'
    done
    # Some hosts ask over IPv6, one without a search list.
    resolv_conf c13 'nameserver fd00:9::53' 'search corp.test'
    resolv_conf c17 'nameserver fd00:9::53'
    resolv_conf res 'nameserver 127.0.0.1'

    say "starting nsd, unbound and a web server"
    write_zones "$LAB_DIR"
    write_server_configurations "$LAB_DIR"
    # Copies, because a security profile for the installed path would keep them out of our folder.
    cp "$(command -v unbound)" "$LAB_DIR/unbound"
    cp "$(command -v nsd)" "$LAB_DIR/nsd"
    start auth "$LAB_DIR/nsd" -d -c "$LAB_DIR/nsd.conf"
    wait_for nsd on auth dig +tries=1 +time=1 @10.9.1.54 . SOA
    start auth "$LAB_DIR/unbound" -d -c "$LAB_DIR/lame.conf"
    wait_for "the server that refuses" on auth dig +tries=1 +time=1 @10.9.1.55 . SOA
    start res "$LAB_DIR/unbound" -d -c "$LAB_DIR/unbound.conf"
    # shellcheck disable=SC2034
    unbound_pid=$started
    mkdir "$LAB_DIR/www"
    echo '<p>It works.</p>' >"$LAB_DIR/www/index.html"
    start www python3 -m http.server --bind 10.9.0.80 --directory "$LAB_DIR/www" 80
    # Every port has spoken before a recording begins, so that the switch floods nothing.
    for n in "${LAB_CLIENTS[@]}"; do
        wait_for "unbound, asked by c$n" on "c$n" dig +tries=1 +time=1 @10.9.0.53 ready.internal
        wait_for "unbound, asked by c$n over IPv6" on "c$n" dig +tries=1 +time=1 @fd00:9::53 ready.internal
    done
    wait_for "the web server" on c11 curl -s -o /dev/null http://10.9.0.80/
}

# record FILE HOST TCPDUMP-ARGUMENTS...
record() {
    local file=$1 host=$2; shift 2
    ip netns exec "$LAB-$host" tcpdump -Z root -n -U --immediate-mode -B 8192 -w "$file" "$@" 2>"$file.log" &
    LAB_RECORDERS+=("$!:$file")
    wait_for "tcpdump to listen for ${file##*/}" grep -q 'listening on' "$file.log"
}

# counts PID LOG - "captured received dropped", as tcpdump says now.
counts() {
    local before
    before=$(grep -c 'packets\? dropped by kernel' "$2" || true)
    kill -USR1 "$1"
    for _ in {1..200}; do
        [ "$(grep -c 'packets\? dropped by kernel' "$2" || true)" = "$before" ] || break
        sleep 0.01
    done
    grep -Eo '[0-9]+ packets? (captured|received by filter|dropped by kernel)' "$2" | tail -n 3 | grep -Eo '^[0-9]+' | tr '\n' ' '
}

stop_recordings() {
    local recorder pid file now last
    for recorder in "${LAB_RECORDERS[@]}"; do
        pid=${recorder%%:*} file=${recorder#*:} last=""
        for _ in {1..100}; do # quiet: all that was received is written, and nothing came since the last look
            now=$(counts "$pid" "$file.log")
            read -r captured received dropped <<<"$now"
            [ "$captured" = "$received" ] && [ "$now" = "$last" ] && break
            last=$now
            sleep 0.2
        done
        kill -INT "$pid"
        wait "$pid" || true
        if [ "$captured" != "$received" ] || [ "$dropped" != 0 ]; then
            die "${file##*/}: tcpdump lost packets: $(cat "$file.log")"
        fi
        [ "$captured" -gt 0 ] || die "${file##*/}: no packets"
        say "  ${file##*/}: $captured packets"
        rm -f "$file.log"
    done
    LAB_RECORDERS=()
}

write_server_configurations() {
    local dir=$1 zone
    {
        cat <<END
server:
    ip-address: 10.9.1.54
    username: ""
    chroot: ""
    zonesdir: "$dir/zones"
    database: ""
    pidfile: "$dir/nsd.pid"
    xfrdfile: "$dir/xfrd.state"
    zonelistfile: "$dir/zone.list"
    xfrdir: "$dir"
    server-count: 1
    minimal-responses: yes
remote-control:
    control-enable: no
END
        for zone in "$dir"/zones/*; do
            zone=${zone##*/}
            printf 'zone:\n    name: "%s"\n    zonefile: "%s"\n' "${zone/root/.}" "$zone"
        done
    } >"$dir/nsd.conf"
    cat >"$dir/root.hints" <<'END'
.            3600000 NS ns.dns.test.
ns.dns.test. 3600000 A  10.9.1.54
END
    cat >"$dir/unbound.conf" <<END
server:
    interface: 0.0.0.0
    interface: ::0
    interface-automatic: yes
    outgoing-interface: 10.9.1.53
    do-ip6: yes
    num-threads: 1
    username: ""
    chroot: ""
    directory: "$dir"
    pidfile: "$dir/unbound.pid"
    use-syslog: no
    logfile: ""
    module-config: "iterator"
    root-hints: "$dir/root.hints"
    use-caps-for-id: yes
    unblock-lan-zones: yes
    insecure-lan-zones: yes
    access-control: 127.0.0.0/8 allow
    access-control: 10.9.0.0/16 allow
    access-control: fd00:9::/32 allow
    # A guest of the network who may not ask.
    access-control: 10.9.0.19/32 refuse
    local-zone: "test." nodefault
    # The filter of this company: a sinkhole, and a name that is refused.
    local-zone: "sinkhole.ngrok.io." redirect
    local-data: "sinkhole.ngrok.io. 60 A 0.0.0.0"
    local-data: "sinkhole.ngrok.io. 60 AAAA ::"
    local-zone: "tunnel.sa.ngrok.com." redirect
    local-data: "tunnel.sa.ngrok.com. 60 A 0.0.0.0"
    local-zone: "refused.ngrok.io." refuse
    local-zone: "ready.internal." static
    local-data: "ready.internal. 60 A 10.9.0.53"
remote-control:
    control-enable: no
END
    cat >"$dir/lame.conf" <<END
server:
    interface: 10.9.1.55
    access-control: 0.0.0.0/0 refuse
    num-threads: 1
    username: ""
    chroot: ""
    directory: "$dir"
    pidfile: "$dir/lame.pid"
    use-syslog: no
    logfile: ""
    module-config: "iterator"
remote-control:
    control-enable: no
END
}

# write_zones DIR - every zone that the authoritative server serves, one file each.
write_zones() {
    local dir=$1/zones zone i
    mkdir "$dir"
    zone_file() { # ZONE, its records on stdin
        # shellcheck disable=SC2016  # $TTL is the zone file's
        { printf '$TTL 300\n@ IN SOA ns.dns.test. hostmaster.dns.test. 1 3600 600 86400 60\n@ IN NS ns.dns.test.\n'; cat; } >"$dir/$1"
    }
    zone_file ngrok.io <<'END'
@           A     3.134.39.220
@           AAAA  2600:1f16:d83:1201::6e:2
www         CNAME ngrok.com.
abc123      A     3.134.39.220
abc123      AAAA  2600:1f16:d83:1201::6e:4
demo        A     3.134.39.220
demo        A     3.125.209.94
demo        A     18.192.31.165
demo        AAAA  2600:1f16:d83:1201::6e:4
demo        AAAA  2600:1f16:d83:1201::6e:10
only4       A     3.13.191.225
api.dev     A     3.22.30.40
mixedcase   A     52.15.72.79
custom      CNAME tunnel.eu.ngrok.com.
chain       CNAME hop.ngrok.io.
hop         CNAME edge.ngrok.com.
parked      CNAME parked.example.net.
late        A     3.14.182.203
slow        A     3.134.125.175
info        TXT   "v=spf1 -all"
info        MX    10 mail.ngrok.io.
mail        A     3.19.130.43
; Delegated to a server that refuses everything: a resolver can only say SERVFAIL.
broken      NS    ns.broken
ns.broken   A     10.9.1.55
END
    for ((i = 1; i <= 40; i++)); do echo "many A 203.0.113.$i"; done >>"$dir/ngrok.io"
    zone_file ngrok.com <<'END'
@           A     3.13.191.225
www         CNAME ngrok.com.
tunnel      A     3.134.73.173
tunnel      A     3.20.27.198
tunnel.us   A     3.133.228.214
tunnel.eu   A     3.124.67.191
tunnel.eu   A     18.156.13.209
tunnel.eu   AAAA  2a05:d014:422:4b00::9
tunnel.jp   A     54.168.177.181
dashboard   A     3.18.12.1
edge        A     3.17.7.232
edge        AAAA  2600:1f16:d83:1202::c8:1
END
    zone_file tunnel.com <<'END'
@           A     192.0.2.80
ngrok       A     192.0.2.81
ngrok.eu    A     192.0.2.82
ngrok.us    A     192.0.2.83
ngrok.a.b   A     192.0.2.84
END
    zone_file lennut.com <<'END'
@           A     192.0.2.90
korgn       A     192.0.2.91
korgn.su    A     192.0.2.92
END
    zone_file ngrok-agent.com <<'END'
connect     A     3.12.62.205
connect.eu  A     3.74.27.83
crl         A     3.13.191.225
END
    zone_file ngrok-free.app <<'END'
*           A     3.125.223.134
*           AAAA  2a05:d014:422:4b01::3
END
    zone_file notngrok.io <<'END'
@           A     192.0.2.10
END
    zone_file evil.example <<'END'
ngrok.io    A     192.0.2.66
a.ngrok.io  A     192.0.2.67
END
    zone_file corp.test <<'END'
@           MX    10 mail
intranet    A     10.9.0.80
mail        A     10.9.0.25
wiki        CNAME intranet
printer     A     10.9.0.31
printer     AAAA  fd00:9::31
files       A     10.9.0.32
_ldap._tcp  SRV   0 100 389 dc01
dc01        A     10.9.0.53
dc01        AAAA  fd00:9::53
; An innocent name that is a tunnel underneath.
demo        CNAME abc123.ngrok.io.
build       CNAME custom.ngrok.io.
END
    for zone in example.com example.net example.org; do
        zone_file "$zone" <<'END'
@           A     192.0.2.1
@           AAAA  2001:db8::1
@           MX    10 mx
@           TXT   "v=spf1 mx -all"
www         A     192.0.2.1
www         AAAA  2001:db8::1
mx          A     192.0.2.25
cdn         CNAME edge.example.net.
edge        A     198.51.100.7
edge        A     198.51.100.8
edge        AAAA  2001:db8:7::7
api         A     198.51.100.20
login       A     198.51.100.21
login       AAAA  2001:db8:21::21
news        A     198.51.100.30
img         CNAME cdn
parked      A     192.0.2.99
time        A     198.51.100.123
END
        for ((i = 1; i <= 14; i++)); do echo "big TXT \"$(printf 'a long text record, number %02d, %040d' "$i" "$i")\""; done >>"$dir/$zone"
    done
    zone_file 9.10.in-addr.arpa <<'END'
80.0        PTR   intranet.corp.test.
53.0        PTR   dc01.corp.test.
11.0        PTR   c11.corp.test.
END
    {
        printf '. 86400 IN SOA ns.dns.test. hostmaster.dns.test. 1 3600 600 86400 60\n. 86400 IN NS ns.dns.test.\n'
        printf 'ns.dns.test. 86400 IN A 10.9.1.54\n'
        for zone in "$dir"/*; do [ "${zone##*/}" = root ] || printf '%s. 86400 IN NS ns.dns.test.\n' "${zone##*/}"; done
    } >"$dir/root.new"
    mv "$dir/root.new" "$dir/root"
    # root.new was one of the files while it was written.
    sed -i '/^root\.new\./d' "$dir/root"
}
