#!/usr/bin/env python3
"""Every option of docker run: its effect seen inside the container, what inspect says, and the errors of what cannot be had.

Most cases are tables. A row of RUNS is one container: the option words, and lines of shell with what each must print. A row
of REFUSED is what `docker create` must say; BODIES are create requests that the client cannot make.
"""

import json
import os

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/options:latest"
HOST = "/var/lib/skerry-options"        # a folder of the machine
MARK = "@-@"


def run(*words, **more):
    """docker run --rm of the test image; the output."""
    return box.docker("run", "--rm", *words, **more)


def inside(script, *options, **more):
    return run(*options, IMAGE, "sh", "-c", script, **more)


def refused(*words):
    """What docker says to a create that must fail."""
    done = box.docker("create", *words, check=False)
    if done.returncode == 0:
        box.docker("rm", done.stdout.strip())
    check(done.returncode != 0, f"docker create {' '.join(words)}: was taken")
    return done.stderr


def create(body, name=""):
    """POST /containers/create; the id, removed by who asks for it."""
    status, answer = box.request("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": ["true"], **body})
    return status, answer


def detached(name, *words):
    """A container that stays until it is removed."""
    box.docker("run", "-d", "--name", name, *words, IMAGE, "sleep", "1000")


def table(rows, *options):
    """One container for many questions: (line of shell, what it prints)."""
    # the mark does not stand in the script itself, which may show in what is printed
    script = "\n".join(f"echo '{MARK[0]}''{MARK[1:]}'; ( {line}\n) 2>&1" for line, _want in rows)
    parts = inside(f"{script}\ntrue", *options, seconds=180).split(MARK)[1:]
    equal(len(parts), len(rows), "answers")
    for (line, want), part in zip(rows, parts):
        equal(part.strip(), want, f"docker run {' '.join(options)}: {line}")


@case("the test image and the folders of the machine")
def prepare():
    path = images.busybox_image(os.path.join(box.scratch, "options.tar"), name=IMAGE, more={
        "opt": None, "opt/preset": b"from the image\n", "opt/owned": b"x"}, config={"Labels": {"of": "image"}})
    box.docker("load", "-i", path)
    box.sh(f"mkdir -p {HOST}/sub {HOST}/dir && echo host > {HOST}/f && mount -t tmpfs -o size=1m sub {HOST}/sub && "
           f"echo below > {HOST}/sub/f")


@case("who and where: -e --env-file -w -u --group-add -h --domainname --entrypoint --stop-signal --label-file --annotation")
def plain():
    env = os.path.join(box.scratch, "env")
    labels = os.path.join(box.scratch, "labels")
    with open(env, "w", encoding="ascii") as text:
        text.write("# a comment\nFILED=from file\nBOTH=file\n")
    with open(labels, "w", encoding="ascii") as text:
        text.write("filed=yes\n")
    table([
        ("echo $A:$B:$FILED:$BOTH:$HOSTNAME", "1:two words:from file:word:box1"),
        ("pwd", "/var/made/here"),
        ("id -u; id -g; id -G", "1000\n1000\n1000 27 77 2000"),
        ("hostname; cat /etc/hostname", "box1\nbox1"),
        ("hostname -d 2>/dev/null || cat /proc/sys/kernel/domainname", "lan.test"),
        ("cat /proc/sys/kernel/domainname", "lan.test"),
        ("grep box1 /etc/hosts | cut -f2", "box1.lan.test box1"),
        ("echo $HOME", "/home"),
    ], "-e", "A=1", "-e", "B=two words", "--env-file", env, "-e", "BOTH=word", "-w", "/var/made/here", "-u", "user",
        "--group-add", "27", "--group-add", "77", "-h", "box1", "--domainname", "lan.test")
    equal(run("--entrypoint", "/bin/echo", IMAGE, "a", "b"), "a b", "--entrypoint")
    equal(run("--entrypoint", "", IMAGE, "echo", "c"), "c", "an empty --entrypoint")
    equal(run("-a", "stderr", IMAGE, "sh", "-c", "echo out; echo err >&2", both=True), "err", "-a stderr")
    cid = os.path.join(box.scratch, "cid")
    box.docker("create", "--name", "options-labels", "--label", "a=b", "--label-file", labels, "--annotation", "note=x",
               "--cidfile", cid, "--stop-signal", "USR1", "--stop-timeout", "7", IMAGE, "true")
    have = box.inspect("options-labels")
    with open(cid, encoding="ascii") as text:
        equal(text.read(), have["Id"], "--cidfile")
    equal(have["Config"]["Labels"], {"a": "b", "filed": "yes", "of": "image"}, "labels")
    equal(have["HostConfig"]["Annotations"], {"note": "x"}, "annotations")
    equal((have["Config"]["StopSignal"], have["Config"]["StopTimeout"]), ("USR1", 7), "stop")
    box.docker("rm", "options-labels")


@case("--stop-signal is what a stop sends, --stop-timeout how long it waits")
def stops():
    script = "trap 'echo usr1; exit 4' USR1; trap '' TERM; echo ready; while :; do sleep 1; done"
    box.docker("run", "-d", "--name", "options-stop", "--stop-signal", "USR1", IMAGE, "sh", "-c", script)
    until(lambda: "ready" in box.docker("logs", "options-stop"), "the trap is set")
    box.docker("stop", "options-stop")
    equal((box.docker("logs", "options-stop"), box.inspect("options-stop")["State"]["ExitCode"]), ("ready\nusr1", 4), "stop")
    box.docker("rm", "options-stop")
    box.docker("run", "-d", "--name", "options-stop", "--stop-timeout", "0", IMAGE, "sh", "-c", script)
    until(lambda: "ready" in box.docker("logs", "options-stop"), "the trap is set")
    box.docker("stop", "options-stop")
    equal(box.inspect("options-stop")["State"]["ExitCode"], 137, "no patience")
    box.docker("rm", "options-stop")


@case("names and resolvers: --add-host (host-gateway), --dns --dns-search --dns-option")
def resolvers():
    gateway = box.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    table([
        ("grep -E 'one|two|six' /etc/hosts", f"192.0.2.1\tone\n{gateway}\ttwo\n2001:db8::6\tsix"),
        ("grep -v '^#' /etc/resolv.conf", "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch a.test b.test\noptions ndots:3 rotate"),
    ], "--add-host", "one:192.0.2.1", "--add-host", "two:host-gateway", "--add-host", "six=2001:db8::6", "--dns", "192.0.2.53",
        "--dns", "192.0.2.54", "--dns-search", "a.test", "--dns-search", "b.test", "--dns-option", "ndots:3", "--dns-option",
        "rotate")
    check("search" not in inside("cat /etc/resolv.conf", "--dns-search", "."), "--dns-search .")


@case("-v: bind, its source made, file, read-only with all below, named and anonymous volumes, nocopy")
def binds():
    table([
        ("cat /b/f /b/sub/f", "host\nbelow"),
        ("echo w > /b/dir/w && cat /b/dir/w", "w"),
        ("cat /ro/f /ro/sub/f; touch /ro/x /ro/sub/x", "host\nbelow\ntouch: /ro/x: Read-only file system\n"
         "touch: /ro/sub/x: Read-only file system"),
        ("cat /file", "host"),
        ("ls /made; touch /made/x", ""),
        ("cat /opt/preset", "from the image"),
        ("ls /empty", ""),
    ], "-v", f"{HOST}:/b", "-v", f"{HOST}:/ro:ro", "-v", f"{HOST}/f:/file", "-v", f"{HOST}/new/deep:/made", "-v",
        "options-copy:/opt", "-v", "options-nocopy:/empty:nocopy")
    equal(box.sh(f"cat {HOST}/dir/w; ls {HOST}/new/deep"), "w\nx", "what was written")
    equal(inside("ls /opt", "-v", "options-nocopy:/opt:nocopy"), "", "nocopy")
    equal(inside("ls /opt", "-v", "options-copy:/opt"), "owned\npreset", "kept")
    box.docker("volume", "rm", "options-copy", "options-nocopy")


@case("anonymous volumes: gone with --rm and rm -v, kept by rm; named ones stay")
def anonymous():
    def volumes():
        return set(box.docker("volume", "ls", "-q").split())
    before = volumes()
    run("-v", "/anon", "-v", "options-named:/n", IMAGE, "touch", "/anon/x")
    equal(volumes() - before, {"options-named"}, "after --rm")
    box.docker("run", "--name", "options-anon", "-v", "/anon", "--mount", "type=volume,dst=/anon2", IMAGE, "true")
    made = volumes() - before - {"options-named"}
    equal(len(made), 2, "anonymous volumes")
    box.docker("rm", "options-anon")
    equal(volumes() - before, made | {"options-named"}, "after rm")
    box.docker("volume", "rm", "options-named", *made)
    box.docker("run", "--name", "options-anon", "-v", "/anon", IMAGE, "true")
    box.docker("rm", "-v", "options-anon")
    equal(volumes(), before, "after rm -v")


@case("--mount bind: readonly with and without what is below, bind-recursive, bind-create-src")
def mount_binds():
    table([
        ("touch /rro/x /rro/sub/x", "touch: /rro/x: Read-only file system\ntouch: /rro/sub/x: Read-only file system"),
        ("touch /ro/x 2>&1; touch /ro/sub/y && echo below", "touch: /ro/x: Read-only file system\nbelow"),
        ("ls /flat/sub; ls /flat", "\ndir\nf\nnew\nsub".strip()),
        ("touch /force/sub/x", "touch: /force/sub/x: Read-only file system"),
        ("touch /plain/sub/z && echo ok", "ok"),
    ], "--mount", f"type=bind,src={HOST},dst=/rro,readonly",
        "--mount", f"type=bind,src={HOST},dst=/ro,readonly,bind-recursive=writable",
        "--mount", f"type=bind,src={HOST},dst=/flat,bind-recursive=disabled",
        "--mount", f"type=bind,src={HOST},dst=/force,readonly,bind-recursive=readonly,bind-propagation=rprivate",
        "--mount", f"type=bind,src={HOST},dst=/plain")
    status, answer = create({"HostConfig": {"AutoRemove": True, "Mounts": [
        {"Type": "bind", "Source": f"{HOST}/made/by", "Target": "/m", "BindOptions": {"CreateMountpoint": True}}]}})
    equal(status, 201, str(answer))
    box.docker("start", answer["Id"])
    box.sh(f"test -d {HOST}/made/by")


@case("--mount bind-propagation: rprivate, rslave, rshared; an unshared source is refused")
def propagation():
    box.sh(f"mkdir -p {HOST}/p && rm -rf {HOST}/p/*; mkdir {HOST}/p/before {HOST}/p/in {HOST}/p/out")
    for mode, sees, shows in (("rprivate", False, False), ("rslave", True, False), ("rshared", True, True),
                              ("private", False, False), ("slave", True, False), ("shared", True, True)):
        name = f"options-{mode}"
        detached(name, "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--mount",
                 f"type=bind,src={HOST}/p,dst=/p,bind-propagation={mode}")
        pid = box.inspect(name)["State"]["Pid"]
        box.sh(f"mount -t tmpfs in {HOST}/p/in && touch {HOST}/p/in/{mode}")
        have = box.sh(f"ls /proc/{pid}/root/p/in")
        equal(have, mode if sees else "", f"{mode}: what the machine mounts")
        box.sh(f"nsenter -t {pid} -m mount -t tmpfs out /p/out && nsenter -t {pid} -m touch /p/out/{mode}")
        equal(box.sh(f"ls {HOST}/p/out"), mode if shows else "", f"{mode}: what the container mounts")
        box.docker("rm", "-f", name)
        box.sh(f"umount {HOST}/p/in; umount {HOST}/p/out 2>/dev/null; test -z \"$(ls {HOST}/p/in {HOST}/p/out | grep -v :)\"")
    box.sh(f"mkdir -p /run/options-private")
    done = box.docker("run", "--rm", "--mount", "type=bind,src=/run/options-private,dst=/p,bind-propagation=rshared", IMAGE, "true",
                      check=False)
    contains(done.stderr, "path /run/options-private is mounted on /run but it is not a shared mount", "an unshared source")
    box.sh("rmdir /run/options-private")


@case("--mount volume: nocopy, labels, driver, subpath, readonly; a link cannot lead out of it")
def mount_volumes():
    table([
        ("cat /opt/preset; touch /opt/x", "from the image"),
        ("ls /no", ""),
    ], "--mount", "type=volume,src=options-v,dst=/opt,volume-label=a=b,volume-driver=local",
        "--mount", "type=volume,src=options-n,dst=/no,volume-nocopy")
    equal(box.inspect("options-v", "volume")["Labels"], {"a": "b"}, "labels")
    inside("mkdir -p /v/sub/deep && echo deep > /v/sub/deep/f && ln -s /etc /v/out && ln -s sub/deep /v/link", "-v", "options-v:/v")
    table([
        ("cat /s/deep/f; ls /s", "deep\ndeep"),
        ("cat /l/f", "deep"),
        ("touch /l/x", "touch: /l/x: Read-only file system"),
    ], "--mount", "type=volume,src=options-v,dst=/s,volume-subpath=sub",
        "--mount", "type=volume,src=options-v,dst=/l,volume-subpath=link,readonly")
    box.docker("create", "--name", "options-cp", "--mount", "type=volume,src=options-v,dst=/s,volume-subpath=sub", IMAGE, "true")
    box.docker("cp", "options-cp:/s/deep/f", os.path.join(box.scratch, "deep"))     # of one that does not run
    with open(os.path.join(box.scratch, "deep"), encoding="ascii") as text:
        equal(text.read(), "deep\n", "docker cp")
    box.docker("rm", "options-cp")
    done = box.docker("run", "--rm", "--mount", "type=volume,src=options-v,dst=/s,volume-subpath=out", IMAGE, "true", check=False)
    contains(done.stderr, "cannot access path", "a link out of the volume")
    done = box.docker("run", "--rm", "--mount", "type=volume,src=options-v,dst=/s,volume-subpath=none", IMAGE, "true", check=False)
    contains(done.stderr, "cannot access path", "a missing subpath")
    box.docker("volume", "rm", "options-v", "options-n")


@case("--tmpfs and --mount tmpfs: size, mode, owner, exec; --read-only; --shm-size")
def tmpfs():
    def flags(path):
        return f"grep ' {path} ' /proc/mounts | cut -d' ' -f4"
    table([
        (flags("/t") + " | tr , '\\n' | grep -E 'size|mode|uid|^no|^rw' | sort | tr '\\n' ' '",
         "mode=700 nodev noexec nosuid rw size=1024k uid=1000"),
        ("cp /bin/busybox /x/true && /x/true && echo ran", "ran"),
        ("df -k /m | tail -1 | awk '{print $2}'; stat -c %a /m", "2048\n1770"),
        ("touch /mro/x", "touch: /mro/x: Read-only file system"),
        ("touch /x/y && touch /file", "touch: /file: Read-only file system"),
        ("echo 1 >> /etc/hosts", "sh: can't create /etc/hosts: Read-only file system"),
        ("df -k /dev/shm | tail -1 | awk '{print $2}'", "3072"),
    ], "--read-only", "--shm-size", "3m", "--tmpfs", "/t:size=1m,mode=700,uid=1000", "--tmpfs", "/x:exec,size=2m",
        "--mount", "type=tmpfs,dst=/m,tmpfs-size=2m,tmpfs-mode=1770", "--mount", "type=tmpfs,dst=/mro,readonly")
    status, answer = create({"Cmd": ["sh", "-c", "cp /bin/busybox /o/true && /o/true && echo ran"], "HostConfig": {"Mounts": [
        {"Type": "tmpfs", "Target": "/o", "TmpfsOptions": {"SizeBytes": 4 << 20, "Options": [["exec"]]}}]}}, "options-tmpfs")
    equal(status, 201, str(answer))
    equal(box.docker("start", "-a", "options-tmpfs"), "ran", "TmpfsOptions.Options")
    box.docker("rm", "options-tmpfs")


@case("--volumes-from: by name and id, read-only, what the other was given read-only stays so; own mounts win")
def volumes_from():
    box.docker("create", "--name", "options-donor", "-v", "options-data:/data", "-v", "/anon", "-v", f"{HOST}:/host:ro",
               "--tmpfs", "/notthis", IMAGE, "true")
    short = box.inspect("options-donor")["Id"][:12]
    inside("echo kept > /data/f; echo a > /anon/f", "--volumes-from", "options-donor")
    table([
        ("cat /data/f /anon/f /host/f", "kept\na\nhost"),
        ("touch /data/x", "touch: /data/x: Read-only file system"),
        ("ls -d /notthis", "ls: /notthis: No such file or directory"),
    ], "--volumes-from", f"{short}:ro")
    table([
        ("cat /data/f && touch /data/x && echo w", "kept\nw"),
        ("touch /host/x", "touch: /host/x: Read-only file system"),
        ("ls /anon", ""),
    ], "--volumes-from", "options-donor:rw", "--tmpfs", "/anon")
    equal(box.docker("run", "--name", "options-heir", "--volumes-from", "options-donor", IMAGE, "cat", "/anon/f"), "a", "heir")
    anonymous_name = [m["Name"] for m in box.inspect("options-heir")["Mounts"] if m["Destination"] == "/anon"][0]
    box.docker("rm", "-v", "options-donor")
    check(anonymous_name in box.docker("volume", "ls", "-q"), "a volume that another container has was removed")
    box.docker("rm", "-v", "options-heir")
    check(anonymous_name not in box.docker("volume", "ls", "-q"), "the last container left its anonymous volume")
    box.docker("volume", "rm", "options-data")


@case("--device: a node, another path, permissions, a folder; --device-cgroup-rule")
def devices():
    table([
        ("(: > /dev/kmsg) && echo opened", "opened"),
        ("test -b /dev/other && stat -c %T /dev/other", "0"),
        ("dd if=/dev/other bs=1 count=1 2>/dev/null | wc -c", "1"),
        ("(: > /dev/other)", "sh: can't create /dev/other: Operation not permitted"),
    ], "--device", "/dev/kmsg", "--device", "/dev/vda:/dev/other:r")
    table([
        ("ls /dev/input 2>/dev/null | wc -l", box.sh("ls /dev/input 2>/dev/null | wc -l").strip()),
        ("ls /dev/net", "tun"),
        ("ls /elsewhere", "tun"),
    ], "--device", "/dev/net", "--device", "/dev/net:/elsewhere:rw")
    major, minor = box.sh("cat /sys/block/vda/dev").strip().split(":")
    table([
        (f"mknod /tmp/k b {major} {minor} && (: < /tmp/k) && echo opened", "opened"),
        ("(: > /tmp/k)", "sh: can't create /tmp/k: Operation not permitted"),
    ], "--device-cgroup-rule", f"b {major}:{minor} r")
    table([
        (f"mknod /tmp/k b {major} {minor} && (: < /tmp/k) && echo opened", "opened"),
    ], "--device-cgroup-rule", f"b {major}:* rwm")
    equal(inside(f"mknod /tmp/k b {major} {minor} && (: < /tmp/k); true", both=True), "sh: can't open /tmp/k: Operation not permitted",
          "without a rule")
    done = box.docker("run", "--rm", "--device", "/dev/none", IMAGE, "true", check=False)
    contains(done.stderr, 'error gathering device information while adding custom device "/dev/none": no such file or directory',
             "a missing device")


@case("--privileged: all capabilities and devices, no filter, no masks, /sys and cgroups writable")
def privileged():
    all_caps = box.sh("grep CapEff /proc/1/status").split()[1]
    table([
        ("grep CapEff /proc/self/status | cut -f2", all_caps),
        ("grep Seccomp: /proc/self/status | cut -f2", "0"),
        ("test -b /dev/vda && dd if=/dev/vda bs=1 count=1 2>/dev/null | wc -c", "1"),
        ("grep -c -E ' (/proc/kcore|/sys/firmware|/proc/sys) ' /proc/mounts", "0"),
        ("grep ' /sys ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", "rw"),
        ("grep ' /sys/fs/cgroup ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", "rw"),
        ("mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo cgroup", "cgroup"),
        ("mount -t tmpfs none /tmp && echo mounted", "mounted"),
        ("ls /dev/pts; ls /dev/shm; readlink /dev/ptmx", "ptmx\npts/ptmx"),
        ("test -c /dev/same && echo same", "same"),
    ], "--privileged", "--device", "/dev/kmsg:/dev/same:r", "--device", "/dev/null")


@case("--cap-add and --cap-drop: names with and without CAP_, any case, ALL")
def capabilities():
    def effective(*words):
        return int(inside("grep CapEff /proc/self/status", *words).split()[1], 16)
    default = effective()
    equal(effective("--cap-add", "net_admin", "--cap-drop", "CAP_CHOWN"), (default | 1 << 12) & ~1, "one each")
    equal(effective("--cap-drop", "all", "--cap-add", "CAP_SYS_TIME"), 1 << 25, "drop ALL")
    everything = int(box.sh("grep CapEff /proc/1/status").split()[1], 16)
    equal(effective("--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"), everything & ~(1 << 21), "add ALL")


@case("--security-opt: seccomp=FILE, unconfined, no-new-privileges, systempaths=unconfined, writable-cgroups; what means off")
def security():
    profile = os.path.join(box.scratch, "seccomp.json")
    with open(profile, "w", encoding="ascii") as text:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
            {"names": ["uname"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_TIME"]}}]}, text)
    table([
        ("mkdir /tmp/x", "mkdir: can't create directory '/tmp/x': Permission denied"),
        ("grep Seccomp: /proc/self/status | cut -f2", "2"),
    ], "--security-opt", f"seccomp={profile}")
    table([
        ("grep Seccomp: /proc/self/status | cut -f2", "0"),
        ("grep NoNewPrivs /proc/self/status | cut -f2", "1"),
        ("grep -c -E ' (/proc/kcore|/sys/firmware|/proc/sys) ' /proc/mounts", "0"),
    ], "--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges", "--security-opt", "systempaths=unconfined")
    table([
        ("grep NoNewPrivs /proc/self/status | cut -f2", "0"),
        ("mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo made", "made"),
        ("grep -c ' /proc/sys ' /proc/mounts", "1"),
    ], "--security-opt", "no-new-privileges=false", "--security-opt", "apparmor=unconfined", "--security-opt", "label=disable",
        "--security-opt", "seccomp=builtin", "--security-opt", "writable-cgroups=true")


@case("namespaces of the machine: --pid --ipc --uts --cgroupns --network host")
def host_namespaces():
    names = ("pid", "ipc", "uts", "cgroup", "net", "mnt")
    host = dict(zip(names, box.sh(f"for n in {' '.join(names)}; do readlink /proc/1/ns/$n; done").split()))
    for option, name in (("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup"), ("--network", "net")):
        have = dict(zip(names, inside(f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done", option, "host").split()))
        equal({n for n in names if have[n] == host[n]}, {name}, f"{option} host")
    table([
        ("hostname", box.sh("hostname").strip()),
        ("echo $HOSTNAME", box.sh("hostname").strip()),
        ("ip -o link show skerry0 | wc -l", "1"),
        ("cat /proc/1/comm", "init"),
        ("grep -c ' /dev/shm ' /proc/mounts", "1"),
    ], "--network", "host", "--pid", "host", "--ipc", "host")
    box.sh("touch /dev/shm/of-the-machine")
    equal(inside("ls /dev/shm", "--ipc", "host"), "of-the-machine", "/dev/shm")
    box.sh("rm /dev/shm/of-the-machine")
    contains(inside("cat /proc/self/cgroup", "--cgroupns", "host"), "0::/containers/", "cgroup path")
    equal(inside("cat /proc/self/cgroup", "--cgroupns", "private"), "0::/", "cgroup path")


@case("--ipc none, private, shareable; --ipc and --pid container: joined, safely refused, found again after a restart")
def joins():
    equal(inside("ls /dev/shm 2>&1; true", "--ipc", "none"), "ls: /dev/shm: No such file or directory", "none")
    detached("options-share", "--ipc", "shareable", "--shm-size", "2m")
    box.docker("run", "--rm", "--ipc", "container:options-share", IMAGE, "touch", "/dev/shm/common")
    pid = box.inspect("options-share")["State"]["Pid"]
    def spaces():
        return box.sh(f"for n in ipc pid net; do readlink /proc/{box.inspect('options-share')['State']['Pid']}/ns/$n; done")
    equal(box.sh(f"ls /proc/{pid}/root/dev/shm"), "common", "/dev/shm of the donor")
    ask = "for n in ipc pid net; do readlink /proc/self/ns/$n; done; ls /dev/shm; df -k /dev/shm | tail -1 | awk '{print $2}'; " \
          "cat /proc/1/cmdline | tr '\\0' ' '"
    joined = ("--ipc", "container:options-share", "--pid", "container:options-share", "--network", "container:options-share")
    equal(inside(ask, *joined), f"{spaces()}\ncommon\n2048\nsleep 1000", "joined")
    box.docker("create", "--name", "options-joiner", *joined, IMAGE, "sh", "-c",
               "for n in ipc pid net; do readlink /proc/self/ns/$n; done")
    equal(box.docker("start", "-a", "options-joiner").split(), spaces().split(), "first")
    equal(box.inspect("options-joiner")["HostConfig"]["NetworkMode"], "container:" + box.inspect("options-share")["Id"], "inspect")
    before = spaces()
    box.docker("restart", "-t", "0", "options-share")
    check(spaces() != before, "new namespaces")
    equal(box.docker("start", "-a", "options-joiner").split(), spaces().split(), "after the donor's restart")
    box.docker("stop", "-t", "0", "options-share")
    done = box.docker("start", "options-joiner", check=False)
    contains(done.stderr, "cannot join network of a non running container", "the donor is stopped")
    for option, text in (("--pid", "failed to join PID namespace: container"), ("--ipc", "failed to join IPC namespace: container")):
        done = box.docker("run", "--rm", option, "container:options-share", IMAGE, "true", check=False)
        contains(done.stderr, text, option)
        contains(done.stderr, "is not running", option)
        done = box.docker("run", "--rm", option, "container:options-nobody", IMAGE, "true", check=False)
        contains(done.stderr, "No such container: options-nobody", option)
    box.docker("rm", "-f", "options-joiner", "options-share")
    detached("options-private")
    done = box.docker("run", "--rm", "--ipc", "container:options-private", IMAGE, "true", check=False)
    contains(done.stderr, "non-shareable IPC (hint: use IpcMode:shareable for the donor container)", "a private one")
    box.docker("rm", "-f", "options-private")
    equal(box.sh("ls /run/skerry/shm"), "", "what is left")


@case("an engine that is killed: a shared /dev/shm and joined namespaces stay, and can be joined again")
def engine_killed():
    detached("options-share", "--ipc", "shareable")
    detached("options-joined", "--ipc", "container:options-share")
    before = box.sh(f"echo {vm.ENGINE}")
    box.sh(f"kill -9 {before}")
    until(lambda: box.sh(f"echo {vm.ENGINE}") not in ("", before), "another engine")
    box.wait_api()
    box.docker("run", "--rm", "--ipc", "container:options-share", IMAGE, "touch", "/dev/shm/later")
    pids = [box.inspect(name)["State"]["Pid"] for name in ("options-share", "options-joined")]
    equal(box.sh(f"ls /proc/{pids[0]}/root/dev/shm; ls /proc/{pids[1]}/root/dev/shm").split(), ["later", "later"], "/dev/shm")
    box.docker("rm", "-f", "options-share", "options-joined")
    equal(box.sh("ls /run/skerry/shm"), "", "what is left")


@case("a container that ends while others run leaves nothing in them: its network namespace goes at once")
def let_go():
    detached("options-old")
    space = box.sh(f"readlink /proc/{box.inspect('options-old')['State']['Pid']}/ns/net")
    number = space.split("[")[1].rstrip("]\n")
    detached("options-young", "-v", "/:/host:ro")       # born with a copy of the machine's mounts, and has them all bound
    shim = box.sh("cat /sys/fs/cgroup/shims/cgroup.procs").split()
    equal(box.sh(f"grep -l 'net:.{number}' {' '.join(f'/proc/{p}/mountinfo' for p in shim)} || true"), "", "held by a shim")
    box.docker("rm", "-f", "options-old")
    equal(box.sh(f"grep -l 'net:.{number}' /proc/[0-9]*/mountinfo 2>/dev/null || true"), "", "held by anyone")
    box.docker("rm", "-f", "options-young")


@case("--cgroup-parent: the container's group lies below it, and it goes with the last one")
def cgroup_parent():
    text = inside("cat /proc/self/cgroup", "--cgroup-parent", "/options/inner", "--cgroupns", "host")
    contains(text, "0::/containers/options/inner/", "path")
    until(lambda: box.sh("ls -d /sys/fs/cgroup/containers/options 2>/dev/null || true") == "", "the parent is removed")
    box.sh("mkdir /sys/fs/cgroup/containers/kept && echo 9 > /sys/fs/cgroup/containers/kept/pids.max")
    contains(inside("i=0; while [ $i -lt 20 ]; do sleep 3 & i=$((i+1)); done", "--cgroup-parent", "kept", both=True, check=False).stdout,
             "can't fork", "the parent's limit")
    box.sh("cat /sys/fs/cgroup/containers/kept/pids.max && rmdir /sys/fs/cgroup/containers/kept")


@case("--sysctl of namespaces, --ulimit, --oom-score-adj")
def kernel_settings():
    table([
        ("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/eth0/rp_filter", "0\n2"),
        ("cat /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max", "16384\n20"),
        ("cat /proc/sys/net/ipv4/ping_group_range | tr '\\t' ' '", "5 6"),
        ("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
        ("ulimit -S -n; ulimit -H -n; ulimit -c; ulimit -S -u", "100\n200\n0\n77"),
        ("cat /proc/self/oom_score_adj", "345"),
    ], "--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "net.ipv4.conf.eth0.rp_filter=2", "--sysctl", "kernel.msgmax=16384",
        "--sysctl", "fs.mqueue.msg_max=20", "--sysctl", "net.ipv4.ping_group_range=5 6", "--ulimit", "nofile=100:200",
        "--ulimit", "core=0", "--ulimit", "nproc=77", "--oom-score-adj", "345")


@case("limits: memory, swap, reservation, cpu, cpuset, pids, block devices; what cgroup v2 has not is told")
def limits():
    def cat(*files):
        return f"cd /sys/fs/cgroup && cat {' '.join(files)}"
    cpus = int(box.sh("nproc"))
    table([
        (cat("memory.max", "memory.swap.max", "memory.low", "pids.max"), "67108864\n33554432\n33554432\n30"),
        (cat("cpu.max", "cpu.weight"), "25000 50000\n59"),
        (cat("cpuset.cpus", "cpuset.mems"), "0\n0"),
        ("nproc", "1"),
        (cat("io.weight") + " | head -1", "default 4950"),
        (cat("io.max") + " | tr ' ' '\\n' | grep -v : | sort | tr '\\n' ' '", "rbps=1048576 riops=100 wbps=2097152 wiops=200"),
    ], "-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--pids-limit", "30", "--cpu-quota", "25000",
        "--cpu-period", "50000", "--cpu-shares", "512", "--cpuset-cpus", "0", "--cpuset-mems", "0", "--blkio-weight", "500",
        "--device-read-bps", "/dev/vda:1m", "--device-write-bps", "/dev/vda:2m", "--device-read-iops", "/dev/vda:100",
        "--device-write-iops", "/dev/vda:200")
    table([
        (cat("cpu.max", "memory.swap.max", "pids.max"), "75000 100000\nmax\nmax"),
    ], "--cpus", "0.75", "-m", "64m", "--memory-swap", "-1", "--pids-limit", "-1")
    check(cpus >= 1, "a processor")
    done = box.docker("run", "--rm", "-m", "64m", "--memory-swappiness", "50", "--oom-kill-disable", IMAGE, "true", check=False)
    equal(done.returncode, 0, done.stderr)
    for text in ("memory swappiness capabilities", "OomKillDisable discarded"):
        contains(done.stderr, text, "warnings")
    status, answer = create({"HostConfig": {"KernelMemory": 1 << 25, "KernelMemoryTCP": 1 << 25, "NetworkMode": "host",
                                            "PortBindings": {"80/tcp": [{}]}}}, "options-kernel")
    equal(status, 201, str(answer))
    for text in ("kernel memory limit", "kernel memory TCP limit", "Published ports are discarded when using host network mode"):
        contains(str(answer["Warnings"]), text, "warnings")
    box.docker("rm", "options-kernel")


@case("--blkio-weight-device, where the disk's scheduler knows weights, and an error where it does not")
def weight_device():
    before = box.sh("sed 's/.*\\[\\(.*\\)\\].*/\\1/' /sys/block/vda/queue/scheduler")
    box.sh("echo bfq > /sys/block/vda/queue/scheduler")
    try:
        text = inside("cat /sys/fs/cgroup/io.bfq.weight", "--blkio-weight-device", "/dev/vda:300")
        contains(text, f"{box.sh('cat /sys/block/vda/dev').strip()} 300", "weight")
    finally:
        box.sh(f"echo {before} > /sys/block/vda/queue/scheduler")
    done = box.docker("run", "--rm", "--blkio-weight-device", "/dev/null:300", IMAGE, "true", check=False)
    contains(done.stderr, "/dev/null is not a block device of this machine", "no disk")


@case("--init: a small first process that reaps, hands signals on and gives the program's status")
def first_process():
    table([
        ("cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline | head -1 | cut -c1-20", "docker-init\n/sbin/docker-init --"),
        ("touch /sbin/docker-init", "touch: /sbin/docker-init: Read-only file system"),
        ("grep ' /sbin/docker-init ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", "ro"),
        ("p=$(sh -c 'sleep 1 >/dev/null & echo $!'); i=0; while [ -d /proc/$p ] && [ $i -lt 20 ]; do sleep 1; i=$((i+1)); done; "
         "[ -d /proc/$p ] || echo reaped", "reaped"),
        ("awk '/^Private_Dirty/ {n += $2} END {print (n < 100) ? \"small\" : n}' /proc/1/smaps_rollup", "small"),
    ], "--init")
    done = box.docker("run", "--rm", "--init", IMAGE, "sh", "-c", "exit 9", check=False)
    equal(done.returncode, 9, "status")
    done = box.docker("run", "--rm", "--init", IMAGE, "nothing-here", check=False)
    equal(done.returncode, 127, "a missing program")
    done = box.docker("run", "--rm", "--init", IMAGE, "sh", "-c", "kill -KILL $$", check=False)
    equal(done.returncode, 137, "killed")
    box.docker("run", "-d", "--name", "options-init", "--init", IMAGE, "sleep", "1000")    # sleep alone as PID 1 would not hear TERM
    box.docker("stop", "-t", "60", "options-init")
    equal(box.inspect("options-init")["State"]["ExitCode"], 143, "TERM handed on")
    box.docker("rm", "options-init")


@case("ports: --publish with address, range, random and udp, --expose with -P")
def ports():
    box.docker("run", "-d", "--name", "options-ports", "-p", "8085:80", "-p", "127.0.0.1:8086:81/udp", "-p", "9100-9101:90-91", "-p", "82",
               IMAGE, "sleep", "1000")
    have = box.inspect("options-ports")["NetworkSettings"]["Ports"]
    equal(have["80/tcp"], [{"HostIp": "0.0.0.0", "HostPort": "8085"}, {"HostIp": "::", "HostPort": "8085"}], "plain")
    equal(have["81/udp"], [{"HostIp": "127.0.0.1", "HostPort": "8086"}], "address and udp")
    equal([have[f"{p}/tcp"][0]["HostPort"] for p in (90, 91)], ["9100", "9101"], "range")
    check(int(have["82/tcp"][0]["HostPort"]) > 1024, f"random {have['82/tcp']}")
    box.docker("rm", "-f", "options-ports")
    box.docker("run", "-d", "--name", "options-ports", "--expose", "70", "--expose", "71-72/udp", "-P", IMAGE, "sleep", "1000")
    have = box.inspect("options-ports")["NetworkSettings"]["Ports"]
    equal(sorted(have), ["70/tcp", "71/udp", "72/udp"], "exposed")
    check(all(item for item in have.values()), f"published {have}")
    box.docker("rm", "-f", "options-ports")


@case("--mac-address, --link (the default bridge's hosts entries), --network none")
def network():
    equal(inside("cat /sys/class/net/eth0/address", "--mac-address", "02:42:ac:11:22:33"), "02:42:ac:11:22:33", "mac")
    equal(inside("ls -d /sys/class/net/*/", "--network", "none"), "/sys/class/net/lo/", "none")
    detached("options-db", "-h", "dbhost")
    address = box.inspect("options-db")["NetworkSettings"]["IPAddress"]
    names = r"grep -E '\s(options-)?db(host)?$' /etc/hosts"     # its own name is hexadecimal digits
    equal(inside(names, "--link", "options-db:db"), f"{address}\tdb\n{address}\tdbhost\n{address}\toptions-db", "link")
    equal(inside(names, "--link", "options-db"), f"{address}\toptions-db\n{address}\tdbhost", "link without alias")
    box.docker("stop", "-t", "0", "options-db")
    done = box.docker("run", "--rm", "--link", "options-db:db", IMAGE, "true", check=False)
    contains(done.stderr, "Cannot link to a non running container: /options-db AS", "a stopped one")
    box.docker("rm", "options-db")


@case("--pull, --platform, --runtime, -i, -d")
def rest():
    equal(run("--pull", "never", "--platform", "linux/amd64", "--runtime", "runc", IMAGE, "echo", "ok"), "ok", "run")
    done = box.docker("run", "--rm", "--pull", "always", IMAGE, "true", check=False)
    check(done.returncode == 125 and done.stderr, f"--pull always: {done.stderr}")
    done = box.docker("run", "--rm", "--platform", "linux/arm64", "--pull", "never", IMAGE, "true", check=False)
    contains(done.stderr, "was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)", "--platform")
    equal(box.docker("run", "-i", "--rm", IMAGE, "cat", stdin="in\n"), "in", "-i")
    name = box.docker("run", "-d", "--rm", "--name", "options-d", IMAGE, "true")
    equal(len(name), 64, "-d prints the id")
    until(lambda: box.docker("ps", "-aq", "--filter", "name=^/options-d$") == "", "--rm removes what ran in the background")


REFUSED = [
    (("--cap-add", "NOPE"), 'unknown capability: "CAP_NOPE"'),
    (("--security-opt", "apparmor=mine"), "AppArmor is not supported on this host, but the profile 'mine' was specified"),
    (("--security-opt", "label=type:x"), "SELinux is not supported"),
    (("--security-opt", "nonsense=1"), "HostConfig.SecurityOpt: 'nonsense=1' is not known"),
    (("--gpus", "all"), 'could not select device driver "" with capabilities: [[gpu]]'),
    (("--device", "vendor.test/class=x"), "could not select device driver"),
    (("--cpu-rt-runtime", "1000"), "Your kernel does not support CPU real-time scheduler"),
    (("--cpus", "4000"), "range of CPUs is from 0.01 to"),
    (("--cpus", "1", "--cpu-quota", "5000"), "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    (("--cpuset-cpus", "99"), "Requested CPUs are not available - requested 99, available: 0"),
    (("--cpuset-cpus", "x"), "Invalid value x for cpuset cpus"),
    (("--cpuset-mems", "7"), "Requested memory nodes are not available"),
    (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
    (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger than memory limit"),
    (("--memory-swap", "32m"), "You should always set the Memory limit when using Memoryswap limit"),
    (("--blkio-weight", "5"), "Range of blkio weight is from 10 to 1000"),
    (("--storage-opt", "size=1g"), "HostConfig.StorageOpt is not supported"),
    (("--isolation", "process"), 'invalid isolation "process" on linux'),
    (("--runtime", "kata"), "unknown or invalid runtime name: kata"),
    (("--volume-driver", "nfs", "-v", "x1:/x"), 'plugin "nfs" not found'),
    (("--sysctl", "net.ipv4.ip_forward=1", "--network", "host"), 'sysctl "net.ipv4.ip_forward" is not allowed'),
    (("--sysctl", "kernel.msgmax=1", "--ipc", "host"), 'sysctl "kernel.msgmax" is not allowed'),
    (("--ulimit", "nofile=10:5"), "soft limit must be less than or equal to hard limit"),
    (("--oom-score-adj", "2000"), "range for oom score adj is [-1000, 1000]"),
    (("--uts", "host", "-h", "x"), "conflicting options: hostname and the UTS mode"),
    (("--network", "container:x", "-h", "y"), "conflicting options: hostname and the network mode"),
    (("--network", "container:x", "-p", "80"), "conflicting options: port publishing and the container type network mode"),
    (("--network", "container:x", "--dns", "192.0.2.1"), "conflicting options: dns and the network mode"),
    (("--network", "container:x", "--add-host", "a:192.0.2.1"), "conflicting options: custom host-to-IP mapping and the network mode"),
    (("--ip", "192.0.2.9"), "user specified IP address is supported on user defined networks only"),
    (("--volumes-from", "options-none"), "No such container: options-none"),
    (("--volumes-from", "a:rslave"), "invalid mode: rslave"),
    (("-v", "/a:/b:zz"), "invalid mode: zz"),
    (("-v", "/a:/b:ro,rw"), "invalid mode: ro,rw"),
    (("-v", "/a:b"), "invalid mount path: 'b' mount path must be absolute"),
    (("-v", "/a:/"), "destination can't be '/'"),
    (("-v", "x/y:/b"), "includes invalid characters for a local volume name"),
    (("-v", "/a:/b", "-v", "/c:/b"), "Duplicate mount point: /b"),
    (("-v", "/a:/b", "--tmpfs", "/b"), "Duplicate mount point: /b"),
    (("--tmpfs", "/t:nonsense"), 'invalid tmpfs option "nonsense"'),
    (("--mount", "type=bind,src=/none/at/all,dst=/x"), 'invalid mount config for type "bind": bind source path does not exist: /none/at/all'),
    (("--mount", "type=volume,dst=/x,volume-subpath=a"), "must not set Subpath when using anonymous volumes"),
    (("--mount", "type=volume,src=v1,dst=/x,volume-subpath=../a"), "subpath must be a relative path within the volume"),
    (("--mount", "type=image,src=x,dst=/x"), "type image is not supported"),
    (("--cgroup-parent", "../x"), "HostConfig.CgroupParent"),
    (("-w", "rel"), "the working directory 'rel' is invalid, it needs to be an absolute path"),
    (("--stop-signal", "NOPE"), "invalid signal: NOPE"),
    (("--restart", "always", "--rm"), "onflicting options"),
    (("--shm-size", "-1"), "invalid size"),
    (("--link", "options-none:x"), "No such container: options-none"),
    (("--network", "host", "--link", "options-none:x"), "host type networking can't be used with links"),
    (("--platform", "nonsense"), "unknown operating system or architecture"),
    (("--mac-address", "zz"), "is not a valid mac address"),
]


@case("what cannot be had is refused at create, with the words that people search for")
def refusals():
    for words, text in REFUSED:
        contains(refused(*words, IMAGE, "true"), text, f"docker create {' '.join(words)}")


BODIES = [
    ({"HostConfig": {"Sysctls": {"kernel.pid_max": "9"}}}, 400, 'sysctl "kernel.pid_max" is not in a separate kernel namespace'),
    ({"HostConfig": {"DeviceCgroupRules": ["x 1:2 r"]}}, 400, "invalid device cgroup rule format: 'x 1:2 r'"),
    ({"HostConfig": {"Devices": [{"PathOnHost": "dev/x"}]}}, 400, "HostConfig.Devices"),
    ({"HostConfig": {"Devices": [{"PathOnHost": "/dev/null", "CgroupPermissions": "q"}]}}, 400, "HostConfig.Devices"),
    ({"HostConfig": {"IpcMode": "nonsense"}}, 400, "invalid IPC mode: nonsense"),
    ({"HostConfig": {"PidMode": "container:"}}, 400, "invalid PID mode: container:"),
    ({"HostConfig": {"UTSMode": "container:x"}}, 400, "invalid UTS mode: container:x"),
    ({"HostConfig": {"CgroupnsMode": "x"}}, 400, "invalid cgroup namespace mode: x"),
    ({"HostConfig": {"NetworkMode": "container:"}}, 400, "invalid container format container:<name|id>"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}}, 400, "99999"),
    ({"HostConfig": {"PortBindings": {"x/tcp": [{}]}}}, 400, 'invalid port "x"'),
    ({"HostConfig": {"NetworkMode": "nowhere"}}, 400, "network nowhere not found"),
    ({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "192.0.2.300"}}}}}, 400, "192.0.2.300"),
    ({"MacAddress": "02:00:00:00:00:01", "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:00:00:00:00:02"}}}}, 400,
     "the container-wide MAC address must match"),
    ({"HostConfig": {"CpuCount": 2}}, 501, "HostConfig.CpuCount"),
    ({"HostConfig": {"IOMaximumIOps": 2}}, 501, "HostConfig.IOMaximumIOps"),
    ({"HostConfig": {"Cgroup": "x"}}, 501, "HostConfig.Cgroup"),
    ({"HostConfig": {"BlkioWeightDevice": [{"Path": "/dev/vda", "Weight": 5}]}}, 400, "HostConfig.BlkioWeightDevice"),
    ({"HostConfig": {"SecurityOpt": ["seccomp={\"defaultAction\":\"NOPE\"}"]}}, 400, "seccomp"),
    ({"HostConfig": {"SecurityOpt": ["seccomp=/a/file"]}}, 400, "HostConfig.SecurityOpt: seccomp="),
    ({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["nope"]]}}]}}, 400, "invalid option: nope"),
    ({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/x", "BindOptions": {}}]}}, 400, "field BindOptions must not be specified"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Target": "/x"}]}}, 400, "field Source must not be empty"),
    ({"HostConfig": {"Mounts": [{"Type": "nope", "Target": "/x"}]}}, 400, "mount type unknown"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/x", "BindOptions": {"ReadOnlyNonRecursive": True}}]}},
     400, "mount options conflict"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/x", "BindOptions": {"Propagation": "x"}}]}}, 400,
     "invalid propagation mode: x"),
]


@case("requests that no client makes: 400 or 501, and the field is named")
def bodies():
    for body, want, text in BODIES:
        status, answer = create(body)
        equal(status, want, f"{body}: {answer}")
        contains(answer["message"], text, str(body))


@case("inspect gives back what was asked for")
def inspected():
    host = {
        "Binds": [f"{HOST}:/b:ro"], "NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8099"}]},
        "VolumesFrom": None, "CapAdd": ["NET_ADMIN"], "CapDrop": ["CHOWN"], "CgroupnsMode": "host", "Dns": ["192.0.2.1"],
        "DnsOptions": ["ndots:1"], "DnsSearch": ["a.test"], "ExtraHosts": ["a:192.0.2.2"], "GroupAdd": ["27"], "IpcMode": "shareable",
        "OomScoreAdj": 5, "PidMode": "host", "PublishAllPorts": True, "ReadonlyRootfs": True, "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/t": "size=1m"}, "ShmSize": 1 << 20, "Sysctls": {"net.ipv4.ip_forward": "1"}, "Runtime": "runc", "CpuShares": 99,
        "Memory": 64 << 20, "MemorySwap": 96 << 20, "MemoryReservation": 32 << 20, "NanoCpus": 500000000, "CgroupParent": "/p/q",
        "BlkioWeight": 400, "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 4096}], "CpusetCpus": "0", "CpusetMems": "0",
        "BlkioWeightDevice": [{"Path": "/dev/vda", "Weight": 400}],
        "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/k", "CgroupPermissions": "r"}], "DeviceCgroupRules": ["c 1:2 r"],
        "PidsLimit": 44, "Ulimits": [{"Name": "nofile", "Hard": 20, "Soft": 10}], "Init": True, "Annotations": {"a": "b"},
        "Mounts": [{"Type": "volume", "Source": "options-i", "Target": "/v", "ReadOnly": True, "VolumeOptions": {"NoCopy": True, "Subpath": "s"}}],
        "MaskedPaths": [], "ReadonlyPaths": ["/proc/x"],
    }
    config = {"Hostname": "h", "Domainname": "d.test", "User": "1:2", "Env": ["A=b"], "WorkingDir": "/w", "Labels": {"l": "m", "of": "image"},
              "StopSignal": "INT", "StopTimeout": 3, "Entrypoint": ["/bin/sh"], "Cmd": ["-c", "true"], "OpenStdin": True, "StdinOnce": True,
              "ExposedPorts": {"80/tcp": {}}}
    status, answer = create({**config, "HostConfig": host}, "options-inspect")
    equal(status, 201, str(answer))
    have = box.inspect("options-inspect")
    for key, want in host.items():
        value = have["HostConfig"][key]
        if key == "Mounts":
            value = [{k: v for k, v in item.items() if k in want[0]} for item in value]
            value[0]["VolumeOptions"] = {k: v for k, v in value[0]["VolumeOptions"].items() if k in want[0]["VolumeOptions"]}
        equal(value, want, f"HostConfig.{key}")
    for key, want in config.items():
        equal([v for v in have["Config"][key] if not v.startswith("PATH=")] if key == "Env" else have["Config"][key], want, f"Config.{key}")
    box.docker("rm", "options-inspect")
    box.docker("volume", "rm", "options-i")


@case("nothing is left: volumes, mounts, cgroups")
def left():
    box.sh(f"umount {HOST}/sub; rm -rf {HOST}")
    equal([v for v in box.docker("volume", "ls", "-q").split() if v.startswith("options")], [], "volumes")
    equal(box.docker("ps", "-aq", "--filter", "name=options"), "", "containers")
    equal(box.sh("grep -c skerry-options /proc/mounts || true"), "0", "mounts")


if __name__ == "__main__":
    tap.main()
