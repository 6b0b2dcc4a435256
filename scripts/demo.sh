#!/bin/bash
# Runs one hardened container on the built-in default (`bailey spec --hardened`) and prints, from inside and
# from outside, what it really got. Needs root and bin/bailey (`make demo` sees to both); leaves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "demo: needs root: try 'sudo make demo'" >&2; exit 1; }
bailey=$PWD/bin/bailey
id=bailey-demo-$$
work=$(mktemp -d)
cleanup() {
	"$bailey" --root "$work/state" delete --force "$id" || :
	rm -rf "$work"
}
trap cleanup EXIT

bold='' plain=''
[ ! -t 1 ] || bold=$'\033[1m' plain=$'\033[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# A bundle: a directory with a root filesystem and a config.json.
mkdir -p "$work"/bundle/rootfs/{bin,dev,etc,proc,run,sys,tmp}
cd "$work/bundle"
cp /bin/busybox rootfs/bin/
for applet in $(busybox --list); do ln -s busybox "rootfs/bin/$applet" 2>/dev/null || :; done
echo 'demo:x:1000:1000::/tmp:/bin/sh' >rootfs/etc/passwd
cat >rootfs/bin/tour <<'EOF'
#!/bin/sh
try() { # what it is, then a command that must not work
	what=$1; shift
	if out=$("$@" 2>&1); then echo "  ALLOWED  $what: $out"; else echo "  refused  $what: ${out##*: }"; fi
}
echo "  who          $(id -u):$(id -g) on $(hostname), process $$ of $(ls /proc | grep -c '^[0-9]') visible"
echo "  user map     $(tr -s ' ' </proc/self/uid_map)"
grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | sed 's/^/  /'
try "write to the root filesystem" touch /x
try "read a masked file" sh -c 'grep . /proc/keys || { echo "it is empty"; false; }'
try "change the kernel" sh -c 'echo x >/proc/sys/kernel/core_pattern'
try "mount a filesystem" mount -t tmpfs none /tmp
try "a user namespace, to win capabilities back" unshare -U true
try "run a program from /tmp" sh -c 'cp /bin/true /tmp/t && /tmp/t'
sleep 600
EOF
chmod 755 rootfs/bin/tour

say "The configuration: bailey spec --hardened"
"$bailey" spec --hardened
# The default's process is an interactive shell.
sed -i -e 's|"sh"|"/bin/tour"|' -e 's|"terminal": true|"terminal": false|' config.json
echo "  a config.json of $(wc -l <config.json) lines, among them:"
tr -d '\n\t' <config.json | sed 's/": /":/g' |
	grep -oE '"(readonly|noNewPrivileges|capabilities|uidMappings|defaultAction)":(\{[^}]*\}|\[[^]]*\]|[^,}]*)' | sed 's/^/  /'

"$bailey" plan >"$work/plan"
say "The plan: bailey plan, some of its $(wc -l <"$work/plan") operations"
# One of each kind that there is many of.
grep -vE 'make a cgroup|attach|the link|take the device|move into cgroup/[^0]|Paths/[1-9]|hand over' "$work/plan" | cut -c1-130

say "Inside: what the container sees and what it cannot do"
"$bailey" --root "$work/state" run --detach --pid-file "$work/pid" "$id"
pid=$(cat "$work/pid")
for _ in $(seq 50); do
	[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" != "" ] && pgrep -P "$pid" sleep >/dev/null && break
	sleep 0.1
done

say "Outside: what the kernel says about process $pid"
printf '  runs as user %s of the host\n' "$(stat -c %u "/proc/$pid")"
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" | sed 's/^/  /'
printf '  namespaces of its own:'
for ns in user mnt pid net ipc uts cgroup; do
	[ "$(readlink "/proc/$pid/ns/$ns")" = "$(readlink "/proc/self/ns/$ns")" ] || printf ' %s' "$ns"
done
echo
awk -F: '$2 ~ /memory|pids/ || $1 == 0 {print "  cgroup       " $2 " " $3}' "/proc/$pid/cgroup"
"$bailey" --root "$work/state" list | sed 's/^/  /'
say "bailey delete --force removes it, and nothing is left"
