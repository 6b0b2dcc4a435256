#!/bin/bash
# A tour of a few seconds: a sandbox that is attacked from inside, containers with IDs of their own, a plan, an
# explained error. Needs root and bin/bailey (`make demo` sees to both). It runs in a mount namespace of its own, where
# the files that it changes are others than the machine's, and leaves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "demo: needs root: try 'sudo make demo'" >&2; exit 1; }
if [ "${BAILEY_DEMO-}" = "" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	BAILEY_DEMO=$work unshare --mount --propagation private "$0"
	exit
fi
work=$BAILEY_DEMO
bailey() { "$PWD/bin/bailey" --root "$work/state" "$@"; }
containers=(web db)
cleanup() {
	for c in "${containers[@]}"; do bailey delete --force "$c" || :; done
}
trap cleanup EXIT

bold='' plain=''
[ ! -t 1 ] || bold=$'\033[1m' plain=$'\033[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# The record of IDs and the account that they are taken from are the tour's own.
cp -a /etc "$work/etc"
mount --bind "$work/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /var/lib
chmod 755 "$work"

say "1. bailey try CMD: a sandbox over a read-only view of this machine, here of a program that tries to get out"
cat >"$work/intruder" <<'EOF'
attempt() { # what it is, then a command that must not work
	what=$1; shift
	if out=$("$@" 2>&1); then echo "  ALLOWED  $what: $out"; else
		out=$(printf '%s' "$out" | head -n 1); echo "  refused  $what: ${out##*: }"; fi
}
echo "  who      $(id -u):$(id -g) on $(uname -n), one of $(ls /proc | grep -c '^[0-9]') processes; uptime $(cut -d. -f1 /proc/uptime) s"
echo "  sees     $(ls /)" | tr '\n' ' '; echo
attempt "read root's secrets" cat /etc/shadow
attempt "look into homes" ls /home/*
attempt "talk to daemons" sh -c 'ls /run/*.sock /run/*/*.sock'
attempt "change a program" touch /usr/bin/env
attempt "leave a program that makes others me" sh -c 'cp /bin/true /tmp/t && chmod 4755 /tmp/t'
attempt "change the kernel" sh -c 'echo x >/proc/sys/kernel/core_pattern'
attempt "read the kernel's log" dmesg
attempt "mount something" mount -t tmpfs none /tmp
attempt "win capabilities back in a user namespace" unshare -U true
attempt "use the network" bash -c 'exec 3<>/dev/tcp/1.1.1.1/53'
EOF
chmod 644 "$work/intruder"
bailey try --ro "$work/intruder" sh "$work/intruder"

say "2. What the command needs is given by name, and files belong to whom they should"
mkdir -m 755 "$work/out"
bailey try --verbose --rw "$work/out" --env LANG --memory 256m sh -c "echo result >'$work/out/file'; echo '  it is user 0 inside'" 2>&1 | sed 's/^bailey:/ /'
stat -c '  on the machine %n belongs to user %u' "$work/out/file"

say "3. Containers with IDs that no other has: bailey run --userns auto, bailey ids"
bailey ids setup | sed 's/^/  /'
bundle=$work/bundle
mkdir -p "$bundle"/rootfs/{bin,dev,proc,sys}
cp /bin/busybox "$bundle/rootfs/bin/"
ln -s busybox "$bundle/rootfs/bin/sleep"
bailey spec --bundle "$bundle"
sed -i -e 's|"sh"|"sleep", "600"|' -e 's|"terminal": true|"terminal": false|' "$bundle/config.json"
for c in "${containers[@]}"; do
	bailey run --detach --userns auto --bundle "$bundle" --pid-file "$work/pid" "$c"
	printf '  %-4s its user 0 is %s here, its bin/busybox on disk is still owned by %s\n' "$c" \
		"$(stat -c %u "/proc/$(cat "$work/pid")")" "$(stat -c %u "$bundle/rootfs/bin/busybox")"
done
bailey ids picture | sed 's/^/  /'

say "4. What is going to happen is known before: bailey plan, or try --plan"
bailey try --plan true >"$work/plan" 2>/dev/null
echo "  some of its $(wc -l <"$work/plan") operations"
grep -E 'joiner|map users|attach root|bounding|pivot|Paths/0|seal|prove|no_new|filter|execute' "$work/plan" | cut -c1-120

say "5. What fails says why"
bailey try --ro / true || :
install /bin/true "$work/out/program"
bailey try "$work/out/program" || :
sed -i 's|"/proc"|"/proc/sys"|' "$bundle/config.json"
bailey run --bundle "$bundle" fails || :

say "Nothing is left: bailey delete --force"
