#!/usr/bin/env bash
# Installs the clients and servers that the end-to-end tests use, into .cache/ (or $OTTLA_CACHE).
#   setup-test-clients.sh [kcat|java|connect|registry|streams|python|go|node]...     all of them when none is named
# Safe to run again: what is there and up to date is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"
root=$PWD
cache=${OTTLA_CACHE:-$root/.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# unchanged NAME FILES...: whether NAME was made from these very files. Sets `stamp` for `made`.
unchanged() {
    local name=$1
    shift
    stamp=$(fingerprint "$@")
    [ "$(cat "$cache/$name.stamp" 2>/dev/null || true)" = "$stamp" ]
}
made() { echo "$stamp" >"$cache/$1.stamp"; }

setup_kcat() { install_package kcat kcat kcat; }

# A JDK and Maven.
install_java() {
    # macOS has a `java` that only says where to get one; Homebrew keeps its own out of the PATH.
    if [ "$(uname)" = Darwin ] && ! java -version >/dev/null 2>&1; then
        brew install openjdk@17 >&2
        fail "Java is installed now: put $(brew --prefix openjdk@17)/bin into your PATH, then run this again"
    fi
    install_package java openjdk-17-jdk-headless openjdk@17
    install_package javac openjdk-17-jdk-headless openjdk@17
    install_package mvn maven maven
}

setup_java() {
    install_java
    local sources
    sources=$(find tests/java -name '*.java' -o -name pom.xml | sort)
    # shellcheck disable=SC2086 # file names without spaces
    unchanged java $sources && [ -f "$cache/java/driver.jar" ] && return
    say "Java: Apache Kafka's clients, tools and broker, and the test driver"
    mkdir -p "$cache/java"
    mvn -q -B -f tests/java/pom.xml package -DoutputDirectory="$cache/java"
    made java
}

setup_connect() {
    install_java
    # Debian keeps the server's own programs out of the PATH.
    if have apt-get; then
        install_package pg_ctlcluster postgresql postgresql@17
    else
        install_package initdb postgresql postgresql@17
    fi
    local modules="tests/connect/pom.xml tests/connect/debezium/pom.xml"
    # shellcheck disable=SC2086 # file names without spaces
    unchanged connect $modules && [ -d "$cache/connect/plugins" ] && return
    say "Java: Kafka Connect, its file connectors, MirrorMaker, Debezium for PostgreSQL"
    rm -rf "$cache/connect"
    mkdir -p "$cache/connect"
    local module
    for module in $modules; do
        mvn -q -B -f "$module" package -DoutputDirectory="$cache/connect"
    done
    made connect
}

setup_registry() {
    install_java
    unchanged registry tests/registry/apicurio.version tests/registry/requirements.txt && [ -d "$cache/registry/app" ] && return
    say "Apicurio Registry, and Confluent's serializers for Python"
    local version
    version=$(cat tests/registry/apicurio.version)
    rm -rf "$cache/registry"
    mkdir -p "$cache/registry/app"
    # The last version that copies to a place of one's choice, and without the descriptors of the parents.
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:2.10:get -Dtransitive=false \
        -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -Ddest="$cache/registry/app.tar.gz"
    tar xzf "$cache/registry/app.tar.gz" -C "$cache/registry/app"
    rm "$cache/registry/app.tar.gz"
    ln -s "apicurio-registry-app-$version-runner.jar" "$cache/registry/app/runner.jar"
    make_venv "$cache/registry/python" tests/registry/requirements.txt
    made registry
}

setup_streams() {
    install_java
    local sources
    sources=$(find tests/streams -name '*.java' -o -name pom.xml | sort)
    # shellcheck disable=SC2086 # file names without spaces
    unchanged streams $sources && [ -f "$cache/streams/streams.jar" ] && return
    say "Java: Kafka Streams and the applications that tests run"
    mkdir -p "$cache/streams"
    mvn -q -B -f tests/streams/pom.xml package -DoutputDirectory="$cache/streams"
    made streams
}

# A virtual environment with what the requirements file names.
make_venv() {
    local venv=$1 requirements=$2
    install_package python3 "python3 python3-venv" python@3
    if ! python3 -m venv --clear "$venv" >/dev/null 2>&1; then
        # Debian ships venv apart from Python itself.
        as_root apt-get update -qq
        as_root apt-get install -y -qq --no-install-recommends python3-venv >&2
        python3 -m venv --clear "$venv"
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
}

setup_python() {
    unchanged python tests/python/requirements.txt && [ -x "$cache/python/bin/python" ] && return
    say "Python: confluent-kafka and aiokafka"
    make_venv "$cache/python" tests/python/requirements.txt
    made python
}

setup_go() {
    install_package go golang-go go
    # From 1.21 on Go fetches by itself the toolchain that go.mod asks for.
    case "$(go env GOVERSION)" in
    go1.[0-9] | go1.[0-9].* | go1.1[0-9]* | go1.20*) fail "$(go version) is too old: install Go 1.21 or later" ;;
    esac
    local sources
    sources=$(find tests/go -name '*.go' -o -name go.mod -o -name go.sum | sort)
    # shellcheck disable=SC2086 # file names without spaces
    unchanged go $sources && [ -x "$cache/go/franz-copy" ] && return
    say "Go: franz-go and sarama"
    mkdir -p "$cache/go"
    (cd tests/go && go build -o "$cache/go/" ./franz ./franz-copy ./franz-worker ./sarama)
    made go
}

setup_node() {
    install_package node "nodejs npm" node
    install_package npm npm node
    unchanged node tests/node/package-lock.json && [ -d "$cache/node/node_modules" ] && return
    say "Node: kafkajs"
    mkdir -p "$cache/node"
    cp tests/node/package.json tests/node/package-lock.json "$cache/node/"
    npm ci --prefix "$cache/node" --no-fund --no-audit --loglevel=error
    made node
}

[ $# -gt 0 ] || set -- kcat java connect registry streams python go node
for name in "$@"; do
    case "$name" in
    kcat | java | connect | registry | streams | python | go | node) "setup_$name" ;;
    *) fail "no client named '$name': kcat, java, connect, registry, streams, python, go, node" ;;
    esac
done
