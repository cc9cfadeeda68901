# SPDX-License-Identifier: MIT
#
# For ./demo and ./test: named steps, and the Debian packages that a step needs. Sourced by bash.
#
#   step "Build"           names what happens next, so that a failure says which step failed
#   need_packages gcc ...  installs those that are missing; needs root only then
set -euo pipefail
step_name="Start"

step() {
    step_name=$1
    printf '\n== %s\n' "$step_name"
}

# Says why and stops.
fail() {
    printf '\nFAILED in step "%s": %s\n' "$step_name" "$1" >&2
    trap - ERR
    exit 1
}

step_failed() {
    printf '\nFAILED in step "%s" (line %s: %s)\n' "$step_name" "$2" "$3" >&2
    exit "$1"
}
trap 'step_failed $? $LINENO "$BASH_COMMAND"' ERR
set -E

package_is_there() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -x installed >/dev/null
}

need_packages() {
    local missing=() package
    command -v dpkg-query >/dev/null || fail "this script installs Debian packages, and there is no
dpkg here. CONTRIBUTING.md says how to build by hand."
    for package in "$@"; do
        package_is_there "$package" || missing+=("$package")
    done
    if [ ${#missing[@]} = 0 ]; then
        printf 'All %d Debian packages are there.\n' $#
        return
    fi
    printf 'Missing: %s\n' "${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "these packages are missing and only root can install them:
    sudo apt-get install --no-install-recommends ${missing[*]}"
    # The lists of a fresh machine are absent, those of an old one stale: fetch, try once more.
    install_packages "${missing[@]}" >/dev/null 2>&1 && return
    apt-get update -q </dev/null || fail "apt-get update failed; is there a network?"
    install_packages "${missing[@]}" || fail "apt-get could not install: ${missing[*]}"
}

install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# Configures and builds a preset: build_preset <preset> [target...]
build_preset() {
    local preset=$1 targets=() log
    shift
    [ $# = 0 ] || targets=(--target "$@")
    # An old tree keeps the generator that it was made with.
    if [ ! -e "build/$preset/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=Ninja
    fi
    mkdir -p "build/$preset"
    log=build/$preset/configure.log
    cmake --preset "$preset" >"$log" 2>&1 ||
        fail "cmake --preset $preset:
$(cat "$log")"
    cmake --build "build/$preset" --parallel "$(nproc)" "${targets[@]}" ||
        fail "cmake --build build/$preset; the compiler's messages are above"
}
