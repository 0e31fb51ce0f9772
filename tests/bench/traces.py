"""Traces for `./dev bench trace`: read from files, or drawn from distributions.

A trace is a `Trace`: how long it is, and of each function the memory of an instance and its calls. Files
are known by their first line: the Azure Functions traces of 2019 (calls a minute, durations, memory)
and of 2021 (one line a call), and the cumulative distributions that ServerlessBench derived from the
former.
"""
import bisect
import csv
import math
import random

DAY_S = 86400
MEMORY_MIB = 128  # where a trace does not say
DURATION_MS = 100
# A function that is called more often than every ten seconds never has a cold start, whatever the
# policy; what it adds is time to simulate it.
CALLS_A_DAY_MAX = 8640

# (value, fraction of functions up to it): a coarse picture of the Azure Functions trace of 2019.
BUILT_IN = {
    "calls a day": [(1, .14), (2, .23), (10, .36), (24, .42), (74, .50), (300, .66), (584, .75),
                    (1430, .81), (1570, .84), (4500, .90), (20000, .95), (100000, .98),
                    (1000000, 1)],
    "coefficient of variation": [(0, .23), (.02, .25), (.52, .50), (.9, .59), (1.97, .75), (5, .90),
                                 (9.2, .95), (33, .99), (100, 1)],
    "milliseconds": [(0, .03), (20, .10), (125, .25), (670, .50), (3100, .75), (16500, .90),
                     (42000, .95), (220000, .99), (600000, 1)],
    "MiB": [(80, 0), (110, .10), (120, .25), (140, .50), (185, .75), (210, .90), (240, .95),
            (400, .99), (1400, 1)],
}
CDF_FILES = {"calls a day": "invokesCDF.csv", "coefficient of variation": "CVs.csv",
             "milliseconds": "execTimeCDF.csv", "MiB": "memCDF.csv"}


class Trace:
    def __init__(self, name, seconds=0):
        self.name, self.seconds = name, seconds
        self.functions = []  # (MiB, [(begin in ms, duration in ms)])

    def add(self, memory_mib, calls):
        self.functions.append((memory_mib, sorted(calls)))

    def lines(self):
        """As trace_replay.c reads it."""
        yield f"seconds {math.ceil(self.seconds)}\n"
        for memory_mib, calls in self.functions:
            yield f"function {memory_mib:g}\n"
            yield "".join(f"{begin:d} {duration:d}\n" for begin, duration in calls)


# Files ------------------------------------------------------------------------------------------------


def find(paths):
    """(traces to read, folders of distributions): every CSV file at or below `paths`, by its head."""
    minutes, calls, distributions = {}, [], []
    for path in paths:
        for file in sorted(path.rglob("*.csv")) if path.is_dir() else [path]:
            with open(file, newline="", encoding="utf-8") as lines:
                head = next(csv.reader(lines), [])
            if head[:4] == ["HashOwner", "HashApp", "HashFunction", "Trigger"]:
                minutes.setdefault(file.parent, []).append(file)
            elif head[:4] == ["app", "func", "end_timestamp", "duration"]:
                calls.append(file)
            elif file.name == CDF_FILES["calls a day"]:
                distributions.append(file.parent)
    return list(minutes.items()), calls, distributions


def rows(file):
    with open(file, newline="", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def read_averages(folder):
    """What the files beside the counts say of each function's duration and memory, and each app's."""
    durations, memory = {}, {}
    for file in sorted(folder.glob("*.csv")):
        with open(file, newline="", encoding="utf-8") as lines:
            head = next(csv.reader(lines), [])
        for row in rows(file) if "HashApp" in head and "Trigger" not in head else []:
            if "AverageAllocatedMb" in row:
                memory[row.get("HashFunction") or row["HashApp"]] = float(row["AverageAllocatedMb"])
            elif "Average" in row:
                durations[row["HashFunction"]] = float(row["Average"])
    return durations, memory


def read_minutes(folder, files, spread):
    """The format of 2019: a file a day, a line a function, a column a minute. `spread` places the
    calls of a minute: count -> seconds."""
    trace = Trace(f"{folder.name}: calls a minute", DAY_S * len(files))
    durations, memory = read_averages(folder)
    calls, apps = {}, {}
    for day, file in enumerate(files):
        for row in rows(file):
            function = row["HashFunction"]
            apps[function] = row["HashApp"]
            for minute in range(1440):
                count = int(row.get(str(minute + 1)) or 0)
                begin = day * DAY_S + minute * 60
                duration = int(durations.get(function, DURATION_MS))
                calls.setdefault(function, []).extend(
                    (int((begin + second) * 1000), duration) for second in spread(count))
    for function, its in calls.items():
        trace.add(memory.get(function, memory.get(apps[function], MEMORY_MIB)), its)
    return trace


def spread_evenly(count):
    return [60 * i / count for i in range(count)]


def spread_by_chance(seed):
    chance = random.Random(seed)
    return lambda count: [60 * chance.random() for _ in range(count)]


def read_calls(file):
    """The format of 2021: each call with its end and its duration, in seconds."""
    trace = Trace(f"{file.stem}: single calls")
    calls = {}
    for row in rows(file):
        end, duration = float(row["end_timestamp"]), float(row["duration"])
        calls.setdefault(row["func"], []).append((max(0, int((end - duration) * 1000)),
                                                  int(duration * 1000)))
        trace.seconds = max(trace.seconds, end + 1)
    for its in calls.values():
        trace.add(MEMORY_MIB, its)
    return trace


# Distributions ----------------------------------------------------------------------------------------


def read_distributions(folder):
    read = {}
    for what, name in CDF_FILES.items():
        with open(folder / name, newline="", encoding="utf-8") as lines:
            read[what] = [(float(value), float(fraction)) for value, fraction in csv.reader(lines)]
    return read


def draw(chance, points):
    """A value of this distribution, straight between its points."""
    at = chance.random()
    i = bisect.bisect_left(points, at, key=lambda point: point[1])
    if i == 0 or i == len(points):
        return points[min(i, len(points) - 1)][0]
    (value, fraction), (next_value, next_fraction) = points[i - 1], points[i]
    return value + (next_value - value) * (at - fraction) / (next_fraction - fraction)


def interval_maker(chance, mean, variation):
    """Times between calls with this mean and coefficient of variation: a timer's, then gamma (Poisson
    where it is 1), then lognormal: bursts with long pauses."""
    if variation < 0.001:
        return lambda: mean
    if variation <= 1:
        shape = 1 / variation ** 2
        return lambda: chance.gammavariate(shape, mean / shape)
    spread = math.log(1 + variation ** 2)
    return lambda: chance.lognormvariate(math.log(mean) - spread / 2, math.sqrt(spread))


def generate(distributions, name, seed, functions, days):
    """A trace drawn from these distributions; the same for the same seed."""
    chance = random.Random(seed)
    trace = Trace(name, days * DAY_S)
    for _ in range(functions):
        calls_a_day = min(max(1, draw(chance, distributions["calls a day"])), CALLS_A_DAY_MAX)
        variation = draw(chance, distributions["coefficient of variation"])
        duration_ms = draw(chance, distributions["milliseconds"])
        memory_mib = draw(chance, distributions["MiB"])
        interval = interval_maker(chance, DAY_S / calls_a_day, variation)
        at, calls = chance.random() * interval(), []
        while at < trace.seconds and len(calls) < 2 * days * CALLS_A_DAY_MAX:
            calls.append((int(at * 1000), int(chance.expovariate(1) * duration_ms)))
            at += interval()
        trace.add(round(memory_mib), calls)
    return trace
