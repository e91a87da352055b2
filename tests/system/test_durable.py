#!/usr/bin/env python3
"""Images survive power cuts and kill -9. A script of pull, load, import, tag, commit, rmi and prune runs while QEMU records each
write of the data disk; then the disk is made as it was at SKERRY_CUTS (default 300) moments, and at each of them, after e2fsck
and the engine's own recovery, the store's check (`skerryd store-check`) finds nothing, what was answered with success is
there with the right content, and what was removed with success is gone."""

import concurrent.futures
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.parse

from lib import images, registry, tap, vm
from lib.poll import until
from lib.tap import Failed, case, check, contains, equal
from lib.writelog import Replay, WriteLog

CUTS = int(os.environ.get("SKERRY_CUTS", "300"))
ROUNDS = 2                  # of the script
DISK = 128 << 20
SKERRYD = os.path.join(vm.TOP, "build/target/skerryd")
STORE = "/var/lib/skerry/images"
STORE_ON_DISK = "/lib/skerry/images"        # the data disk is /var
TOOLS = "/usr/libexec/skerry-test"

box = vm.prepared("durable")
reg = registry.start()
LOG = WriteLog(os.path.join(box.scratch, "writes"))
LAYERS = {}                 # diff id -> {path: bytes}
OPS = []                    # of the script: (what, position at the start, position at the answer, state after it)


# --- images, and what the machine says of them ---------------------------------------------------------------------------

def make_layer(files):
    data = images.layer(files)
    LAYERS["sha256:" + images.digest(data)] = files
    return data


def archive(name, *layers, write=images.docker_archive, config=None):
    """The bytes of an archive of one image."""
    path = os.path.join(box.scratch, "made.tar")
    write(path, name, [make_layer(files) for files in layers], config or {"Cmd": ["sh"]})
    with open(path, "rb") as data:
        return data.read()


def files_of(tag, count=6, size=20000):
    """Some files that no other tag has."""
    line = f"{tag} ".encode()
    return {f"{tag}/file{number}": line * (size * (number + 1) // len(line) // count) for number in range(count)}


def ask(method, path, body=None, seconds=120):
    """(status, raw body)"""
    conn = box.connection(seconds)
    try:
        conn.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
        answer = conn.getresponse()
        return answer.status, answer.read()
    finally:
        conn.close()


def whole(name):
    """A name as the store has it: what names no registry is of Docker's own."""
    return name if name.startswith(reg.name + "/") else f"docker.io/{name}"


def state():
    """({name: id}, {id}) as the engine has it."""
    names, ids = {}, set()
    for item in json.loads(ask("GET", "/images/json?all=true")[1]):
        ids.add(item["Id"])
        names.update({whole(name): item["Id"] for name in item["RepoTags"] or []})
    return names, ids


def succeeded(what, answer):
    """An answer of Docker is a success when its status is, and no line of it is an error."""
    status, raw = answer
    check(status < 300 and b"errorDetail" not in raw, f"{what}: {status} {raw[-500:]!r}")
    return raw


def step(what, *words):
    start = LOG.position()
    answer = ask(*words)
    end = LOG.position()
    raw = succeeded(what, answer)
    OPS.append((what, start, end, state()))
    return raw


def load(name, *layers, **options):
    step(f"load {name}", "POST", "/images/load", archive(name, *layers, **options))


def pull(repo, *layers):
    """What the registry has as the repository's tag 1 from now on."""
    reg.add(repo, registry.make([make_layer(files) for files in layers]), "1")
    step(f"pull {repo}", "POST", f"/images/create?fromImage={reg.name}/{repo}&tag=1")


def remove(name, force=False):
    step(f"rmi {name}", "DELETE", f"/images/{urllib.parse.quote(name, safe='/:')}?force={str(force).lower()}")


def prune(everything):
    filters = urllib.parse.quote(json.dumps({"dangling": ["false" if everything else "true"]}))
    step("prune", "POST", f"/images/prune?filters={filters}")


def small_tar(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def import_image(name, files):
    repo, _colon, tag = name.partition(":")
    data = small_tar(files)
    LAYERS["sha256:" + images.digest(data)] = files
    step(f"import {name}", "POST", f"/images/create?fromSrc=-&repo={repo}&tag={tag}&changes=CMD%20sh", data)


def commit(image, name, files):
    repo, _colon, tag = name.partition(":")
    box.docker("create", "--name", "committed", image, "sh")
    path = os.path.join(box.scratch, "copied")
    for place, content in files.items():
        with open(path, "wb") as to:
            to.write(content)
        box.docker("cp", path, f"committed:/{place}")
    step(f"commit {name}", "POST", f"/commit?container=committed&repo={repo}&tag={tag}")
    LAYERS[box.inspect(name, "image")["RootFS"]["Layers"][-1]] = files
    box.docker("rm", "committed")


def one_round(number):
    r = f"r{number}"
    base = files_of("base")
    pull("t/pulled", base, files_of(f"{r}p1"), files_of(f"{r}p2"))
    load("t/a:1", base, files_of(f"{r}a1"), files_of(f"{r}a2"))
    load("t/b:1", base, files_of(f"{r}b1"))
    step("tag", "POST", "/images/t/a:1/tag?repo=t/alias&tag=1")
    import_image("t/imp:1", files_of(f"{r}imp"))
    commit("t/a:1", "t/com:1", {"committed": f"{r} committed\n".encode() * 100})
    load("t/a:1", base, files_of(f"{r}a3"))                         # the name moves
    load("t/oci:1", base, files_of(f"{r}o1"), files_of(f"{r}o2"), write=images.oci_archive)
    remove("t/alias:1")                                             # the last name of the first one
    several = succeeded("save", ask("GET", "/images/get?names=t/b:1&names=t/oci:1"))
    remove("t/b:1")
    remove("t/oci:1")
    step("load of several", "POST", "/images/load", several)
    step("tag of another", "POST", "/images/t/imp:1/tag?repo=t/b&tag=1")
    pull("t/pulled", base, files_of(f"{r}p1"), files_of(f"{r}p3"))  # the name moves, two layers are there
    prune(False)
    remove(state()[0]["docker.io/t/imp:1"], force=True)             # by its id, with both names
    load("t/a:1", base, files_of(f"{r}a1"), files_of(f"{r}a2"))     # what was removed comes back
    prune(True)


# --- the check of one cut ------------------------------------------------------------------------------------------------

def run(*words, good=(0,)):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    check(done.returncode in good, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def checked(output):
    """({name: id}, {id}) as the store's check has it."""
    return ({name: image for name, image in re.findall(r"^name (\S+) (\S+)$", output, re.M)},
            set(re.findall(r"^image (\S+)$", output, re.M)))


def allowed(cut):
    """The states, one or two, that a cut may show, and what was being done."""
    before = max(number for number, item in enumerate(OPS) if item[2] <= cut)
    after = before + 1
    if after < len(OPS) and OPS[after][1] < cut:
        return OPS[before][3], OPS[after][3], OPS[after][0]
    return OPS[before][3], OPS[before][3], f"nothing, after {OPS[before][0]}"


def compare(found, old, new):
    for name in {*found[0], *old[0], *new[0]}:
        check(found[0].get(name) in (old[0].get(name), new[0].get(name)),
              f"{name} is {found[0].get(name)}, expected {old[0].get(name)} or {new[0].get(name)}")
    missing, strange = (old[1] & new[1]) - found[1], found[1] - (old[1] | new[1])
    check(not missing and not strange, f"images missing: {missing}, images that should be gone: {strange}")


def check_layers(store):
    """Blobs and trees of the layers whose content is known."""
    for folder in os.listdir(os.path.join(store, "layers")):
        with open(os.path.join(store, "layers", folder, "layer.json"), encoding="utf-8") as text:
            record = json.load(text)
        blob = os.path.join(store, "blobs/sha256", record["blob"].removeprefix("sha256:"))
        check(os.path.exists(blob), f"the archive of layer {folder} is missing")
        for path, content in LAYERS.get(record["diff_id"], {}).items():
            with open(os.path.join(store, "layers", folder, "fs", path), "rb") as file:
                check(file.read() == content, f"layer {folder}: {path} has another content")


def check_cut(disk, out, cut):
    """Raises Failed with what is wrong at this cut."""
    run("e2fsck", "-fy", disk, good=(0, 1))
    os.mkdir(out)
    run("debugfs", "-R", f"rdump {STORE_ON_DISK} {out}", disk)
    store = os.path.join(out, "images")
    raw = run(SKERRYD, "store-check", store)
    found = checked(run(SKERRYD, "store-check", "--recover", store))
    equal(checked(raw), found, "images and names, before and after the recovery")
    old, new, _what = allowed(cut)
    compare(found, old, new)
    check_layers(store)


def check_cuts(cuts, folder):
    """One thread's share of the cuts; the findings, as texts."""
    replay = Replay(LOG, os.path.join(folder, "base"), DISK)
    disk, out, wrong = os.path.join(folder, "disk"), os.path.join(folder, "out"), []
    for cut, torn in cuts:
        replay.make(cut, torn, disk)
        try:
            check_cut(disk, out, cut)
        except (Failed, OSError, ValueError) as finding:
            wrong.append(f"{'torn ' if torn else ''}cut {cut} ({allowed(cut)[2]}): {finding}")
        shutil.rmtree(out, ignore_errors=True)
    return wrong


@case("a script of pull, load, import, tag, commit, rmi and prune runs, its writes are recorded",
      seconds=600)
def script():
    overlay = os.path.join(box.scratch, "overlay")
    os.makedirs(overlay + TOOLS)
    os.makedirs(overlay + "/etc/skerry")
    with open(overlay + "/etc/skerry/system.yaml", "w", encoding="ascii") as text:
        text.write(f"engine:\n  registry:\n    insecure-registries: [\"{reg.name}\"]\n")
    shutil.copy(images.program("killer.c"), os.path.join(overlay + TOOLS, "killer"))
    box.up(overlay=overlay, disk_size=str(DISK), disk_log=LOG.path)
    box.wait_declared()         # then nobody else brings images
    load("t/start:1", files_of("start"))
    for number in range(ROUNDS):
        one_round(number)
    check(all(start <= end for _what, start, end, _state in OPS), "positions")


@case(f"{CUTS} power cuts: after e2fsck the store is in order, all that was answered is there, all that was removed is gone",
      seconds=300 + 2 * CUTS)
def power_cuts():
    LOG.read()
    cuts = LOG.cuts(OPS[0][2], OPS[-1][2], CUTS)
    check(len(cuts) >= CUTS, f"the log has room for {len(cuts)} cuts only: more ROUNDS")
    share = -(-len(cuts) // (os.cpu_count() or 1))
    wrong, jobs = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for number in range(0, len(cuts), share):
            folder = os.path.join(box.scratch, f"cuts{number}")
            os.mkdir(folder)
            jobs.append(pool.submit(check_cuts, cuts[number:number + share], folder))
        for job in jobs:
            wrong += job.result()
    print(f"# {len(cuts)} cuts ({sum(torn for _cut, torn in cuts)} torn) of {OPS[-1][2] - OPS[0][2]} writes")
    check(not wrong, f"{len(wrong)} of {len(cuts)} cuts:\n" + "\n".join(wrong[:10]))


# --- kill -9 -------------------------------------------------------------------------------------------------------------

def store_check(*words):
    """Status and output of the store's check in the machine."""
    return box.sh(f"/sbin/skerryd store-check {' '.join(words)} {STORE}", check=False)


def in_order():
    """No violation, no left-over, and the engine's view of it is that of the disk."""
    status, said = store_check()
    equal(status, 0, f"the store's check: {said}")
    contains(said, " 0 left-overs", "the store's check")
    equal(state(), checked(said), "the engine's images, and those on disk")
    return True


def attempt(words):
    """An operation that may end with the engine: whether it was answered with success."""
    try:
        succeeded("an operation that is disturbed", ask(*words))
        return True
    except (OSError, http.client.HTTPException, Failed):
        return False


def judge(what, victim, done, before, after):
    """What was answered with success is done, what was refused is not, and what was cut off is one of both."""
    name = f"docker.io/k/{what}:1"
    undone = after == before
    if what == "rmi":
        whole = name not in after[0] and after[1] == before[1] - {before[0][name]}
        partly = name not in after[0] and after[1] == before[1]             # the name goes first
    elif what == "save":
        whole, partly = undone, False
    else:
        whole = after == ({**before[0], name: after[0].get(name)}, before[1] | {after[0].get(name)})
        partly = after[0] == before[0] and len(after[1] - before[1]) == 1 and before[1] <= after[1]
    right = whole if done else undone if victim != "engine" else undone or whole or partly
    check(right, f"{what}, {victim} killed, {'answered' if done else 'not answered'}: {before} became {after}")


def disturbed(what, victim, trigger, looks, words):
    """Kills the victim while the operation runs; whether it was hit."""
    before = state()
    box.sh(f"rm -f /run/over; ({TOOLS}/killer {victim} {trigger} {looks} /run/over > /run/killed 2>&1 &); "
           "until grep -q ready /run/killed; do :; done")
    done = attempt(words)
    box.sh("touch /run/over")
    said = until(lambda: re.search("killed|missed", box.sh("cat /run/killed")), f"{what}: the killer's word", 60)[0]
    box.wait_api()
    until(in_order, f"{what}: all is given back after the kill of {victim}", 60)
    judge(what, victim, done, before, state())
    return said == "killed"


def many(tag):
    """Files that keep the workers busy for a while."""
    return files_of(tag, count=60, size=60000)


def prepare_kills():
    for name in ("k/load:1", "k/import:1", "k/commit:1", "k/rmi:1"):
        if name in (tag.removeprefix("docker.io/") for tag in state()[0]):
            succeeded("rmi", ask("DELETE", f"/images/{name}?force=1"))


OPERATIONS = {
    "load": lambda: ("POST", "/images/load", archive("k/load:1", many("k1"), many("k2"))),
    "import": lambda: ("POST", "/images/create?fromSrc=-&repo=k/import&tag=1", small_tar(many("k3"))),
    "commit": lambda: ("POST", "/commit?container=killed&repo=k/commit&tag=1"),
    "rmi": lambda: ("DELETE", "/images/k/rmi:1"),
    "save": lambda: ("GET", "/images/k/base:1/get"),
}
# what is done, who dies, which worker is waited for, how many looks later
KILLS = [("load", "unpack", "unpack", 0), ("load", "engine", "unpack", 3), ("import", "unpack", "unpack", 2),
         ("commit", "unpack", "unpack", 1), ("load", "store", "store", 0), ("load", "engine", "store", 1),
         ("rmi", "store", "store", 0), ("save", "save", "save", 0), ("import", "store", "store", 0),
         ("rmi", "engine", "store", 0), ("commit", "store", "store", 0), ("import", "engine", "store", 0),
         ("load", "engine", "store", 4), ("commit", "engine", "store", 2)]
TRIES = 10


@case("kill -9 of the engine and of its workers in load, import, commit, rmi and save: nothing half is left, again works",
      seconds=900)
def kills():
    succeeded("load", ask("POST", "/images/load", archive("k/base:1", many("kb"))))
    box.docker("create", "--name", "killed", "k/base:1", "sh")
    path = os.path.join(box.scratch, "copied")
    with open(path, "wb") as to:
        to.write(b"killed\n" * 50000)
    box.docker("cp", path, "killed:/copied")
    removable = archive("k/rmi:1", many("k4"), many("k5"))
    for what, victim, trigger, looks in KILLS:
        for _try in range(TRIES):
            prepare_kills()
            if what == "rmi":
                succeeded("load", ask("POST", "/images/load", removable))
            hit = disturbed(what, victim, trigger, looks, OPERATIONS[what]())
            if hit:
                break
            looks //= 2
        check(hit, f"{what}: {victim} was never there to be killed")
        if what != "rmi":
            succeeded(f"{what} again", ask(*OPERATIONS[what]()))
        elif "docker.io/k/rmi:1" in state()[0]:
            succeeded("rmi again", ask(*OPERATIONS[what]()))
        in_order()
    box.docker("rm", "killed")
    prepare_kills()


tap.main()
