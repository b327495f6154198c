#!/bin/sh
# Gathers the root file system of the image in the directory $1: a shell and the small tools that scripts of Testcontainers
# modules, health checks and compose files call, from the Debian that this runs in; and the paths that they know. Users get
# no package manager: 7 MB instead of the 80 of a small Debian.
set -eu
root=$1
here=$(dirname "$0")

if ! command -v busybox >/dev/null || ! command -v nc.openbsd >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends busybox-static netcat-openbsd >/dev/null
fi

mkdir -p "$root"
cd "$root"
mkdir -p dev etc proc root run sys tmp usr/bin usr/lib usr/lib64 usr/local/bin usr/sbin var/lib
ln -s usr/bin usr/lib usr/lib64 usr/sbin .
chmod 1777 tmp

# The small tools: busybox, but for its shell, which prefers its own nc to the one of the path, for that nc, which has no -z, and
# for the package managers, which are none here.
cp "$(command -v busybox)" usr/bin/busybox
for tool in $(busybox --list); do
    case "$tool" in
    ash | busybox | dpkg | dpkg-deb | nc | rpm | rpm2cpio | sh) ;;
    *) ln -s busybox "usr/bin/$tool" ;;
    esac
done
cp "$(command -v bash)" usr/bin/bash
cp "$(command -v dash)" usr/bin/dash
ln -s dash usr/bin/sh
cp "$(command -v nc.openbsd)" usr/bin/nc

# The libraries of these, and those of a Rust program.
of_tools=$(ldd usr/bin/bash usr/bin/dash usr/bin/nc | awk '$2 == "=>" { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' | sort -u)
libc=$(echo "$of_tools" | grep '/libc\.so')
for library in $of_tools "$(dirname "$libc")/libgcc_s.so.1" "$(dirname "$libc")/libm.so.6"; do
    cp -L --parents "$library" .
done

# Any user may write here: Docker's --user, OpenShift's users without a name, files in volumes of other images.
open() {
    mkdir -p "$@"
    chmod 0777 "$@"
}
open data                                                           # Ottla
open tmp/kraft-combined-logs var/lib/kafka var/lib/kafka/data mnt/shared mnt/shared/config # Apache, Confluent
open bitnami bitnami/kafka bitnami/kafka/config bitnami/kafka/data opt/bitnami/kafka opt/bitnami/kafka/config
open var/lib/redpanda var/lib/redpanda/data etc/redpanda kafka
open etc/kafka etc/kafka/docker etc/kafka/secrets etc/confluent/docker opt/kafka opt/kafka/config
open etc/ottla etc/ottla/init.d run/ottla home/ottla

cat >etc/passwd <<EOF
root:x:0:0:root:/root:/bin/sh
ottla:x:1000:1000:Ottla:/home/ottla:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
EOF
cat >etc/group <<EOF
root:x:0:
ottla:x:1000:
nogroup:x:65534:
EOF
echo 'hosts: files dns' >etc/nsswitch.conf

# What the images' own start commands are called; all of them end in `ottla serve`.
install -m 0755 "$here/entrypoint.sh" entrypoint.sh
install -m 0755 "$here/start.sh" usr/local/bin/start-ottla
install -m 0755 "$here/health.sh" usr/local/bin/health
install -m 0755 "$here/cub.sh" usr/bin/cub
for script in "$here"/docker/*; do
    name=$(basename "$script" .sh)
    install -m 0777 "$script" "etc/confluent/docker/$name"
    install -m 0777 "$script" "etc/kafka/docker/$name"
done
mkdir -p opt/bitnami/scripts/kafka
ln -s /entrypoint.sh opt/bitnami/scripts/kafka/entrypoint.sh
ln -s /usr/local/bin/start-ottla opt/bitnami/scripts/kafka/run.sh
ln -s /usr/local/bin/start-ottla usr/bin/start-kafka.sh
install -m 0666 "$here/server.properties" opt/kafka/config/server.properties
echo clientPort=2181 >opt/kafka/config/zookeeper.properties
mkdir opt/kafka/config/kraft
ln -s ../server.properties opt/kafka/config/kraft/server.properties

# The one binary by the names of Kafka's tools and of Redpanda's.
mkdir -p opt/kafka/bin
ln -s ../../kafka/bin opt/bitnami/kafka/bin
while read -r tool; do
    ln -s /usr/local/bin/ottla "usr/bin/$tool"
    ln -s /usr/local/bin/ottla "usr/bin/$tool.sh"
    ln -s /usr/local/bin/ottla "opt/kafka/bin/$tool.sh"
done <"$here/tools"
ln -s /usr/local/bin/ottla usr/bin/rpk
