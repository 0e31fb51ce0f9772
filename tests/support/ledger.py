"""What may be left behind by sandboxes that have come and gone, counted before and after many of them."""
import os
import pathlib
import re
import time

from agent_client import MIB, NATIVE, PYTHON3
from node_host import resident_bytes
from sandbox_host import UID_FIRST, Watch, eventually, groups, hierarchies, host_uid, is_parked

PYTHON = b"def handle(event, context):\n    return event\n"
AT_ONCE = 4
MEMORY = 64 * MIB
KERNEL = ("Slab", "SUnreclaim", "Percpu", "KernelStack", "PageTables")


def kernel_kib():
    text = pathlib.Path("/proc/meminfo").read_text()
    return {name: int(re.search(rf"^{name}: *(\d+)", text, re.M)[1]) for name in KERNEL}


def objects(cache):
    """How many of a kind the kernel has: network namespaces, say. 0 where it does not tell."""
    try:
        text = pathlib.Path("/proc/slabinfo").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{cache} +(\d+)", text, re.M)
    return int(found[1]) if found else 0


def groups_of_memory():
    """Of the whole machine, with those that have gone and to which something is still charged."""
    found = re.search(r"^memory\t\d+\t(\d+)", pathlib.Path("/proc/cgroups").read_text(), re.M)
    return int(found[1]) if found else 0


class Ledger:
    """One agent's account, with each of the kinds of sandboxes that run() can make."""

    def __init__(self, agent, native):
        self.agent = agent
        self.gateway = agent.connect()
        self.watch = Watch(agent)
        code = agent.add_code({"main": (0o755, native), "main.py": (0o644, PYTHON)})
        image = agent.add_image({"main": (0o755, native)})
        ask, ask_image = self.gateway.ask_spawn, self.gateway.ask_spawn_image
        self.ask = {
            "native": lambda: ask(code, "main", runtime=NATIVE, memory=MEMORY),
            "python": lambda: ask(code, "main.handle", runtime=PYTHON3, memory=MEMORY),
            "image": lambda: ask_image(image, "/main", memory=MEMORY),
        }

    def run(self, kind, cycles):
        """Made, called, and ended: half of them by force."""
        for begun in range(0, cycles, AT_ONCE):
            asked = [self.ask[kind]() for _ in range(min(AT_ONCE, cycles - begun))]
            made = [self.gateway.await_spawned(number) for number in asked]
            for number, each in enumerate(made):
                each.wait_ready()
                assert each.invoke(b'"x"') in (b'"x"', b"x")
                if number % 2 == 0:
                    each.worker.close()
                    each.socket.close()  # it ends by itself
                    each.wait_exited()
                each.__exit__()
            self.gateway.exited.clear()

    def stock(self):
        pid = self.agent.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(is_parked(child) for child in children)

    def settle(self):
        """Until what is in stock has stayed the same for a while, and the kernel has tidied up."""
        seen = [-1]

        def quiet():
            seen.append(self.stock())
            time.sleep(0.05)
            return len(seen) > 10 and len(set(seen[-10:])) == 1
        eventually(quiet, 30)
        time.sleep(0.5)

    def dying_groups(self):
        """Groups of this agent's in the v2 hierarchy that have been removed and are not free yet."""
        for point, is_v2 in hierarchies().items():
            for name in self.watch.parents if is_v2 else ():
                text = (point / name / "cgroup.stat").read_text()
                return int(re.search(r"nr_dying_descendants (\d+)", text)[1])
        return 0

    def take(self):
        """What is there now: of the agent, and of the kernel."""
        self.settle()
        uids = [host_uid(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")]
        descriptors = self.watch.descriptors()
        return {"descriptors": len(descriptors), "mounts": self.watch.mounts(),
                "slots": sum(name.startswith("user:") for name in descriptors),
                "groups in use": len(self.watch.groups()),
                "groups": len(groups(self.watch.parents)),
                "dying groups": self.dying_groups(), "memory groups": groups_of_memory(),
                "children": len(self.watch.children()), "in stock": self.stock(),
                "processes of functions": sum(uid is not None and uid >= UID_FIRST for uid in uids),
                "net namespaces": objects("net_namespace"),
                "agent KiB": resident_bytes(self.agent.process.pid) // 1024, **kernel_kib()}

    def close(self):
        self.gateway.close()
        self.agent.gateways.remove(self.gateway)
        assert os.path.exists(f"/proc/{self.agent.process.pid}")
