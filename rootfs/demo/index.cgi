#!/bin/sh
# The demo's page: the machine's state as this container sees it. Shell built-ins only: no process per line.
# shellcheck disable=SC3060,SC3028,SC2086 # BusyBox ash has them; words are split on purpose

escape() { # text -> $REPLY, safe inside of HTML
	REPLY=$1
	REPLY=${REPLY//&/&amp;}
	REPLY=${REPLY//</&lt;}
	REPLY=${REPLY//>/&gt;}
}

row() { # name value
	escape "$2"
	page="$page<tr><th>$1</th><td>$REPLY</td></tr>
"
}

first() { # file -> $line, its first line or nothing
	line=
	[ -r "$1" ] && read -r line <"$1"
}

mib() { # kibibytes -> $REPLY
	REPLY="$(($1 / 1024)) MiB"
}

page=
first /etc/hostname
row "Container" "${line:-$HOSTNAME}"
first /proc/sys/kernel/osrelease
row "Kernel" "Linux $line"
first /proc/uptime
up=${line%%.*}
row "Machine is up" "$((up / 86400)) d $((up % 86400 / 3600)) h $((up % 3600 / 60)) min $((up % 60)) s"
first /proc/loadavg
set -- $line
row "Load" "$1 $2 $3"
cpus=0 total=0 free=0
while read -r name value _; do
	case $name in
	processor) cpus=$((cpus + 1)) ;;
	esac
done </proc/cpuinfo
row "Processors" "$cpus"
while read -r name value _; do
	case $name in
	MemTotal:) total=$value ;;
	MemAvailable:) free=$value ;;
	esac
done </proc/meminfo
mib "$total"
size=$REPLY
mib "$free"
row "Memory" "$REPLY available of $size"
first /sys/fs/cgroup/memory.current
if [ -n "$line" ]; then
	used=$line
	first /sys/fs/cgroup/memory.max
	[ "$line" = max ] || line="$((line / 1024)) KiB"
	row "This container's memory" "$((used / 1024)) KiB of $line"
fi
you=${REMOTE_ADDR#"[::ffff:"} # an IPv4 address, as an IPv6 socket sees it
row "You are" "${you%]}"

printf 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
cat <<HTML
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="10">
<title>Skerry</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42em; margin: 3em auto; padding: 0 1em; color: #1d2b36; background: #f4f6f7 }
h1 { letter-spacing: .04em }
table { border-collapse: collapse; width: 100%; background: #fff; box-shadow: 0 1px 3px #0003 }
th, td { text-align: left; padding: .5em 1em; border-bottom: 1px solid #e3e8eb }
th { font-weight: 600; width: 40%; color: #4a6274 }
code { background: #e3e8eb; padding: 0 .3em }
</style>
<h1>Skerry</h1>
<p>This page comes from a container that this machine's <code>/etc/skerry/compose/demo.yaml</code> declares.</p>
<table>
$page</table>
</html>
HTML
