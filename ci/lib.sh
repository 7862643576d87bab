# Shared by the scripts in this folder; sourced, never run. Leaves the shell in the root of the checkout.
#
# Everything runs as root: the build makes device nodes and mount namespaces. Whoever is not gets there by sudo.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# become_root SCRIPT ARGUMENTS...: SCRIPT is relative to the checkout.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    if ! command -v sudo >/dev/null; then
        echo "$1: run this as root (the build makes device nodes and mount namespaces), or install sudo" >&2
        exit 2
    fi
    # As the user: it is the user's toolchain that may have to be installed.
    [ "$1" = ci/setup ] || ci/setup
    echo "$1: the build needs root (device nodes, mount namespaces): going on by sudo"
    # The user's toolchain is used, but nothing of root's is left in the user's folders.
    exec sudo --preserve-env=CI,RUST_BACKTRACE env "PATH=$PATH" "CARGO_HOME=$PWD/target/cargo-home" \
        "RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}" "$PWD/$1" "${@:2}"
}

# Rust may be installed for the user without being in the path of a script.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
mkdir -p target

PHASES=()

# begin SCRIPT: starts a new run in target/times.
begin() {
    STARTED=$SECONDS
    echo "== $1 $(date -u +%Y-%m-%dT%H:%M:%SZ)" >>target/times
    trap 'finish $?' EXIT
}

# phase NAME COMMAND ARGUMENTS...: runs it, tells when it fails, keeps how long it took.
phase() {
    local name=$1 from=$SECONDS status=0
    shift
    echo
    echo "=== $name"
    # Not `if "$@"`: that would switch `set -e` off in functions.
    set +e
    (set -e; "$@")
    status=$?
    set -e
    local took=$((SECONDS - from))
    echo "$took $name" >>target/times
    if [ "$status" -ne 0 ]; then
        PHASES+=("$(printf '%6d s  %s: FAILED' "$took" "$name")")
        exit "$status"
    fi
    PHASES+=("$(printf '%6d s  %s' "$took" "$name")")
}

# beside NAME COMMAND ARGUMENTS...: starts it beside the phases that follow, until `joined`. For what keeps the network or one
# processor busy while others compile.
beside() {
    BESIDE=$1
    shift
    rm -f target/beside.status
    (set +e; "$@" >target/beside.log 2>&1; echo $? >target/beside.status) &
    BESIDE_PID=$!
}

# The phase that waits for what `beside` started, and prints what it printed.
joined() {
    phase "$BESIDE (the rest)" rest_of "$BESIDE_PID"
}

# Watched, not waited for: a phase is a subshell, and this process is no child of it.
rest_of() {
    tail --pid="$1" --follow --lines=+1 target/beside.log
    return "$(cat target/beside.status)"
}

# Printed at the end, however it ends.
finish() {
    # A build that is cut off in the middle would be in the way of the next.
    wait
    echo
    [ "${#PHASES[@]}" -eq 0 ] || printf '%s\n' "${PHASES[@]}"
    printf '%6d s  in all\n' "$((SECONDS - STARTED))"
    [ "$1" -eq 0 ] || echo "FAILED with status $1"
}

image_build() {
    cargo run --release --quiet --package image-build -- "$@"
}

# The ISO of this version. Keys are made once and kept; each step of the build does nothing where nothing changed.
build_iso() {
    { [ -e target/keys/root.json ] && [ -e target/keys/license ] && [ -e target/keys/secure-boot ]; } || image_build keys new --out target/keys
    phase "root image" image_build root
    phase "ISO" image_build iso
}
