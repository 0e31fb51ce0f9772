"""JSON for machines, a table and a page for people, and judgements."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys

import pytest

NUMBER = (int, float)
STAGE_KEYS = {"clients", "rate", "duration", "requests", "throughput", "errors", "errorRate", "mean",
              "p50", "p95", "p99", "p99_9", "max"}


def browse(page, folder, *more):
    """The page's DOM after its script has run, and what the console said."""
    ended = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={folder / 'browser'}", "--enable-logging=stderr", "--v=0",
         "--virtual-time-budget=5000", "--window-size=1200,3000", "--dump-dom", *more,
         f"file://{page}"], capture_output=True, text=True, timeout=120)
    console = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    return ended.stdout, console


def test_the_json_has_the_shape_that_was_promised(lab, target):
    report = lab.run(target.url + "/ok", "--stages", "2:200ms,4:200ms,8:200ms")
    assert set(report) == {"stages", "analysis"}
    for stage in report["stages"]:
        assert STAGE_KEYS <= set(stage)
        assert all(isinstance(stage[key], NUMBER) for key in STAGE_KEYS - {"errors", "rate"})
        assert stage["rate"] is None  # a closed loop wants none
        assert all(isinstance(count, int) for count in stage["errors"].values())
        assert stage["min"] <= stage["p50"] <= stage["p95"] <= stage["p99"] <= stage["p99_9"] <= stage["max"]
        assert stage["throughput"] * stage["duration"] == pytest.approx(stage["requests"], rel=0.1, abs=9)
    analysis = report["analysis"]
    assert analysis["sustained"] == 8 and analysis["breakingPoint"] is None
    assert analysis["searchedTo"] == 8 and len(analysis["degradation"]["steps"]) == 2
    total = analysis["total"]
    assert total["requests"] == sum(stage["requests"] for stage in report["stages"])
    assert sum(column[2] for column in total["histogram"]) == total["statuses"]["200"]
    shares = [share for share, _ in total["spectrum"]]
    assert shares == sorted(shares) and shares[-1] == 100


def test_a_load_after_a_pause_is_sustained_too(lab, target):
    report = lab.run(target.url + "/ok", "--rate-stages", "50:500ms,0:300ms,100:500ms")
    assert [stage["rate"] for stage in report["stages"]] == [50, 0, 100]
    assert report["analysis"]["sustained"] == 100


def test_the_table_grows_on_stdout_and_words_go_to_stderr(lab, target):
    ended = lab.raw(target.url + "/every/3", "--stages", "2:200ms,4:200ms")
    assert ended.returncode == 0
    head, first, second, *rest = ended.stdout_text.splitlines()
    assert head.split() == ["CLIENTS", "TIME", "ANSWERS/S", "FAILED", "MEAN", "P50", "P95", "P99",
                            "P99.9", "MAX"]
    assert first.split()[0] == "2" and second.split()[0] == "4"
    assert float(second.split()[4]) == pytest.approx(100 / 3, abs=2)
    text = "\n".join(rest)
    assert "sustained: 0 clients" in text and "breaking point: none up to 4 clients" in text
    assert re.search(r"[\d,]+  with status 503", text)
    assert "\033" not in ended.stdout_text + ended.stderr_text


@pytest.mark.parametrize("condition, code", [
    ("errors>40%", 1), ("errors>60%", 0), ("max>=0ms", 1), ("p99<0.001ms,mean>1h", 2),
    ("throughput<1000000000", 1), ("p50>60s,errors>=50%", 1)])
def test_thresholds_decide_the_exit_code(lab, target, condition, code):
    ended = lab.raw(target.url + "/every/2", "-c", 1, "-n", 100, "--fail-on", condition, "-o", "json")
    assert ended.returncode == code, ended.stderr_text
    if code == 1:
        told = json.loads(ended.stdout_text)["analysis"]["thresholds"]
        assert [one["failOn"] for one in told] == condition.split(",")
        assert any(one["failed"] for one in told) and ": it was " in ended.stderr_text


def test_without_a_good_answer_no_latency_is_judged_and_at_401_it_is_said_what_is_missing(lab, target):
    ended = lab.raw("--url", target.url + "/status/401", "-c", 1, "-n", 50, "--fail-on", "p99>1s")
    assert ended.returncode == 1
    assert "p99>1s: there was no good answer" in ended.stderr_text
    assert "median" not in ended.stderr_text
    assert '-H "Authorization: Bearer $MAGPIE_TOKEN"' in ended.stderr_text
    assert "Authorization" not in lab.raw(target.url + "/ok", "-c", 1, "-n", 5).stderr_text


def test_a_run_is_compared_with_an_earlier_one(lab, target):
    before = lab.folder / "before.json"
    before.write_text(json.dumps(lab.run(target.url + "/delay/20", "--stages", "1:300ms,2:300ms")))
    ended = lab.raw(target.url + "/ok", "--stages", "1:200ms,2:200ms,3:200ms", "--baseline", before)
    assert ended.returncode == 0
    rows = [line.split() for line in ended.stdout_text.split("AGAINST BEFORE")[1].splitlines()[1:]]
    assert [row[0] for row in rows] == ["1", "2"]
    for row in rows:  # more answers, shorter times
        assert row[2].startswith("+") and row[4].startswith("-")


def test_a_baseline_that_is_none_is_refused_before_the_run(lab, target):
    other = lab.folder / "other.json"
    other.write_text('{"stages": [], "analysis": {}}')
    ended = lab.raw(target.url + "/ok", "--baseline", other)
    assert ended.returncode == 2 and "is not what an earlier" in ended.stderr_text
    assert target.counts()["paths"] == {}


def test_a_page_that_cannot_be_written_is_refused_before_the_run(lab, target):
    ended = lab.raw(target.url + "/ok", "--html", lab.folder / "no/where.html")
    assert ended.returncode == 2 and "cannot write" in ended.stderr_text
    assert target.counts()["paths"] == {}


@pytest.fixture
def page(lab, target):
    before = lab.folder / "before.json"
    before.write_text(json.dumps(lab.run(target.url + "/delay/1", "--stages", "2:200ms,4:200ms")))
    made = lab.folder / "report.html"
    lab.run(target.url + "/every/9?a=</script><script>x", "--stages", "2:300ms,4:300ms,8:300ms",
            "--pid", target.process.pid, "--html", made, "--baseline", before)
    return made


def good_answers(page):
    """As the report in it has them."""
    told = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.S)
    return json.loads(told[1])["run"]["analysis"]["total"]["statuses"]["200"]


def test_the_page_is_whole_and_asks_the_network_for_nothing(page):
    text = page.read_text()
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert text.count("<script") == 2 and text.count("</script>") == 2  # what a URL says is no markup
    assert not re.search(r'(src|href)="', text) and "@import" not in text and "url(" not in text
    assert "default-src 'none'" in text


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_a_browser_draws_the_page_without_a_complaint(page, tmp_path):
    for theme in ("light", "dark"):
        dom, console = browse(str(page) + f"#{theme}", tmp_path)
        assert console == [], console
        assert f'data-theme="{theme}"' in dom
        for title in ("Latency against clients", "Work done and work refused", "How long answers took",
                      "Over time", "What the target used", "Stages", "How this was measured"):
            assert f"<h2>{title}</h2>" in dom
        assert dom.count("<svg") > 12 and dom.count("<path") > 15
        assert "NaN" not in re.sub(r'<script type="application/json".*?</script>', "", dom, flags=re.S)
        assert "earlier run" in dom and "&lt;/script&gt;" in dom
        assert f"The {good_answers(page):,} answers with 2xx of all stages" in dom


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_page_shows_a_rate_below_one_as_it_is(lab, target, tmp_path):
    made = lab.folder / "report.html"
    lab.run(target.url + "/ok", "--rate", 0.5, "-d", "2s", "--html", made)
    dom, console = browse(made, tmp_path)
    assert console == [], console
    assert "<td>0.5</td><td>2.0 s</td><td>0.5</td>" in dom


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_page_tells_a_breaking_point_at_the_first_stage_too(lab, target, tmp_path):
    made = lab.folder / "report.html"
    lab.run("extreme", target.url + "/status/503", "--max-clients", 20, "-d", "400ms", "--html", made)
    dom, console = browse(made, tmp_path)
    assert console == [], console
    assert '<div class="what">Breaking point</div><div class="value">2<small> clients</small>' in dom


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_a_browser_draws_the_extreme_page_too(lab, target, tmp_path):
    made = lab.folder / "report.html"
    lab.run("extreme", target.url + "/limit/10", "--max-clients", 20, "-d", "400ms", "--pid",
            target.process.pid, "--html", made)
    dom, console = browse(made, tmp_path)
    assert console == [], console
    assert "A blast of 30 clients, and the recovery" in dom and "normal again after" in dom
    assert "What it used while clients came in twenty steps" in dom and "Breaking point" in dom
    assert "<th>growth</th>" in dom and re.search(r'<td title="p99 grew [0-9.]+×, clients [0-9.]+×">', dom)
    assert re.search(r'title="at once; [0-9,]+ were made, [0-9,]+ were not"', dom)


def test_a_process_that_is_not_there_cannot_be_watched(lab, target):
    ended = lab.raw(target.url + "/ok", "--pid", 2 ** 22 + 1)
    assert ended.returncode == 2 and "there is no process" in ended.stderr_text
    ended = lab.raw(target.url + "/ok", "--cgroup", "/nowhere")
    assert ended.returncode == 2 and "there is no control group" in ended.stderr_text


WITH_A_CHILD = """
import resource, subprocess, sys
def less(): resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, preexec_fn=less)
held = [open("/dev/null") for _ in range(100)]
print("ready", flush=True)
sys.stdin.read()
child.kill()
"""


def test_the_limit_of_descriptors_is_that_of_the_process_which_has_most(lab, target):
    """Not the least of all: a node's functions may have few, and its gateway has thousands."""
    with subprocess.Popen([sys.executable, "-c", WITH_A_CHILD], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as watched:
        assert watched.stdout.readline() == "ready\n"
        report = lab.run(target.url + "/ok", "-c", 2, "-d", "500ms", "--pid", watched.pid)
        series, = report["analysis"]["series"]
        watched.stdin.close()
    assert series["limits"]["descriptors"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


WITH_MANY_THREADS = """
import sys, threading
end = threading.Event()
for _ in range(300):
    threading.Thread(target=end.wait).start()
print("ready", flush=True)
sys.stdin.read()
end.set()
"""


def test_a_warning_says_that_processes_or_threads_are_left_out(lab, target):
    with subprocess.Popen([sys.executable, "-c", WITH_MANY_THREADS], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as watched:
        assert watched.stdout.readline() == "ready\n"
        report = lab.run(target.url + "/ok", "-c", 2, "-d", "300ms", "--pid", watched.pid)
        watched.stdin.close()
    assert any("more than 256 processes or threads" in text for text in report["analysis"]["warnings"])
    report = lab.run(target.url + "/ok", "-c", 2, "-d", "300ms", "--pid", target.process.pid)
    assert not any("processes or threads" in text for text in report["analysis"]["warnings"])


def test_the_lab_tells_how_it_fared_itself(lab, target):
    report = lab.run(target.url + "/ok", "--rate", 100, "-d", "500ms")
    own = report["stages"][0]["lab"]
    assert 0 < own["cpu"] <= 1.5 and own["loopLag"]["count"] > 0 and own["startLag"]["count"] == 50
    assert os.cpu_count() and isinstance(report["analysis"]["warnings"], list)
