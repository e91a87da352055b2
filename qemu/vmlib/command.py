"""QEMU's command line for a machine. Data in, list of words out; nothing is started here.

`spec` is the machine's record (machine.py): machine, accel, memory, cpus, disks, forwards, api_port, pki, net,
disk_log, append, extra, no_reboot, foreground, tsc_khz (of the host, when the guest is to be told).
"""

import json
import os

# microvm has no bus: its virtio devices are of the mmio kind.
SUFFIX = {"q35": "-pci", "microvm": "-device"}
MACHINE = {
    "q35": "q35,vmport=off,smbus=off,sata=off,i8042=off,smm=off",
    "microvm": "microvm,acpi=on,pcie=off,pit=off,pic=off,rtc=on,isa-serial=on,auto-kernel-cmdline=on",
}
# panic=10: say what happened, then start anew.
APPEND = {"q35": "console=ttyS0 panic=10 loglevel=4 rootfstype=ramfs"}
APPEND["microvm"] = APPEND["q35"] + " reboot=t pci=off"
PKI_FILES = {"server.pem": "server.pem", "server-key.pem": "server-key.pem", "client-ca.pem": "ca.pem"}


def _kernel(spec):
    append = APPEND[spec["machine"]]
    if spec["tsc_khz"]:         # emulated: on a busy host nothing can be measured against its timers, nor they be tested
        append += f" tsc_early_khz={spec['tsc_khz']} no_timer_check"
    return ["-kernel", os.path.join(spec["image"], "bzImage"),
            "-initrd", os.path.join(spec["image"], "initramfs"),
            "-append", f"{append} {spec['append']}".strip()]


def _logged(path, log):
    """A disk whose writes are recorded. The log's own header is up to date after each of them."""
    file = {"driver": "file", "filename": path}
    return ["-blockdev", json.dumps({
        "node-name": "disk0", "driver": "blklogwrites", "log-sector-size": 512, "log-super-update-interval": 1,
        "file": {"driver": "raw", "file": file}, "log": {"driver": "file", "filename": log}})]


def _disks(spec):
    words = []
    for number, path in enumerate(spec["disks"]):
        words += [*(_logged(path, spec["disk_log"]) if number == 0 and spec["disk_log"] else
                    ["-drive", f"if=none,id=disk{number},format=raw,cache=writeback,discard=unmap,"
                               f"file={path.replace(',', ',,')}"]),
                  "-device", f"virtio-blk{SUFFIX[spec['machine']]},drive=disk{number}"]
    return words


def _network(spec):
    if not spec["net"]:
        return []
    netdev = "user,id=net0"
    forwards = list(spec["forwards"])
    if spec["api_port"]:
        forwards.append({"proto": "tcp", "host": spec["api_port"], "guest": 2376})
    for item in forwards:
        netdev += f",hostfwd={item['proto']}:127.0.0.1:{item['host']}-:{item['guest']}"
    return ["-netdev", netdev, "-device", f"virtio-net{SUFFIX[spec['machine']]},netdev=net0"]


def _pki(spec):
    words = []
    if spec["pki"]:
        for name, file in PKI_FILES.items():
            path = os.path.join(spec["pki"], file).replace(",", ",,")
            words += ["-fw_cfg", f"name=opt/skerry/{name},file={path}"]
    return words


def _console(spec, folder):
    log = os.path.join(folder, "console.log")
    if spec["foreground"]:
        return ["-chardev", f"stdio,id=con,mux=on,signal=off,logfile={log}",
                "-serial", "chardev:con", "-mon", "chardev=con,mode=readline"]
    path = os.path.join(folder, "console.sock")
    return ["-chardev", f"socket,id=con,path={path},server=on,wait=off,logfile={log}",
            "-serial", "chardev:con"]


def qemu(spec, folder):
    """The whole command of a machine whose directory is folder."""
    cpu = "host" if spec["accel"] == "kvm" else "max"
    # One thread for all processors: with one each, a processor of QEMU 7.2 can run code that another has just patched
    # (the kernel's static keys), and the kernel dies of an int3 that is not there any more.
    accel = "kvm" if spec["accel"] == "kvm" else "tcg,thread=single"
    words = ["qemu-system-x86_64", "-name", spec["name"], "-M", MACHINE[spec["machine"]], "-accel", accel,
             "-cpu", cpu, "-m", spec["memory"], "-smp", str(spec["cpus"]),
             "-nodefaults", "-no-user-config", "-display", "none",
             "-qmp", f"unix:{os.path.join(folder, 'qmp.sock')},server=on,wait=off"]
    if spec["rng"]:
        words += ["-device", f"virtio-rng{SUFFIX[spec['machine']]}"]
    words += _kernel(spec) + _console(spec, folder) + _disks(spec) + _network(spec) + _pki(spec)
    if spec["no_reboot"]:
        words.append("-no-reboot")
    return words + spec["extra"]
