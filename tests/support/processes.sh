# What the scripts share that start and end servers on loopback. To be sourced.

began=$(date +%s%N)
lap=$began
# took WHAT: says how long it was since the last one, in the name of the server in `serves`.
took() {
    local now
    now=$(date +%s%N)
    printf '%s: %-24s %4d.%d s\n' "$serves" "$1" $(((now - lap) / 1000000000)) $(((now - lap) / 100000000 % 10)) >&2
    lap=$now
}
# took_in_all: how long it was since the start.
took_in_all() {
    lap=$began
    took "in all"
}

# free_port DIR: one below the range that the kernel gives to clients; two with the same DIR differ.
free_port() {
    local port
    while :; do
        port=$((15000 + RANDOM % 16000))
        [ ! -e "$1/port.$port" ] || continue
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        : >"$1/port.$port"
        echo "$port"
        return
    done
}

# The number of a process may have been given to another one since: ours have one of these texts in their command.
ours() {
    local pid=$1
    shift
    { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "${@/#/-e}"
}
# end PID TEXT …: ends it where it is ours, by force after five seconds.
end() {
    ours "$@" || return 0
    kill "$1" 2>/dev/null || true
    for _ in $(seq 50); do
        ours "$@" || return 0
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null || true
}
